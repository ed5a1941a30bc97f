"""The files of paused rules: what every reader sees, whatever befalls the files and whoever writes at once."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.live.chores import Chores
from flows.live.meters import Meters
from flows.live.pause_watch import PauseFollower, PauseWatch
from flows.live.pauses import PauseFiles, PausesError
from state.state_folder import StateFolder

AT_MS = 1_760_000_000_000


class Events:
    def __init__(self) -> None:
        self.paused: list[list[str]] = []
        self.errors: list[str] = []

    def paused_rules(self, rule_ids: frozenset[str]) -> None:
        self.paused.append(sorted(rule_ids))

    def pauses_unreadable(self, error: str) -> None:
        self.errors.append(error)


def pause(state: Path, *rule_ids: str, change: str = "pause", why: str = "") -> list[str]:
    made, _ = PauseFiles(state).change(rule_ids, change, at_ms=AT_MS, by="ann", why=why)
    return [one.rule_id for one in made]


def resume(state: Path, *rule_ids: str) -> list[str]:
    return pause(state, *rule_ids, change="resume")


def file_of(state: Path) -> Path:
    return state / "control" / "pauses.json"


def log_of(state: Path) -> Path:
    return state / "control" / "changes.ndjson"


def test_what_is_paused_is_kept_with_who_and_why(tmp_path: Path) -> None:
    assert PauseFiles(tmp_path / "state").paused() == {}
    assert pause(tmp_path / "state", "a", "b", "a", why="wrong texts") == ["a", "b"]
    assert pause(tmp_path / "state", "b", "c") == ["c"]
    assert resume(tmp_path / "state", "a", "never") == ["a"]
    found = PauseFiles(tmp_path / "state").paused()
    assert {rule_id: (one.by, one.why, one.at_ms) for rule_id, one in found.items()} == {
        "b": ("ann", "wrong texts", AT_MS), "c": ("ann", "", AT_MS),
    }  # fmt: skip
    changes, _ = PauseFiles(tmp_path / "state").changes()
    assert [(one.rule_id, one.change) for one in changes] == [
        ("a", "pause"), ("b", "pause"), ("c", "pause"), ("a", "resume"),
    ]  # fmt: skip
    assert len({one.id for one in changes}) == 4
    assert set(json.loads(log_of(tmp_path / "state").read_bytes().splitlines()[0])) == {
        "id", "at_ms", "rule_id", "change", "by", "why",
    }  # fmt: skip


def test_a_run_takes_a_folder_in_which_rules_were_paused_before(tmp_path: Path) -> None:
    pause(tmp_path / "state", "a")
    with StateFolder.open(tmp_path / "state", {}) as folder:
        assert folder.shards() == []
    assert PauseFiles(tmp_path / "state").paused().keys() == {"a"}


def _pause_many(state: Path, first: int) -> None:
    for number in range(first, first + 20):
        pause(state, f"rule-{number}")


def test_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_pause_many, args=(tmp_path, 20 * n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    want = {f"rule-{number}" for number in range(80)}
    assert PauseFiles(tmp_path).paused().keys() == want
    changes, size = PauseFiles(tmp_path).changes()
    assert {one.rule_id for one in changes} == want
    assert size == log_of(tmp_path).stat().st_size
    assert PauseFiles(tmp_path).paused_by_log().keys() == want


WHOLE_LINE = b'{"id":"x","at_ms":1,"rule_id":"b","change":"pause","by":"","why":""}\n'


@pytest.mark.parametrize("tail", [WHOLE_LINE[:30], WHOLE_LINE])
def test_a_command_that_was_stopped_before_its_end_has_done_nothing(tmp_path: Path, tail: bytes) -> None:
    pause(tmp_path, "a")
    with open(log_of(tmp_path), "ab") as log:
        log.write(tail)
    assert PauseFiles(tmp_path).paused().keys() == {"a"}
    assert len(PauseFiles(tmp_path).changes()[0]) == 1
    pause(tmp_path, "c")
    assert [one.rule_id for one in PauseFiles(tmp_path).changes()[0]] == ["a", "c"]


@pytest.mark.parametrize("contents", [b"", b"{", b"[]", b'{"version":2,"log_bytes":0,"paused":{}}', b"\xff\xfe"])
def test_a_damaged_file_is_an_error_and_the_engine_keeps_what_it_knew(tmp_path: Path, contents: bytes) -> None:
    events = Events()
    watch = PauseWatch(tmp_path, events)
    pause(tmp_path, "a")
    assert watch.poll() == {"a"}
    file_of(tmp_path).write_bytes(contents)
    with pytest.raises(PausesError, match=r"pauses\.json: the file is damaged.*remove it"):
        pause(tmp_path, "b")
    assert [watch.poll(), watch.poll()] == [{"a"}] * 2
    assert len(events.errors) == 1
    late = PauseWatch(tmp_path, events)
    assert late.poll() == {"a"}  # an engine that starts now goes by the log
    file_of(tmp_path).unlink()
    assert watch.poll() == {"a"}
    pause(tmp_path, "b")
    assert [watch.poll(), late.poll()] == [{"a", "b"}] * 2
    assert events.paused == [["a"], ["a"], ["a", "b"], ["a", "b"]]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("")
    with pytest.raises(PausesError, match=r"control.*cannot be used"):
        pause(tmp_path, "a")


def test_a_log_that_is_too_short_is_an_error(tmp_path: Path) -> None:
    pause(tmp_path, "a")
    log_of(tmp_path).write_bytes(b"")
    with pytest.raises(PausesError, match="changes are missing"):
        pause(tmp_path, "b")
    assert PauseFiles(tmp_path).paused().keys() == {"a"}


class Audit:
    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.fails = False

    def __call__(self, lines: list[bytes]) -> None:
        self.rows += [json.loads(line) for line in lines]
        if self.fails:
            raise OSError("away")


def follower_of(state: Path, applied: list[set[str]], audit: Audit | None = None) -> PauseFollower:
    return PauseFollower(PauseWatch(state, Events()), lambda paused: applied.append(set(paused)), audit)


def test_every_change_is_audited_at_least_once(tmp_path: Path) -> None:
    audit = Audit()
    pause(tmp_path, "a")
    assert follower_of(tmp_path, [], audit).audit_once() == 1
    assert follower_of(tmp_path, [], audit).audit_once() == 0  # another process, later
    resume(tmp_path, "a")
    pause(tmp_path, "b")
    audit.fails = True
    with pytest.raises(OSError, match="away"):
        follower_of(tmp_path, [], audit).audit_once()
    audit.fails = False
    assert follower_of(tmp_path, [], audit).audit_once() == 2
    assert [(row["rule_id"], row["change"]) for row in audit.rows] == [
        ("a", "pause"), ("a", "resume"), ("b", "pause"), ("a", "resume"), ("b", "pause"),
    ]  # fmt: skip
    assert len({row["id"] for row in audit.rows}) == 3
    (tmp_path / "control" / "audited.json").write_bytes(b"?")
    assert follower_of(tmp_path, [], audit).audit_once() == 3


def test_the_follower_applies_changes_only(tmp_path: Path) -> None:
    applied: list[set[str]] = []
    follower = follower_of(tmp_path, applied)
    follower.look()
    pause(tmp_path, "a")
    follower.look()
    follower.look()
    resume(tmp_path, "a")
    follower.look()
    assert applied == [{"a"}, set()]


def test_the_log_is_read_for_the_audit_only_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    changes = PauseFiles.changes
    monkeypatch.setattr(PauseFiles, "changes", lambda files, after=0: (read.append(after), changes(files, after))[1])
    follower = follower_of(tmp_path, [], Audit())
    assert [follower.audit_once() for _ in range(3)] == [0, 0, 0]
    pause(tmp_path, "a")
    assert [follower.audit_once() for _ in range(3)] == [1, 0, 0]
    assert len(read) == 2


def test_files_that_cannot_be_read_are_told_of_once_and_audited_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now, audit = [1000.0], Audit()
    tables: Any = SimpleNamespace(paused=frozenset())
    pause(tmp_path, "a")
    chores = Chores(tmp_path, tables, Meters(), audit, lambda: now[0])
    assert tables.paused == {"a"}
    contents = file_of(tmp_path).read_bytes()
    file_of(tmp_path).write_bytes(b"{")
    for _ in range(60):
        now[0] += 1
        chores.do()
    assert [record.message.count("not audited") for record in caplog.records].count(1) == 1
    file_of(tmp_path).write_bytes(contents)
    pause(tmp_path, "b")
    now[0] += 6
    chores.do()
    assert tables.paused == {"a", "b"}
    assert [row["rule_id"] for row in audit.rows] == ["a", "b"]


RULES = """
version: 1
rules:
  - {id: late-fee, title: 滞纳金, trigger: click, then: [{tag: {}}]}
  - {id: early-bird, trigger: click, then: [{tag: {}}]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    path = tmp_path / "live.yaml"
    path.write_text(
        "rules: [rules.yaml]\nstate: state\nsource: {bootstrap: 'localhost:1', topics: {click: [c]}}\n"
        "sinks: {files: out}\n"
    )
    return path


def cem(*arguments: str | Path) -> tuple[int, str, str]:
    run = subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2], env=os.environ | {"COLUMNS": "120"},
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


