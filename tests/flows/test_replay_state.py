"""What a replay with ``--state`` refuses to go on from, and what it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flows.failures import failure_message
from flows.replay import ReplayJob, replay
from rules.load import load_rules
from rules.policy import Policy
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
    again = replay(job)
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
    assert "--policy" in refusal(replace(job, policy=replace(Policy.default(), timezone="Europe/Berlin")))


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
