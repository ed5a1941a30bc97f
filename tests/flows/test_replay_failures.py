"""The command over files that are hostile or broken: dead letters, or exit code 3 and one clear message."""

import contextlib
import fcntl
import gzip
import json
import os
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
import zstandard

from flows.cli import app
from operators import decider

ROOT = Path(__file__).resolve().parents[2]
RULES = 'version: 1\nrules:\n  - {id: any, trigger: txn, then: [{tag: {name: "{len(txn.note)}"}}]}\n'
BUG = "from operators import decider\ndecider.Decider.run = lambda *_, **__: 1 / 0\n"
NOISE = ("Traceback", "panic", "thread", "retrying", "FATAL")


def event(number: int, extra: str = "") -> bytes:
    """A txn as a line without its newline; ``extra`` is more JSON."""
    head = f'{{"stream":"txn","event_id":"e{number}","customer_id":"C{number % 50}","ts":{1_760_000_000_000 + number}'
    return f'{head},"amount":1,"direction":"in"{extra}}}'.encode()


EVENTS = b"".join(event(number) + b"\n" for number in range(3000))


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def cem(capfd, monkeypatch):
    """Runs the command, in this process as far as it is one; all that it and the runtime print is caught."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            app([str(argument) for argument in arguments], prog_name="cem")
        return Done(int(ended.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture
def run(tmp_path, cem):
    """Replays files, given by name and content, into ``tmp_path/out``."""

    def replay(workers, *options, out=tmp_path / "out", cem=cem, **files):
        (tmp_path / "rules.yaml").write_text(RULES)
        names = []
        for name, content in files.items():
            path = tmp_path / name.replace("__", ".")
            if content is not None:
                path.write_bytes(content)
            names += ["--events", path]
        return cem("replay", "--rules", tmp_path / "rules.yaml", *names, "--out", out, "--workers", workers, *options)

    return replay


def results(out: Path) -> tuple[dict, list[dict], list[dict]]:
    lines = [(out / f"{name}.ndjson").read_bytes().splitlines() for name in ("actions", "dead_letters")]
    return json.loads((out / "summary.json").read_bytes()), *([json.loads(line) for line in part] for part in lines)


def assert_failed(done, *words):
    """Exit code 3, nothing on stdout, one message of one line on stderr."""
    assert done.returncode == 3, done
    assert done.stdout == ""
    assert done.stderr.startswith("cem replay: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    for word in NOISE:
        assert word not in done.stderr


both = pytest.mark.parametrize("workers", [1, 2])


@both
def test_odd_files_are_read_to_the_last_byte(run, tmp_path, workers):
    done = run(
        workers,
        half_a_line=event(1) + b"\n" + event(2)[:-9],
        empty=b"",
        blank=b"\n \r\n\t\n\n",
        dos=event(3) + b"\r\n" + event(4) + b"\r\n\r\n",
        latin1=event(5, ',"note":"\xe9"').decode().encode("latin-1") + b"\n" + event(6),
    )
    assert (done.returncode, done.stdout) == (0, "")
    first, second, *_ = done.stderr.splitlines()
    assert first == "4 events (0 late, 0 duplicates dropped); 2 dead letters (not_json 2)"
    assert second == "4 decisions emitted, 0 suppressed"
    summary, actions, dead = results(tmp_path / "out")
    assert summary["events"] == {"txn": 4}
    assert {action["anchor_event_id"] for action in actions} == {"e1", "e3", "e4", "e6"}
    assert {(Path(letter["source"]).name, letter["reason"], letter["encoding"]) for letter in dead} == {
        ("half_a_line:2", "not_json", "utf-8"),
        ("latin1:1", "not_json", "base64"),
    }


def test_huge_lines(run, tmp_path):
    """50 MB are read, valid or not; of 70 MB the beginning goes to the dead letters."""
    valid = event(1, ',"note":"' + "x" * 50_000_000 + '"')
    invalid = b"y" * 50_000_000
    done = run(2, a=valid + b"\n" + invalid + b"\n" + event(2), b=b"z" * 70_000_000 + b"\n" + event(3))
    assert done.returncode == 0, done.stderr
    summary, actions, dead = results(tmp_path / "out")
    assert summary["events"] == {"txn": 3}
    assert sorted(action["payload"]["name"] for action in actions) == ["", "", "50000000"]
    assert {(letter["reason"], len(letter["raw"])) for letter in dead} == {
        ("not_json", 50_000_000),
        ("too_long", (64 << 20) + 1),
    }


@both
def test_the_same_file_twice_is_all_duplicates(tmp_path, run, workers):
    same = [tmp_path / "a", tmp_path / "a"]
    done = run(workers, *(part for path in same[1:] for part in ("--events", path)), a=EVENTS)
    assert done.returncode == 0, done.stderr
    summary, actions, _ = results(tmp_path / "out")
    assert (summary["events"], summary["duplicates"], len(actions)) == ({"txn": 6000}, 3000, 3000)


@both
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut__gz", gzip.compress(EVENTS, 1, mtime=0)[:-5000], ["after line", "cut off; copy it again"]),
        ("cut__zst", zstandard.ZstdCompressor().compress(os.urandom(300_000).hex().encode())[:-900], ["cut off"]),
        ("plain__gz", EVENTS, ["before the first line", "no gzip data", "rename it if it is not packed"]),
        ("missing", None, ["no such file; check the path"]),
    ],
)
def test_a_file_that_cannot_be_read(run, workers, name, content, words):
    assert_failed(run(workers, good=EVENTS, **{name: content}), name.replace("__", "."), *words)


@both
def test_a_folder_is_no_file(run, tmp_path, workers):
    assert_failed(run(workers, "--events", tmp_path, good=EVENTS), f"{tmp_path}: is a folder; name the files in it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(run, tmp_path):
    (tmp_path / "secret").write_bytes(EVENTS)
    (tmp_path / "secret").chmod(0)
    assert_failed(run(1, "--events", tmp_path / "secret", good=EVENTS), "secret: may not be read", "chmod")


@both
def test_out_is_a_file(run, tmp_path, workers):
    (tmp_path / "file").touch()
    assert_failed(run(workers, good=EVENTS, out=tmp_path / "file"), "file: cannot be created", "--out")
    assert_failed(run(workers, good=EVENTS, out=tmp_path / "file" / "x"), "cannot be created", "--out")


def test_a_result_of_before_is_not_overwritten_while_it_is_read(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "actions.ndjson").write_bytes(EVENTS)
    (tmp_path / "link").symlink_to(tmp_path / "out" / "actions.ndjson")
    assert_failed(run(1, "--events", tmp_path / "link", good=EVENTS), "actions.ndjson: is to be read", "--out")
    assert (tmp_path / "out" / "actions.ndjson").read_bytes() == EVENTS


def test_what_cannot_be_written_in_the_end_is_told_at_the_beginning(run, tmp_path):
    (tmp_path / "out" / "summary.json").mkdir(parents=True)
    assert_failed(run(1, good=EVENTS), "summary.json: cannot be written: Is a directory", "--out")
    assert (tmp_path / "out" / "actions.ndjson").read_bytes() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
@both
def test_a_file_name_that_is_no_text(run, tmp_path, workers):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff"))
    path.write_bytes(event(1) + b"\n[]\n")
    assert run(workers, "--events", path, good=EVENTS).returncode == 0
    _, _, dead = results(tmp_path / "out")
    assert [letter["source"] for letter in dead] == [f"{tmp_path}/odd\ufffd:2"]
    path.unlink()
    assert_failed(run(workers, "--events", path, good=EVENTS), "no such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_out_is_read_only(run, tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    assert_failed(run(1, good=EVENTS), "actions.ndjson: cannot be written", "--out")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("name", "workers"), [("actions.ndjson", 1), ("actions.ndjson", 2), ("dead_letters.ndjson", 1), ("summary.json", 1)]
)
def test_a_full_device(run, tmp_path, workers, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to("/dev/full")

    def cem(*arguments):  # what the runtime may do to this process if we fail is to abort it
        command = [sys.executable, "-m", "flows.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)

    done = run(workers, good=EVENTS + b"[]\n", other=EVENTS, cem=cem)
    assert_failed(done, f"{name}: writing failed: No space left on device; make room, or choose another folder")


@both
def test_what_should_not_happen_is_a_failure_with_a_traceback(run, tmp_path, monkeypatch, workers):
    """Two processes: the one that fails says where, not the one that it brings down."""
    (tmp_path / "sitecustomize.py").write_text(BUG)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    if workers == 1:
        monkeypatch.setattr(decider.Decider, "run", lambda *_, **__: 1 / 0)
    done = run(workers, good=EVENTS, other=EVENTS)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("cem replay: Traceback")
    assert "ZeroDivisionError" in done.stderr
    assert "Panic" not in done.stderr


# --- wrong input and wrong usage -----------------------------------------------------------------


def test_all_problems_of_rules_and_policy_are_told(cem, tmp_path):
    rules, policy, events = (tmp_path / name for name in ("rules.yaml", "policy.yaml", "events.ndjson"))
    rules.write_text("version: 1\nrules:\n  - {id: A, trigger: txm, then: []}\n  - {id: b, when: 1 +}\n")
    policy.write_text("version: 2\ncaps: [{class: x}]\n")
    events.write_bytes(EVENTS)
    missing = tmp_path / "missing.yaml"
    done = cem(
        "replay", "--rules", rules, "--rules", missing, "--policy", policy, "--events", events,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    found = done.stderr.splitlines()
    for file, at_least in ((rules, 4), (missing, 1), (policy, 3)):
        assert sum(line.startswith(f"{file}:") for line in found) >= at_least, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"[" * 500, b"&a [*a]", b"version: 1\nrules: 7\n", b"\0"])
@pytest.mark.parametrize("option", ["--rules", "--policy"])
def test_files_that_are_no_rules_and_no_policy(cem, tmp_path, option, content):
    path, rules = tmp_path / "wrong.yaml", tmp_path / "rules.yaml"
    rules.write_text(RULES)
    if content is not None:
        path.write_bytes(content)
    (tmp_path / "e").write_bytes(b"")
    done = cem("replay", "--rules", rules, option, path, "--events", tmp_path / "e", "--out", tmp_path / "out")
    if option == "--policy" and content == b"":
        assert done.returncode in (0, 1)  # every part of a policy is optional
        return
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{path}:")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lateness", "10"], ["--lateness", "'10' is no duration", "an integer and one of ms s m h d w"]),
        (["--lateness", "-5s"], ["--lateness", "no duration"]),
        (["--dedup", "1y"], ["--dedup", "no duration"]),
        (["--max-jump", ""], ["--max-jump", "no duration"]),
        (["--lateness", "9" * 20 + "d"], ["--lateness", "no duration"]),
        (["--until", "-1"], ["--until"]),
        (["--until", "253402300800000"], ["--until", "is no time"]),
        (["--until", "tomorrow"], ["--until", "milliseconds"]),
        (["--workers", "0"], ["--workers", "1"]),
        (["--workers", "two"], ["--workers", "integer"]),
        (["--colour"], ["--colour"]),
        (["--out"], ["--out"]),
    ],
)
def test_wrong_usage(cem, tmp_path, options, words):
    done = cem("replay", "--rules", "r", "--events", "e", "--out", tmp_path / "out", *options)
    assert (done.returncode, done.stdout) == (2, "")
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_options(cem):
    for missing in ("--rules", "--events", "--out"):
        given = [part for name in ("--rules", "--events", "--out") if name != missing for part in (name, "x")]
        done = cem("replay", *given)
        assert done.returncode == 2
        assert f"Missing option '{missing}'" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_rules_that_may_not_be_read(cem, tmp_path):
    path = tmp_path / "secret.yaml"
    path.write_text(RULES)
    path.chmod(0)
    for command in (["replay", "--rules", path, "--events", path, "--out", tmp_path / "out"], ["rules", "check", path]):
        done = cem(*command)
        assert done.returncode == 1
        assert f"{path}:1:1: E001" in done.stdout + done.stderr


# --- signals -------------------------------------------------------------------------------------


class Running:
    """A replay that cannot end, as one of its partitions is a pipe that nobody closes."""

    def __init__(self, folder: Path, workers: int) -> None:
        (folder / "rules.yaml").write_text(RULES)
        (folder / "events").write_bytes(EVENTS)
        (folder / "tmp").mkdir()
        os.mkfifo(folder / "pipe")
        self.folder = folder
        self.pipe = os.open(folder / "pipe", os.O_RDWR)
        names = ["--events", folder / "events", "--events", folder / "pipe", "--out", folder / "out"]
        command = [sys.executable, "-m", "flows.cli", "replay", "--rules", folder / "rules.yaml", *names]
        self.process = subprocess.Popen(
            [*map(str, command), "--workers", str(workers)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT, env=os.environ | {"TMPDIR": str(folder / "tmp")}, start_new_session=True,
        )  # fmt: skip

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + 30
        while not condition():
            assert monotonic() < deadline
            select.select([], [], [], 0.01)

    def wait_until_it_reads(self) -> None:
        os.write(self.pipe, b"\n")
        self.wait_until(lambda: fcntl.ioctl(self.pipe, termios.FIONREAD, b"\0" * 4) == b"\0" * 4)

    def workers(self) -> list[int]:
        number = self.process.pid
        return [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        os.close(self.pipe)


def lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def start(tmp_path):
    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc")
    started = []

    def start(workers):
        started.append(Running(tmp_path, workers))
        started[0].wait_until_it_reads()
        return started[0]

    yield start
    for running in started:
        running.close()


@pytest.mark.parametrize(("number", "code", "workers"), [(2, 130, 1), (2, 130, 2), (15, 143, 2)])
def test_a_signal_ends_all_processes_in_good_order(start, workers, number, code):
    running = start(workers)
    children = running.workers()
    assert len(children) == (workers if workers > 1 else 0)
    began = monotonic()
    if number == signal.SIGINT:
        os.killpg(running.process.pid, number)  # as Ctrl-C does
    else:
        running.process.send_signal(number)
    assert running.end() == (code, "", f"cem replay: stopped; what is in {running.folder / 'out'} is not complete\n")
    assert monotonic() - began < 5
    assert not any(map(lives, children))
    if workers > 1:  # else the reader that hangs is in the process itself, which can only end
        assert list((running.folder / "tmp").iterdir()) == []


def test_a_killed_worker_ends_all(start):
    running = start(2)
    children = running.workers()
    os.kill(children[1], signal.SIGKILL)
    code, out, err = running.end()
    assert (code, out) == (3, "")
    assert err.startswith("cem replay: a worker process was killed (SIGKILL)")
    assert err.count("\n") == 1
    assert not any(map(lives, children))
    assert list((running.folder / "tmp").iterdir()) == []


def test_workers_end_with_the_process_that_started_them(start):
    running = start(2)
    children = running.workers()
    running.process.kill()
    running.process.wait()
    running.wait_until(lambda: not any(map(lives, children)))
