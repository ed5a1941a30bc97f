"""Rules paused while the engine runs: what would have been done is written with the reason, and nothing else."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

import flows.replay
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decider import Decider
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from rules.load import load_rules
from rules.planner import make_plan
from rules.policy import load_policy
from state.tables import R_ARMED
from tests.reference.compare import compare
from tests.reference.engine import read_lines, run_engine
from tests.reference.evaluator import evaluate
from tests.reference.generate import Case, random_stream
from tests.reference.generate_rules import random_policy, random_rules

HOUR_MS = 3_600_000
NIGHT_MS = 1_760_108_400_000  # 2025-10-10T23:00 in Shanghai
MORNING_MS = NIGHT_MS + 10 * HOUR_MS

RULES = """
version: 1
rules:
  - id: ticket
    trigger: click[page == "ticket"]
    cooldown: 1d
    then: [{ticket: {}}, {tag: {}}]
  - id: waits
    trigger: click[page == "waits"]
    unless: {event: txn, within: 1h, restart: latest}
    then: [{tag: {}}]
  - id: offer
    class: marketing
    trigger: click[page == "offer"]
    then: [{notify: {channel: app}}]
  - id: trial
    status: shadow
    trigger: click[page == "ticket"]
    cooldown: 1d
    then: [{tag: {}}]
"""
POLICY = """
version: 1
quiet_hours: {from: "21:00", to: "09:00", action: defer}
caps: [{class: "*", max: 2, per: 1d}]
"""


class Engine:
    """A shard to which events are given one by one."""

    def __init__(self, folder: Path) -> None:
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
        rules, problems = load_rules([folder / "rules.yaml"])
        policy, more = load_policy(folder / "policy.yaml")
        assert rules is not None, problems
        assert policy is not None, more
        plan = make_plan(rules)
        decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=None)
        self._reader = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), (1, 2)))
        self._clock = PartitionClock()
        self.tables = PlanTables(plan)
        self.decider = Decider(self.tables, policy, decoder.values)

    def pause(self, *rule_ids: str) -> None:
        self.tables.paused = frozenset(rule_ids)

    def click(self, at_ms: int, page: str) -> list[tuple[str, str]]:
        event = {"stream": "click", "event_id": f"e{at_ms}", "customer_id": "C", "ts": at_ms, "page": page}
        return self._run(event, at_ms)

    def pay(self, at_ms: int) -> list[tuple[str, str]]:
        event = {"stream": "txn", "event_id": f"e{at_ms}", "customer_id": "C", "ts": at_ms, "amount": 1,
                 "direction": "in"}  # fmt: skip
        return self._run(event, at_ms)

    def until(self, at_ms: int) -> list[tuple[str, str]]:
        return self._found(self.decider.run(None, None, at_ms))

    def _run(self, event: dict[str, Any], at_ms: int) -> list[tuple[str, str]]:
        events = self._reader.read([json.dumps(event).encode()], "f", 1, self._clock).events
        return self._found(self.decider.run(events, None, at_ms + 1))

    def _found(self, outcome) -> list[tuple[str, str]]:
        self.records = [json.loads(line) for line in outcome.lines]
        self.counts = outcome.counts
        return [(record["rule_id"], record["reason"] or record["decision"]) for record in self.records]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def test_what_a_paused_rule_decides_is_written_and_remembered_nowhere(engine: Engine) -> None:
    engine.pause("ticket", "trial")
    assert engine.click(MORNING_MS, "ticket") == [("ticket", "paused")] * 2 + [("trial", "paused")]
    assert all(record["would_be"] is None and record["decision"] == "suppressed" for record in engine.records)
    assert engine.counts["decisions", "ticket", "paused"] == 2
    engine.pause()
    # no cooldown, no cap and no open ticket: as if nothing had been
    assert engine.click(MORNING_MS + 1, "ticket") == [("ticket", "emitted")] * 2 + [("trial", "shadow")]
    assert engine.records[2]["would_be"] == "cap"
    engine.pause("ticket")
    assert engine.click(MORNING_MS + 2, "ticket")[:2] == [("ticket", "paused")] * 2  # before all other reasons


def test_a_paused_rule_does_not_arm(engine: Engine) -> None:
    engine.pause("waits")
    assert engine.click(MORNING_MS, "waits") == []
    assert engine.until(MORNING_MS + 2 * HOUR_MS) == []
    assert not engine.decider.store.fixed[:, R_ARMED].any()
    engine.pause()
    assert engine.click(MORNING_MS + 3 * HOUR_MS, "waits") == []
    assert engine.until(MORNING_MS + 5 * HOUR_MS) == [("waits", "emitted")]


def test_what_was_armed_comes_due_as_paused(engine: Engine) -> None:
    engine.click(MORNING_MS, "waits")
    engine.pause("waits")
    engine.click(MORNING_MS + 1, "waits")  # puts nothing off, though `restart` is `latest`
    assert engine.until(MORNING_MS + HOUR_MS + 1) == [("waits", "paused")]
    assert engine.records[0]["anchor_event_id"] == f"e{MORNING_MS}"
    assert engine.decider.timers.next_ms() is None


def test_what_was_armed_is_still_disarmed_while_paused(engine: Engine) -> None:
    engine.click(MORNING_MS, "waits")
    engine.pause("waits")
    engine.click(MORNING_MS + 1, "waits")
    assert engine.pay(MORNING_MS + 2) == []
    assert engine.until(MORNING_MS + 2 * HOUR_MS) == []


def test_a_pause_that_ends_before_the_deadline_changes_nothing(engine: Engine) -> None:
    engine.click(MORNING_MS, "waits")
    engine.pause("waits")
    engine.until(MORNING_MS + 5)
    engine.pause()
    assert engine.until(MORNING_MS + 2 * HOUR_MS) == [("waits", "emitted")]


def test_held_decisions(engine: Engine) -> None:
    assert engine.click(NIGHT_MS, "offer") == []
    engine.pause("offer")
    assert engine.click(NIGHT_MS + 1, "offer") == [("offer", "paused")]  # written at once and not held
    assert engine.until(MORNING_MS + 1) == [("offer", "paused")]
    assert engine.records[0]["ts"] == MORNING_MS
    assert engine.decider.timers.held_decisions == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_replay_with_paused_rules_decides_as_the_reference(seed: int, tmp_path: Path, monkeypatch) -> None:
    rng = Random(seed)
    case = Case([random_rules(rng, 8)], random_policy(rng), random_stream(rng, 300), {})
    alone = {record["rule_id"] for record in case.run().decisions}
    paused = frozenset(rng.sample(sorted(alone), min(len(alone), 3)))

    class Paused(PlanTables):
        def __init__(self, *args, **more) -> None:
            super().__init__(*args, **more)
            self.paused = paused

    monkeypatch.setattr(flows.replay, "PlanTables", Paused)
    summary = run_engine(case, tmp_path)
    want = evaluate(case.rules, case.policy, case.partitions, paused=paused)
    assert compare(want.decisions, read_lines(tmp_path / "out" / "actions.ndjson")) is None
    assert summary["pending"] == want.pending
    for rule_id in paused:
        assert summary["decisions"].get(rule_id, {}).keys() <= {"paused"}
