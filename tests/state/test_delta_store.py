"""The store of recovery state gives back what was written, or says what is wrong; under every fault that disks have."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from state.delta_file import Frame
from state.delta_store import ShardFiles
from state.disk import StateError
from state.shard_reader import RESUME_BACK, ShardReader
from state.state_folder import StateFolder
from tests.state.fault_disk import ROOT, FaultDisk, StopError

STATE = ROOT / "state"
SHARD = STATE / "s07"
REMEDY = re.compile(r"; .*\b(restore|choose|make room|mount|use the release)\b")

Contents = dict[int, int]


def sections_of(contents: Contents) -> dict[str, bytes | np.ndarray]:
    """Contents as a shard would write them; the odd length in front would break an alignment that is not kept."""
    keys = np.array(sorted(contents), np.int64)
    values = np.array([contents[int(key)] for key in keys], np.int64)
    return {"note": b"n" * (len(contents) % 9), "keys": keys, "values": values}


def contents_of(frame: Frame) -> Contents:
    keys = np.frombuffer(frame.sections["keys"], np.int64)
    values = np.frombuffer(frame.sections["values"], np.int64)
    assert bytes(frame.sections["note"]) == b"n" * (len(keys) % 9)
    return dict(zip(keys.tolist(), values.tolist(), strict=True))


@dataclass
class Version:
    """What a version was written with; more than one of `contents` once it was written again and may be either."""

    is_base: bool
    id: str
    contents: list[Contents]


@dataclass
class Run:
    """A shard that writes, commits, is cut off and resumes, beside the plain record of what it wrote."""

    rng: random.Random
    honest: bool
    damages: bool
    disk: FaultDisk = field(init=False)
    history: dict[int, Version] = field(default_factory=dict)
    state: Contents = field(default_factory=dict)
    committed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.disk = FaultDisk(self.rng)

    def go(self) -> None:
        """Some lives of the process, until an error that is there to stay."""
        for _ in range(self.rng.randint(2, 7)):
            self.disk.lies = 0.0 if self.honest else self.rng.choice([0.0, 0.3, 1.0])
            self.disk.steps_left = self.rng.choice([None, self.rng.randint(0, 120), self.rng.randint(0, 30)])
            self.disk.free_bytes = self.rng.choice([None, None, None, self.rng.randint(0, 4_000)])
            try:
                self.live()
            except StopError:
                self.outcomes["stopped"] += 1
            except StateError as error:
                if not self.passing(error):
                    return
            self.end()

    def passing(self, error: StateError) -> bool:
        """Whether the next process may do better; the error says where it is and what to do about it."""
        assert error.path.is_relative_to(STATE)
        assert str(error).startswith(f"{error.path}: ")
        assert REMEDY.search(str(error)), str(error)
        full = "make room" in str(error)
        self.outcomes["full" if full else "refused"] += 1
        assert self.disk.free_bytes is not None if full else self.damages or not self.honest, str(error)
        return full

    def live(self) -> None:
        """One process, from its resume on."""
        with StateFolder.open(STATE, {"shards": 8}, self.disk) as folder, ShardFiles(SHARD, self.disk) as shard:
            assert folder.about == {"shards": 8}
            self.resume(shard)
            if self.honest and not self.damages:
                assert shard.verify() == []
            for _ in range(self.rng.randint(0, 12)):
                self.write(shard)
                if self.rng.random() < 0.1:
                    self.rewrite(shard)

    def resume(self, shard: ShardFiles) -> None:
        version = self.committed
        file_id = self.history[version].id if version else None
        if self.honest and not self.damages and self.rng.random() < 0.5:
            file_id = None
        frames = [(frame.version, frame.is_base, contents_of(frame)) for frame in shard.load(version, file_id)]
        base = max((v for v, written in self.history.items() if v <= version and written.is_base), default=1)
        assert [frame[0] for frame in frames] == list(range(base, version + 1))
        self.state = {}
        for number, is_base, contents in frames:
            written = self.history[number]
            assert is_base == written.is_base
            assert contents in written.contents, f"version {number}"
            written.contents = [contents] if self.honest else written.contents
            self.state = contents if is_base else self.state | contents
        self.history = {v: written for v, written in self.history.items() if v <= version}
        names = self.disk.list_folder(SHARD)
        assert not [name for name in names if name.endswith(".tmp")]
        assert max((int(name[:12]) for name in names if name[0].isdigit()), default=0) == version
        self.outcomes["resumed"] += version > 0

    def write(self, shard: ShardFiles) -> None:
        version = max(self.history, default=0) + 1
        changes = {self.rng.randrange(20): self.rng.randrange(10**12) for _ in range(self.rng.randint(0, 5))}
        self.state = self.state | changes
        is_base = shard.needs_base or self.rng.random() < 0.2
        contents = self.state if is_base else changes
        self.committed = max(self.committed, version - RESUME_BACK)
        if self.rng.random() < 0.5:
            info = shard.write(version, sections_of(contents), base=is_base)
        else:
            info = shard.begin(version, sections_of(contents), base=is_base)
            if self.rng.random() < 0.05:
                raise StopError
            shard.finish()
        self.history[version] = Version(is_base, info.id, [contents])
        self.committed = self.rng.randint(self.committed, version)

    def rewrite(self, shard: ShardFiles) -> None:
        version = self.rng.choice(shard.files()).version
        written = self.history[version]
        contents = {key: value for key, value in contents_of(shard.read(version)).items() if key % 3}
        written.contents = [*written.contents, contents]
        shard.rewrite(version, sections_of(contents))
        if self.honest:
            written.contents = [contents]

    def end(self) -> None:
        """The process is gone, and perhaps the machine; perhaps the disk decays meanwhile."""
        if self.rng.random() < 0.3:
            self.disk.kill()
        else:
            self.disk.lose_power()
        if self.damages and self.rng.random() < 0.5:
            self.outcomes[self.disk.damage(SHARD).split()[0]] += 1


@pytest.mark.parametrize(("honest", "damages"), [(True, False), (False, False), (True, True), (False, True)])
def test_a_resume_gives_what_was_written_or_says_what_is_wrong(honest: bool, damages: bool) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(250):
        run = Run(random.Random(seed), honest, damages)
        try:
            run.go()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        outcomes += run.outcomes
    expected = {"resumed", "stopped", "full"}
    expected |= set() if honest and not damages else {"refused"}
    expected |= {"flip", "remove", "cut", "zeros", "grow", "mix"} if damages else set()
    assert expected <= outcomes.keys()
    assert min(outcomes[name] for name in expected) >= 10, outcomes


def put(shard: ShardFiles, versions: str) -> dict[int, str]:
    """Write versions on a shard that is loaded, `b` a base and `d` a delta each; their ids."""
    first = max((info.version for info in shard.files()), default=0) + 1
    return {
        version: shard.write(version, sections_of({version: version}), base=kind == "b").id
        for version, kind in enumerate(versions, first)
    }


def started(folder: Path, versions: str) -> ShardFiles:
    shard = ShardFiles(folder)
    assert list(shard.load(0)) == []
    put(shard, versions)
    return shard


def names(folder: Path) -> list[str]:
    return sorted(path.name.lstrip("0") for path in folder.iterdir() if path.name != "lock")


def loaded(shard: ShardFiles, version: int, file_id: str | None = None) -> list[Contents]:
    return [contents_of(frame) for frame in shard.load(version, file_id)]


def test_sections_are_views_that_stay(tmp_path: Path) -> None:
    given = {
        "odd": b"12345",
        "matrix": np.arange(300_000, dtype=np.float64).reshape(3, -1),
        "none": np.empty((0, 4), np.int32),
        "text": "人".encode(),
    }
    with ShardFiles(tmp_path / "s") as shard:
        assert list(shard.load(0)) == []
        info = shard.write(1, given, base=True)
        (frame,) = list(shard.load(1))
    assert info.sections == {"odd": 5, "matrix": 2_400_000, "none": 0, "text": 3}
    assert info.bytes == frame.bytes == (tmp_path / "s" / "000000000001.base").stat().st_size
    assert list(frame.sections) == list(given)
    assert {name: bytes(view) for name, view in frame.sections.items()} == {
        name: bytes(memoryview(data).tobytes()) for name, data in given.items()
    }
    matrix = np.frombuffer(frame.sections["matrix"], np.float64)
    assert matrix.flags.aligned
    assert not matrix.flags.writeable


def test_a_base_replaces_what_no_resume_needs(tmp_path: Path) -> None:
    with started(tmp_path / "s", "bddb") as shard:
        assert names(tmp_path / "s") == ["1.base", "2.delta", "3.delta", "4.base"]
        put(shard, "d")
        assert names(tmp_path / "s") == ["1.base", "2.delta", "3.delta", "4.base", "5.delta"]
        put(shard, "d")
        assert names(tmp_path / "s") == ["4.base", "5.delta", "6.delta"]
        assert shard.verify() == []


def test_a_resume_drops_what_lies_beyond(tmp_path: Path) -> None:
    with started(tmp_path / "s", "bddb") as shard:
        (tmp_path / "s" / "000000000005.delta.tmp").write_bytes(b"torn")
        assert loaded(shard, 2) == [{1: 1}, {2: 2}]
        assert names(tmp_path / "s") == ["1.base", "2.delta"]
        put(shard, "b")
        assert loaded(shard, 3) == [{3: 3}]


def test_a_folder_of_another_time_is_not_cleared(tmp_path: Path) -> None:
    with started(tmp_path / "s", "bdd") as shard:
        with pytest.raises(StateError, match="far beyond version 0"):
            loaded(shard, 0)
        assert len(names(tmp_path / "s")) == 3
        with pytest.raises(StateError, match=r"4\.base: .*there is none|4\.delta: the file is missing"):
            loaded(shard, 4)
        assert len(names(tmp_path / "s")) == 3


def test_a_version_of_another_run_is_noticed_by_its_id(tmp_path: Path) -> None:
    with started(tmp_path / "s", "bd") as shard:
        path = tmp_path / "s" / "000000000003.delta"
        ids = put(shard, "d")
        old = path.read_bytes()
        assert loaded(shard, 2) == [{1: 1}, {2: 2}]
        new_ids = put(shard, "d")
        assert loaded(shard, 3, new_ids[3]) == [{1: 1}, {2: 2}, {3: 3}]
        path.write_bytes(old)
        with pytest.raises(StateError, match=r"3\.delta: the file is of another run"):
            loaded(shard, 3, new_ids[3])
        assert loaded(shard, 3, ids[3]) == [{1: 1}, {2: 2}, {3: 3}]


def test_nothing_is_written_before_a_load_or_out_of_turn(tmp_path: Path) -> None:
    with ShardFiles(tmp_path / "s") as shard:
        with pytest.raises(ValueError, match="load a version first"):
            shard.write(1, {}, base=True)
        assert list(shard.load(0)) == []
        with pytest.raises(ValueError, match="the first version is a base"):
            shard.write(1, {}, base=False)
        with pytest.raises(ValueError, match="the next version is 1, not 2"):
            shard.write(2, {}, base=True)
        put(shard, "bd")
        next(shard.load(2))
        with pytest.raises(ValueError, match="load a version first"):
            shard.write(3, {}, base=True)
    with pytest.raises(ValueError, match="is closed"):
        loaded(shard, 2)


def test_what_is_begun_is_there_when_it_is_finished(tmp_path: Path) -> None:
    cells = np.arange(5)
    with started(tmp_path / "s", "b") as shard:
        info = shard.begin(2, {"note": b"nnnnn", "keys": cells, "values": cells}, base=False)
        cells[:] = 7
        with pytest.raises(ValueError, match="finish the last version"):
            shard.begin(3, sections_of({}), base=False)
        assert [known.version for known in ShardReader(tmp_path / "s").files()] == [1]
        shard.finish()
        with pytest.raises(ValueError, match="begin a version first"):
            shard.finish()
        assert shard.files()[-1] == info
        assert loaded(shard, 2, info.id)[1] == {i: i for i in range(5)}
        shard.begin(3, sections_of({3: 3}), base=False)
        assert len(names(tmp_path / "s")) == 3
        assert loaded(shard, 2) == [{1: 1}, {i: i for i in range(5)}]
        shard.begin(3, sections_of({3: 3}), base=False)
    assert names(tmp_path / "s") == ["1.base", "2.delta"]


def test_the_disk_is_waited_for_before_the_name_is_there() -> None:
    """Whatever the order in which shards are finished, a version that is finished survives a loss of power."""
    rng = random.Random(5)
    for _ in range(50):
        disk = FaultDisk(rng)
        disk.make_folder(STATE)
        disk.fsync_folder(ROOT)
        shards = [ShardFiles(STATE / f"s{number}", disk) for number in range(3)]
        for shard in shards:
            assert list(shard.load(0)) == []
            put(shard, "b")
            shard.begin(2, sections_of({2: 2}), base=False)
        finished = rng.sample(shards, rng.randint(0, 3))
        for shard in finished:
            shard.finish()
        disk.lose_power()
        for shard in shards:
            again = ShardFiles(shard.folder, disk)
            assert loaded(again, 2 if shard in finished else 1)[0] == {1: 1}


def test_a_rewritten_version_is_part_of_the_chain(tmp_path: Path) -> None:
    with started(tmp_path / "s", "bddd") as shard:
        before = shard.files()[1]
        after = shard.rewrite(2, sections_of({}))
        assert (after.version, after.is_base, after.id) == (before.version, before.is_base, before.id)
        assert shard.verify() == []
        assert loaded(shard, 4, shard.files()[-1].id) == [{1: 1}, {}, {3: 3}, {4: 4}]
        with pytest.raises(StateError, match=r"5\.delta: the file is missing"):
            shard.rewrite(5, {})


def test_the_store_stays_within_what_was_touched(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    state = rng.integers(0, 1 << 40, 200_000)
    touched = written = 0
    with ShardFiles(tmp_path / "s") as shard:
        assert list(shard.load(0)) == []
        for version in range(1, 41):
            is_base = shard.needs_base
            changes = state[: int(rng.integers(1, 60_000))]
            data = state if is_base else changes
            touched += changes.nbytes
            written += shard.write(version, {"cells": data}, base=is_base).bytes
            kept = sum(info.bytes for info in shard.files())
            assert kept < 2 * (2 * state.nbytes + 3 * changes.nbytes + (1 << 20))
        bases = [info for info in shard.files() if info.is_base]
        assert bases[0].version > 1
    assert state.nbytes + touched / 2 < written < state.nbytes + 2.1 * touched


def test_shards_that_write_the_same_write_their_bases_at_different_times(tmp_path: Path) -> None:
    cells = np.zeros(200_000)
    called = set()
    for number in range(8):
        with started(tmp_path / f"s{number}", "") as shard:
            shard.write(1, {"cells": cells}, base=True)
            version = 1
            while not shard.needs_base:
                version += 1
                shard.write(version, {"cells": cells[: len(cells) // 12]}, base=False)
            called.add(version)
    assert len(called) > 2
    assert 9 <= min(called) <= max(called) <= 17


def test_small_deltas_call_for_no_base(tmp_path: Path) -> None:
    with started(tmp_path / "s", "b" + "d" * 30) as shard:
        assert not shard.needs_base
        assert shard.files()[0].version == 1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "000000000001.base").unlink(), "there is none"),
        (lambda folder: (folder / "000000000002.delta").unlink(), "2.delta: the file is missing"),
        (lambda folder: flip(folder / "000000000002.delta", -20), "2.delta: the contents do not match the checksum"),
        (lambda folder: flip(folder / "000000000002.delta", 0), "2.delta: this is no state file"),
        (lambda folder: flip(folder / "000000000002.delta", 8), "2.delta: the file has format 3, this program reads"),
        (lambda folder: flip(folder / "000000000002.delta", 15), "2.delta: the file is cut short or damaged"),
        (lambda folder: cut(folder / "000000000002.delta", 0), "2.delta: the file is cut short, 0 bytes"),
        (lambda folder: cut(folder / "000000000002.delta", 100), "2.delta: the file is cut short or damaged"),
        (lambda folder: copy(folder, "000000000003.delta", "000000000002.delta"), "the delta of version 3 of shard s"),
        (lambda folder: copy(folder, "../t/s/000000000002.delta", "000000000002.delta"), "2.delta: the file was not"),
        (lambda folder: copy(folder, "../u/000000000002.delta", "000000000002.delta"), "of version 2 of shard u, out"),
        (lambda folder: copy(folder, "000000000002.delta", "000000000002.base"), "there are a base and a delta|place"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    (tmp_path / "t").mkdir()
    for folder in ("t/s", "u", "s"):
        started(tmp_path / folder, "bdd").close()
    spoil(tmp_path / "s")
    with ShardFiles(tmp_path / "s") as shard:
        with pytest.raises(StateError, match=said) as raised:
            loaded(shard, 3)
        assert REMEDY.search(str(raised.value))
        assert any(re.search(said, problem) for problem in shard.verify())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def copy(folder: Path, source: str, target: str) -> None:
    (folder / target).write_bytes((folder / source).read_bytes())


def test_a_shard_is_of_one_process_and_open_to_look_at(tmp_path: Path) -> None:
    with started(tmp_path / "s", "bd"):
        code = "import sys, pathlib, state.delta_store as store; store.ShardFiles(pathlib.Path(sys.argv[1]))"
        command = [sys.executable, "-c", code, tmp_path / "s"]
        other = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        assert f"lock: process {os.getpid()} uses this folder; stop that process" in other.stderr
        reader = ShardReader(tmp_path / "s")
        assert reader.verify() == []
        assert [(info.version, info.is_base, info.sections["keys"]) for info in reader.files()] == [
            (1, True, 8),
            (2, False, 8),
        ]
    ShardFiles(tmp_path / "s").close()


def test_a_failed_write_leaves_nothing_and_a_load_mends_it() -> None:
    disk = FaultDisk(random.Random(1))
    disk.make_folder(STATE)
    with ShardFiles(STATE / "s", disk) as shard:
        assert list(shard.load(0)) == []
        put(shard, "b")
        disk.free_bytes = 50
        with pytest.raises(StateError, match=r"2\.delta: cannot write the file: No space left.*; make room"):
            put(shard, "d")
        assert disk.list_folder(STATE / "s") == ["000000000001.base", "lock"]
        disk.free_bytes = None
        with pytest.raises(ValueError, match="load a version first"):
            put(shard, "d")
        assert loaded(shard, 1) == [{1: 1}]
        put(shard, "d")
        disk.read_only = True
        with pytest.raises(StateError, match="Read-only file system; mount the file system for writing"):
            put(shard, "d")
        assert ShardReader(STATE / "s", disk).verify() == []
