"""Deciding for one shard: what the worked cases cannot see, as it is not in the decisions."""

import pytest

from operators.decider import Decider
from operators.match import MaskBuilder
from rules.load import load_rules
from rules.model import STREAMS
from rules.planner import make_plan
from rules.policy import Policy
from state.event import Event
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
    decider, masks = Decider(plan, Policy.default()), MaskBuilder(plan.matchers)

    def event(at_ms, stream):
        code, values = STREAMS.index(stream), (None,) * len(plan.fields[stream])
        return Event(at_ms, code, f"e{at_ms}", "C", b"", at_ms, False, masks.masks([code], [values])[0], values), None

    for at_ms in range(1000):
        assert decider.run([event(at_ms, streams[at_ms % len(streams)])], at_ms + 1).lines == []
        assert len(decider._timers._heap) == 1
    (line,) = decider.run([event(1000, "click")], AFTER_ALL_MS).lines
    assert f'"ts":{1000 + 90 * 86_400_000}'.encode() in line
    assert b'"anchor_event_id":"e1000"' in line
    assert decider._timers.next_ms() is None
