"""Views of customers: what they say, whom they are of, and how often."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import flows.dataflow
import flows.replay
import tests.reference.evaluator
from flows.kernels import warm_up
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decider import Decider
from operators.decode import Decoder, PartitionClock
from operators.outcome import Outcome
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from operators.view_pace import ViewPace
from rules.load import load_rules
from rules.planner import make_plan
from rules.policy import Policy
from rules.ticket_policy import ServiceLevel, TicketLimit, TicketPolicy, TicketsMeant
from rules.work_calendar import ALWAYS
from tests.reference.compare import same
from tests.reference.engine import run_engine
from tests.reference.evaluator import World
from tests.reference.generate import Case, random_stream
from tests.reference.generate_rules import random_policy, random_rules

T0_MS, SECOND_MS, DAY_MS = 1_760_000_000_000, 1_000, 86_400_000

RULES = """
version: 1
rules:
  - id: seen
    trigger: click
    let:
      clicks: count(click, last="7d")
      page: click.page
      tier: profile.tier
      twice: clicks * 2
      here: page == "x"
      device: count(txn, last="1h", per="device_id")
    when: False
    then: [{tag: {}}]
  - id: opens
    trigger: click[page == "open"]
    then: [{ticket: {}}]
  - id: waits
    trigger: click[page == "wait"]
    unless: {event: txn, within: 1h}
    then: [{tag: {}}]
