"""Deciding for one shard: what the worked cases cannot see, as it is not in the decisions."""

import json
from dataclasses import replace

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
from rules.ticket_policy import ServiceLevel, TicketLimit, TicketPolicy, TicketsMeant
from rules.work_calendar import ALWAYS
from state.sequencer import AFTER_ALL_MS

HOUR_MS, DAY_MS = 3_600_000, 86_400_000

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


TICKETS = """
version: 1
rules:
  - {id: asked, trigger: click, then: [{ticket: {}}]}
"""


def _with_tickets(path):
    """A decider that follows tickets, and one message after another for it."""
    path.write_text(TICKETS, encoding="utf-8")
    rules, problems = load_rules([path])
    assert rules is not None, problems
    limits = (("resolution", TicketLimit(HOUR_MS, "open")), ("statutory", TicketLimit(15, "days")))
    level = ServiceLevel("all", TicketsMeant(), ALWAYS, limits, 60, 20, None)
    policy = replace(Policy.default(), tickets=TicketPolicy(ALWAYS, 20, (), (level,), DAY_MS, DAY_MS))
    plan = make_plan(rules)
    decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=None)
    reader = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), (1, 2)))
    decider = Decider(PlanTables(plan, 0), policy, decoder.values)
    clock = PartitionClock()

    def take(at_ms, **event):
        line = json.dumps({"event_id": f"e{at_ms}", "customer_id": "C", "ts": at_ms, **event})
        return decider.run(reader.read([line.encode()], "f", 1, clock).events, None, at_ms + 1).lines

    return decider, take


def test_a_ticket_has_one_timer_in_memory_however_many_messages_it_has(tmp_path):
    decider, take = _with_tickets(tmp_path / "rules.yaml")
    (opened,) = take(0, stream="click")
    about = {"stream": "ticket", "ticket_id": json.loads(opened)["action_id"], "stage": "accepted"}
    for at_ms in range(1, 300):
        assert take(at_ms, **about, paused=at_ms % 2 == 1, extend_days=at_ms // 10) == []
        assert len(decider.timers._heap) == 1
    told = [json.loads(line) for line in decider.run(None, None, HOUR_MS + 1_000).lines]
    assert told == []  # it is paused, and the timer that came too early has been set anew
    assert len(decider.timers._heap) == 1
    told = [json.loads(line)["payload"] for line in decider.run(None, None, AFTER_ALL_MS).lines]
    assert [(one["event"], one["clock"]) for one in told] == [("warning", "statutory"), ("breach", "statutory")]


def test_what_has_been_closed_for_long_is_followed_no_more(tmp_path):
    decider, take = _with_tickets(tmp_path / "rules.yaml")
    (opened,) = take(0, stream="click")
    take(1, stream="ticket", ticket_id=json.loads(opened)["action_id"], stage="closed")
    (customer,) = decider.customers.by_row.values()
    decider.run(None, None, DAY_MS)
    assert len(customer.followed) == 1
    decider.run(None, None, DAY_MS + 2)
    assert customer.followed == ()
    assert customer.has_tickets
