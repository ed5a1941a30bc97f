"""Deciding for one shard: what the worked cases cannot see, as it is not in the decisions."""

import pytest

from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decider import Decider
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from rules.load import load_rules
from rules.planner import make_plan
from rules.policy import Policy
from state.sequencer import AFTER_ALL_MS

RULE = """
version: 1
rules:
  - id: waits
    trigger: click
    unless: {{event: txn, within: 90d, restart: {restart}}}
    then: [{{tag: {{}}}}]
"""


@pytest.mark.parametrize(("restart", "streams"), [("latest", ["click"]), ("first", ["click", "txn"])])
def test_a_rule_has_one_deadline_in_memory_however_often_it_is_armed(tmp_path, restart, streams):
    path = tmp_path / "rules.yaml"
    path.write_text(RULE.format(restart=restart), encoding="utf-8")
    rules, problems = load_rules([path])
    assert rules is not None, problems
    plan = make_plan(rules)
    decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=None)
    reader = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), (1, 2)))
    decider = Decider(PlanTables(plan), Policy.default(), decoder.values)
    clock = PartitionClock()

    def event(at_ms, stream):
        line = (
            f'{{"stream":"{stream}","event_id":"e{at_ms}","customer_id":"C","ts":{at_ms},"amount":1,"direction":"in"}}'
        )
        return reader.read([line.encode()], "f", 1, clock).events

    for at_ms in range(1000):
        assert decider.run(event(at_ms, streams[at_ms % len(streams)]), None, at_ms + 1).lines == []
        assert len(decider.timers._heap) == 1
    (line,) = decider.run(event(1000, "click"), None, AFTER_ALL_MS).lines
    assert f'"ts":{1000 + 90 * 86_400_000}'.encode() in line
    assert b'"anchor_event_id":"e1000"' in line
    assert decider.timers.next_ms() is None