"""


class Engine:
    """A shard with a clock of its own; the wall clock is event time unless a test says otherwise."""

    def __init__(self, folder: Path, rules: str = RULES, every_ms: int = 10_000, per_second: int = 1_000,
                 policy: Policy | None = None) -> None:  # fmt: skip
        (folder / "rules.yaml").write_text(rules, encoding="utf-8")
        loaded, problems = load_rules([folder / "rules.yaml"])
        assert loaded is not None, problems
        plan = make_plan(loaded)
        decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=None)
        self._reader = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), (1, 2)))
        self._clock = PartitionClock()
        self.now_ms = T0_MS
        self.tables = PlanTables(plan, compact_after_ms=DAY_MS)
        self.tables.views = ViewPace(every_ms, per_second, lambda: self.now_ms)
        self.decider = Decider(self.tables, policy or Policy.default(), decoder.values)
        self._ids = 0

    def at(self, after_ms: int, *events: dict[str, Any]) -> list[dict[str, Any]]:
        """The views of a step that takes events of one moment, and ends just after them."""
        at_ms = self.now_ms = T0_MS + after_ms
        lines = []
        for event in events:
            self._ids += 1
            lines.append(json.dumps({"event_id": f"e{self._ids}", "customer_id": "C", "ts": at_ms} | event).encode())
        batch = self._reader.read(lines, "f", 1, self._clock).events if lines else None
        return [json.loads(line) for line in self.decider.run(batch, None, at_ms + 1).views]


def click(customer: str = "C", page: str = "p") -> dict[str, Any]:
    return {"stream": "click", "customer_id": customer, "page": page}


def names(views: list[dict[str, Any]]) -> list[str]:
    return [view["customer_id"] for view in views]


def test_a_view(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    profile = {"stream": "profile", "tier": "gold", "holdings": [{"holding_id": "h"}], "other": "unread"}
    (view,) = engine.at(0, profile, click(page="open"), click(page="wait"), click())
    (ticket,) = view.pop("tickets")
    ticket_id = ticket.pop("ticket_id")
    assert (len(ticket_id), ticket) == (32, {"rule_id": "opens", "holding_id": None})
    assert view == {
        "customer_id": "C", "as_of": T0_MS + 1,
        "profile": {"tier": "gold", "holdings": [{"holding_id": "h"}]},
        # what needs an event, such as its page or its device, is not there
        "features": {"seen": {"clicks": 3, "tier": "gold", "twice": 6}},
        "armed": [{"rule_id": "waits", "deadline": T0_MS + 3_600_000}],
    }  # fmt: skip
    paid = {"stream": "txn", "amount": 1, "direction": "in"}
    closed = {"stream": "ticket", "ticket_id": ticket_id, "stage": "closed"}
    (view,) = engine.at(7 * DAY_MS, paid, closed)
    assert (view["features"]["seen"]["clicks"], view["armed"], view["tickets"]) == (0, [], [])


def test_a_followed_ticket_is_shown_with_its_stage_and_deadline(tmp_path: Path) -> None:
    level = ServiceLevel(
        "all", TicketsMeant(), ALWAYS,
        (("first_response", TicketLimit(3_600_000, "open")), ("resolution", TicketLimit(7_200_000, "open"))),
        0, 20, None,
    )  # fmt: skip
    policy = replace(Policy.default(), tickets=TicketPolicy(ALWAYS, 20, (), (level,), DAY_MS, DAY_MS))
    engine = Engine(tmp_path, policy=policy)
    (view,) = engine.at(0, click(page="open"))
    (ticket,) = view["tickets"]
    assert (ticket["stage"], ticket["due"]) == ("created", T0_MS + 3_600_000)
    accepted = {"stream": "ticket", "ticket_id": ticket["ticket_id"], "stage": "accepted"}
    (view,) = engine.at(60_000, accepted)
    assert [(one["stage"], one["due"]) for one in view["tickets"]] == [("accepted", T0_MS + 7_200_000)]


def test_a_customer_is_looked_at_once_in_a_while(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert names(engine.at(0, click())) == ["C"]
    assert names(engine.at(300, click(), click("D"))) == ["D"]
    assert names(engine.at(9_900, click())) == []
    (view,) = engine.at(10_200)  # nothing new just now, but since the last time
    assert view["features"]["seen"]["clicks"] == 3
    assert engine.at(10_600) == []  # nothing new of D, for whom it would be time
    assert names(engine.at(40_000)) == []  # nothing new at all


def test_views_are_bounded_and_those_with_decisions_come_first(tmp_path: Path) -> None:
    engine = Engine(tmp_path, per_second=4)
    engine.at(0)
    many = [click(f"C{n}") for n in range(20)]
    first = names(engine.at(1_000, *many, click("C19", "open")))
    assert first[0] == "C19"
    seen = first
    for second in range(2, 7):
        found = names(engine.at(1_000 * second))
        assert len(found) <= 4
        seen += found
    assert sorted(seen) == sorted({f"C{n}" for n in range(20)})


def test_a_decision_of_a_customer_who_was_just_looked_at_is_shown_when_it_is_time(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.at(0, click())
    assert engine.at(1_000, click(page="open")) == []
    (view,) = engine.at(10_000)
    assert len(view["tickets"]) == 1
    assert engine.at(30_000) == []


def test_a_decision_comes_first_also_when_it_had_to_wait(tmp_path: Path) -> None:
    engine = Engine(tmp_path, per_second=1)
    engine.at(0, click())
    others = [click(f"D{n}") for n in range(30)]
    assert names(engine.at(1_000, *others, click(page="open")))[0].startswith("D")
    seen = [name for second in range(2, 14) for name in names(engine.at(1_000 * second))]
    assert seen[8] == "C"  # at 10 s
    assert seen.count("C") == 1


def test_a_clock_that_is_put_back_delays_nobody_for_long(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.at(3_600_000, click())
    engine.tables.views.clock = lambda: T0_MS - 3_600_000
    assert names(engine.at(3_600_500, click())) == ["C"]


def test_whoever_is_to_be_looked_at_stays_in_memory(tmp_path: Path) -> None:
    rules = """