def test_the_commands(config: Path) -> None:
    assert cem("rules", "paused", "--config", config)[:2] == (0, "no rule is paused\n")
    done = cem("rules", "pause", "late-fee", "--config", config, "--by", "ann", "--why", "wrong amount")
    assert done == (0, "late-fee is paused\n", "")
    code, out, _ = cem("rules", "pause", "late-fee", "early-bird", "--config", config, "--by", "bob")
    assert code == 0
    assert "late-fee was paused already, by ann at 2" in out
    assert "early-bird is paused" in out
    code, out, _ = cem("rules", "paused", "--config", config)
    assert code == 0
    assert [word in out for word in ("滞纳金", "wrong amount", "ann", "bob")] == [True] * 4
    assert cem("rules", "resume", "late-fee", "--config", config)[1] == "late-fee is no longer paused\n"
    assert PauseFiles(config.parent / "state").paused().keys() == {"early-bird"}


def test_an_unknown_rule_is_refused_and_nothing_changes(config: Path) -> None:
    code, out, err = cem("rules", "pause", "early-bird", "late-fees", "--config", config)
    assert (code, out) == (1, "")
    assert "no rule has the id `late-fees` (did you mean `late-fee`?)" in err
    assert PauseFiles(config.parent / "state").paused() == {}


def test_rules_that_do_not_load_do_not_keep_the_switch_from_working(config: Path) -> None:
    (config.parent / "rules.yaml").write_text("version: 1\nrules: [")
    code, out, err = cem("rules", "pause", "late-fee", "--config", config)
    assert (code, out) == (0, "late-fee is paused\n")
    assert "warning" in err


def test_a_damaged_file_is_told_by_the_command(config: Path) -> None:
    cem("rules", "pause", "late-fee", "--config", config)
    file_of(config.parent / "state").write_text("{")
    code, _, err = cem("rules", "pause", "early-bird", "--config", config)
    assert code == 3
    assert "pauses.json: the file is damaged" in err
    assert "Traceback" not in err
