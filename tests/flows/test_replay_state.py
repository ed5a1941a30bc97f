"""What a replay with ``--state`` refuses to go on from, and what it leaves alone."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from dataclasses import replace
from importlib.resources import files

import pytest

from flows.failures import failure_message
from flows.keeper import Snapshot
from flows.replay import ReplayJob, replay
from rules.load import load_rules
from rules.policy import Policy
from state.disk import Disk
from state.state_folder import StateFolder

RULES = """\
version: 1
timezone: Asia/Shanghai
rules:
  - id: searches
    trigger: click["提前还款" in query]
    let: {n: 'count(click["提前还款" in query], last="7d")'}
    when: n >= %d
    then: [{ticket: {queue: retention, sla: 2h, subject: "搜索{n}次"}}]
"""


def rule_set(folder, least=2):
    path = folder / f"rules-{least}.yaml"
    path.write_text(RULES % least, encoding="utf-8")
    rules, problems = load_rules([path])
    assert rules is not None, problems
    return rules


@pytest.fixture
def job(tmp_path):
    events = tmp_path / "events.ndjson"
    events.write_text(
        "".join(
            json.dumps({"stream": "click", "event_id": f"e{i}", "customer_id": f"c{i % 5}", "ts": 1_760_000_000_000 + i,
                        "query": "提前还款", "page": "search"}) + "\n"
            for i in range(40)
        ),
        encoding="utf-8",
    )  # fmt: skip
    return ReplayJob(rule_set(tmp_path), (events,), tmp_path / "out", state=tmp_path / "state")


def refusal(job):
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - the runtime's own error, which is none of ours, holds it
        replay(job)
    message = failure_message(caught.value)
    assert "Traceback" not in message
    return message


def written(job):
    return {path.name: path.read_bytes() for path in job.out.iterdir() if path.name != "summary.json"}


def test_a_run_that_has_ended_stays_so(job):
    first = replay(job)
    before = written(job)
    assert before["actions.ndjson"].count(b"\n") == 35
    told: list[str] = []
    again = replay(job, tell=told.append)
    assert told == ["The run before had read all events: none were left for this one."]
    assert written(job) == before
    same = ("events", "dead_letters", "duplicates", "late", "decisions", "pending", "armed")
    assert {name: again[name] for name in same} == {name: first[name] for name in same}


def test_other_arguments_are_refused_by_name(job, tmp_path):
    replay(job)
    other = replace(job, rules=rule_set(tmp_path, least=3), lateness_ms=5)
    message = refusal(other)
    assert str(job.state) in message
    assert "other --lateness" in message
    assert "start anew with another --state" in message


def test_another_text_model_is_refused(job, tmp_path):
    replay(job)
    (tmp_path / "text.model").write_bytes((files("config") / "text.model").read_bytes())
    trained = replace(job, text_model=tmp_path / "text.model")
    assert "other --text-model" in refusal(trained)
    trained = replace(trained, state=tmp_path / "trained", out=tmp_path / "trained-out")
    replay(trained)
    replay(trained)
    assert "other --text-model" in refusal(replace(trained, text_model=None))


def test_another_policy_is_told(job):
    replay(job)
    told: list[str] = []
    replay(replace(job, policy=replace(Policy.default(), timezone="Europe/Berlin")), tell=told.append)
    assert told[0].startswith("The contact policy is another than before.")
    assert len(told) == 2
    told.clear()
    replay(replace(job, policy=replace(Policy.default(), timezone="Europe/Berlin")), tell=told.append)
    assert len(told) == 1


def test_the_number_of_processes_and_the_epoch_may_change(job):
    replay(replace(job, epoch_ms=5))
    replay(replace(job, workers=2, epoch_ms=50, compact_after_ms=0))


def test_a_folder_in_use_is_refused(job):
    replay(job)
    with StateFolder.open(job.state, {}):
        assert "uses this folder" in refusal(job)


def test_an_output_that_lost_lines_is_refused(job):
    replay(job)
    actions = job.out / "actions.ndjson"
    actions.write_bytes(actions.read_bytes()[:100])
    message = refusal(job)
    assert str(actions) in message
    assert "has 100 bytes" in message


def test_a_damaged_file_is_named(job):
    replay(job)
    path = next(path for path in sorted(job.state.glob("decide-*/*")) if path.suffix in (".base", ".delta"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert str(path.parent) in refusal(job)


def test_a_folder_that_is_something_else_is_refused(job, tmp_path):
    assert "--state" in refusal(replace(job, state=tmp_path))


def test_a_file_that_cannot_be_finished_ends_the_run(job, monkeypatch):
    """It is finished in another thread than that which wrote it; when there is room again, the run goes on."""
    fsync = Disk.fsync

    def full(self, file):
        if threading.current_thread() is not threading.main_thread():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(self, file)

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "fsync", full)
        message = refusal(job)
    assert re.search(r"decide-\d\d/000000000001\.base: cannot write the file: .*make room on the disk", message)
    replay(job)
    assert written(job)["actions.ndjson"].count(b"\n") == 35


def test_the_runtime_remembers_only_what_is_on_the_disk(job, monkeypatch):
    """When it writes down which file a shard had last, that file is there in full and its name is on the disk."""
    on_disk = set()
    remembered = []
    sync, reduce = Disk.fsync_folder, Snapshot.__reduce__

    def fsync_folder(self, path):
        sync(self, path)
        on_disk.update(path.iterdir())

    def pickled(self):
        reduced = reduce(self)
        number, version, _ = reduced[1][0]
        remembered.append(f"decide-{number:02d}/{version:012d}")
        assert remembered[-1] in {f"{path.parent.name}/{path.stem}" for path in on_disk}
        return reduced

    monkeypatch.setattr(Disk, "fsync_folder", fsync_folder)
    monkeypatch.setattr(Snapshot, "__reduce__", pickled)
    replay(replace(job, epoch_ms=5))
    assert len(remembered) >= 16


def test_rows_that_another_version_laid_out_otherwise(job, monkeypatch):
    replay(job)
    monkeypatch.setattr("state.tables.FRONT_WORDS", 3)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - the runtime's own error holds ours
        replay(job)
    text = failure_message(caught.value)
    assert re.search(r"decide-\d\d: .* words, not \d+ each: another version of the program laid them out; go on", text)


def _shortened(file):
    os.truncate(file, 20_000)


def _emptied(file):
    os.truncate(file, 0)


def _removed_with_its_folder(file):
    file.unlink()
    file.parent.rmdir()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_shortened, "the runtime's database cannot be read"),
        (_emptied, "the runtime's database cannot be read"),
        (os.unlink, "the runtime's database has no file"),
        (_removed_with_its_folder, "the runtime's database is missing"),
    ],
)
def test_a_damaged_database_of_the_runtime_is_named_and_outputs_are_left_alone(job, damage, said):
    replay(job)
    before = written(job)
    database = job.state / "runtime"
    for path in database.glob("*-wal"):
        path.unlink()
    damage(database / "part-0.sqlite3")
    message = refusal(job)
    assert message.startswith(f"{database}: {said}")
    assert "restore the state folder from a copy" in message
    assert written(job) == before