version: 1
rules: [{id: r, trigger: click, let: {n: 'count(click, last="1h")'}, when: n > 5, then: [{tag: {}}]}]
"""
    engine = Engine(tmp_path, rules, per_second=1)
    engine.at(0, *[click(f"C{n}") for n in range(40)])
    later = [engine.at(DAY_MS * day + 1_000) for day in range(1, 60)]
    seen = [view for views in later for view in views]
    assert {view["features"]["r"]["n"] for view in seen} == {0}
    assert len(set(names(seen))) == len(seen) >= 39
    assert engine.decider.store.filled <= 1  # and goes afterwards


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    engine = Engine(tmp_path, per_second=5)
    for step in range(400):
        engine.at(300 * step, *[click(f"C{n}", "open" if n % 3 == step % 3 else "p") for n in range(30)])
    book = engine.decider._desk.views
    assert book._urgent.length <= 30
    assert book._queue.length <= 30
    assert sum(len(rows) for _, rows in book._cooling) <= 50


def test_looking_marks_nothing_as_changed(tmp_path: Path) -> None:
    engine = Engine(tmp_path, per_second=1)
    engine.decider.store.note_changes()
    assert names(engine.at(0, click(), click("D"))) == ["C"]
    assert len(engine.decider.store.take_changes(everything=False)[0]) == 2
    assert names(engine.at(1_000)) == ["D"]
    assert len(engine.decider.store.take_changes(everything=False)[0]) == 0


def test_without_a_pace_there_are_no_views(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.tables.views = None
    decider = Decider(engine.tables, Policy.default(), lambda _: ())
    assert decider.run(None, None, T0_MS).views == []
    assert decider._desk.views is None


class Watched:
    """Lets a replay write views, and keeps them; keeps the reference's world, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.views: list[dict[str, Any]] = []
        self.world: World | None = None
        watched, counts = self, flows.dataflow._counts

        class Tables(PlanTables):
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more)
                self.views = ViewPace(0, 10**9, iter(range(0, 10**9, 1_000)).__next__)

        class Kept(World):
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more)
                watched.world = self

        def counted(item: tuple[str, Outcome]) -> Any:
            self.views += map(json.loads, item[1].views)
            return counts(item)

        monkeypatch.setattr(flows.replay, "PlanTables", Tables)
        monkeypatch.setattr(flows.dataflow, "_counts", counted)
        monkeypatch.setattr(tests.reference.evaluator, "World", Kept)


@pytest.mark.parametrize("seed", range(12))
def test_views_say_what_the_reference_says(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(seed)
    partitions = random_stream(rng, 250)
    case = Case([random_rules(rng, 10)], random_policy(rng), partitions, {})
    warm_up()  # which runs a small flow
    watched = Watched(monkeypatch)
    run_engine(case, tmp_path)
    case.run()
    assert watched.world is not None
    rules = tests.reference.evaluator.load_rules(case.rules)
    newest = {view["customer_id"]: view for view in watched.views}
    assert newest.keys() >= watched.world.events_of.keys()
    shown = 0
    for customer_id, view in newest.items():
        customer = watched.world.customers[customer_id]
        for rule in rules:
            scope = watched.world.scope(rule, customer, view["as_of"], None, {})
            for name, expression in rule.lets.items():
                scope.lets[name] = scope.value(expression)
            for name, value in view["features"].get(rule.id, {}).items():
                want = json.loads(json.dumps(scope.lets[name]))
                assert same(want, value), (customer_id, rule.id, name, want, value)
                shown += 1
        tickets = {ticket.ticket_id for ticket in customer.tickets.values() if ticket.open}
        assert {ticket["ticket_id"] for ticket in view["tickets"]} == tickets
        armed = {of: a.deadline for (of, whose), a in watched.world.armed.items() if whose == customer_id}
        assert {one["rule_id"]: one["deadline"] for one in view["armed"]} == armed
        for name, value in (view["profile"] or {}).items():
            assert customer.profile[name] == value
    assert shown > len(newest)


def test_many_customers_are_read_at_once(tmp_path: Path) -> None:
    engine = Engine(tmp_path, per_second=10_000)
    events = [click(f"C{n}") for n in range(3_000) for _ in range(n % 3 + 1)]
    views = engine.at(0, *events)
    assert {int(view["customer_id"][1:]): view["features"]["seen"]["clicks"] for view in views} == {
        n: n % 3 + 1 for n in range(3_000)
    }
    assert np.all(engine.decider._desk.views._flags[:3_000] & 4)
