"""A state folder belongs to one process, says what it was made for, and is not mistaken for anything else."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from state.delta_store import ShardFiles
from state.disk import StateError
from state.state_folder import StateFolder
from tests.state.fault_disk import ROOT, FaultDisk

REPOSITORY = Path(__file__).parents[2]
ABOUT = {"shards": 64, "rules": ["a", "b"]}


def written(path: Path) -> dict[str, object]:
    contents: dict[str, object] = json.loads((path / "format.json").read_text())
    del contents["checksum"]
    return contents


def test_the_first_to_open_says_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    with StateFolder.open(path, ABOUT) as folder:
        assert folder.about == ABOUT
    with StateFolder.open(path, {"shards": 8}) as folder:
        assert folder.about == ABOUT
    assert written(path) == {"format": 2, **ABOUT}
    for name in ("format", "checksum"):
        with pytest.raises(ValueError, match="not for the caller"):
            StateFolder.open(path, {name: 2})


def test_one_process_has_it_and_others_may_look(tmp_path: Path) -> None:
    with StateFolder.open(tmp_path, ABOUT):
        ShardFiles(tmp_path / "s1").close()
        (tmp_path / "recovery").mkdir()
        code = "import sys; from pathlib import Path; from state.state_folder import StateFolder as F; F.{}"
        in_use = f"process {os.getpid()} uses this folder"
        for call, said in (("open(Path(sys.argv[1]), {})", in_use), ("inspect(Path(sys.argv[1]))", "")):
            command = [sys.executable, "-c", code.replace("{}", call, 1), tmp_path]
            errors = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY).stderr
            assert said in errors
            assert bool(said) == bool(errors)
        seen = StateFolder.inspect(tmp_path)
        assert seen.about == ABOUT
        assert [shard.folder.name for shard in seen.shards()] == ["s1"]
    StateFolder.open(tmp_path, {}).close()


def test_looking_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"this is no state folder, it has no format\.json"):
        StateFolder.inspect(tmp_path)
    with pytest.raises(StateError, match="this is no state folder"):
        StateFolder.inspect(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StateError, match=r"thesis\.txt: the folder is not empty, and no state folder.*choose an empty"):
        StateFolder.open(tmp_path, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("below", ["", "state"])
def test_a_file_is_no_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"file: cannot make the folder: File exists; choose a folder with --state"):
        StateFolder.open(tmp_path / "file" / below, ABOUT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"format": 3}',
            "the state folder has format 3, this program reads formats 1 to 2; use the release that wrote it",
        ),
        ('{"format": "1"}', "the file is damaged: it names no format; restore"),
        ("[]", "the file is damaged: it names no format; restore"),
        ('{"format"', "the file is damaged: .*; restore"),
        ("\0\xff", "the file is damaged: .*; restore"),
    ],
)
def test_an_unknown_format_is_refused_and_unlocked(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "format.json").write_text(text, "latin-1")
    for _ in range(2):
        with pytest.raises(StateError, match=f"format.json: {said}"):
            StateFolder.open(tmp_path, ABOUT)
    with pytest.raises(StateError, match=said):
        StateFolder.inspect(tmp_path)


def test_a_byte_that_is_another_is_refused(tmp_path: Path) -> None:
    StateFolder.open(tmp_path, {"key": [15, 3], "run": {"--out": "x"}, "by_entity": False}).close()
    file = tmp_path / "format.json"
    whole = file.read_bytes()
    for place in range(len(whole)):
        for bit in (1, 2, 64):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            with suppress(StateError):
                assert StateFolder.inspect(tmp_path).about["key"] == [15, 3]  # it was but space
    for text in (whole.replace(b"15", b"16"), whole.replace(b'"format": 2', b'"format": 1'), b"[" * 100_000):
        file.write_bytes(text)
        with pytest.raises(StateError, match="damaged"):
            StateFolder.inspect(tmp_path)


def test_a_folder_of_an_older_format_becomes_one_of_this(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text('{"format": 1, "shards": 64}')
    assert StateFolder.inspect(tmp_path).about == {"shards": 64}
    assert json.loads((tmp_path / "format.json").read_text())["format"] == 1
    with StateFolder.open(tmp_path, ABOUT) as folder:
        assert folder.about == {"shards": 64}
        assert json.loads((tmp_path / "format.json").read_text())["format"] == 1, "not before it is accepted"
        folder.amend(folder.about)
    assert written(tmp_path) == {"format": 2, "shards": 64}
    StateFolder.open(tmp_path, {}).close()


def test_a_folder_that_cannot_be_written() -> None:
    disk = FaultDisk(random.Random(1))
    StateFolder.open(ROOT / "state", ABOUT, disk).close()
    disk.read_only = True
    with pytest.raises(StateError, match="lock: cannot lock the file: Read-only file system; mount"):
        StateFolder.open(ROOT / "state", ABOUT, disk)
    with pytest.raises(StateError, match="other: cannot make the folder: Read-only"):
        StateFolder.open(ROOT / "other", ABOUT, disk)
    assert StateFolder.inspect(ROOT / "state", disk).about == ABOUT


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for the superuser")
def test_a_folder_of_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StateError, match="cannot lock the file: Permission denied; let the user"):
        StateFolder.open(tmp_path, ABOUT)
