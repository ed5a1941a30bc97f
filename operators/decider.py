"""Decides for the customers of one shard: events in processing order in, decisions out.

Pure: what it does depends on the plan, the policy and the events only. Time is event time; timers (deadlines, held
decisions, daily ticks) happen between events, each after every event of at most its time.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from operators.decision import action_id, decision_record
from operators.json_lines import encode_line
from operators.policy_gate import PolicyGate
from rules.context import Evaluation
from rules.model import STREAMS
from rules.plan import Plan, RulePlan
from rules.policy import Policy
from state.book import SeriesBook
from state.calendar import first_at_or_after, next_day
from state.customer import Armed, Customer
from state.event import Event
from state.timers import DEADLINE, HELD, TICK, Firing, Timer, TimerQueue

_PROFILE, _TICKET = STREAMS.index("profile"), STREAMS.index("ticket")
_UNSET = object()
_REMEMBERED_MASKS = 8_192
"""Combinations of selectors that events match are few; rules that make them many cost a look at every rule."""

EntityValues = Mapping[tuple[str, int], Any]
"""Values of entity features at one event, by (``per=`` field, number); one that is missing ran over nothing."""


@dataclass(slots=True)
class _Dispatch:
    """What an event of some mask sets off. Rules are given by their number in the plan."""

    anchors: list[tuple[int, RulePlan]]
    disarms: list[int]
    before: list[int]


Counts = Counter[tuple[str, ...]]
"""Numbers for the summary by their path in it."""


@dataclass(slots=True)
class Outcome:
    """What a step has to write: decisions as lines of JSON in the order of decision, and counts for the summary."""

    lines: list[bytes] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)


class Decider:
    """The customers of one shard."""

    def __init__(self, plan: Plan, policy: Policy) -> None:
        self._plan = plan
        self._book = SeriesBook(plan.customer.series, plan.customer.features)
        self._gate = PolicyGate(policy, plan.profile_column("opt_out"))
        self._holdings_column = plan.profile_column("holdings")
        ticket_fields = plan.fields["ticket"]
        self._ticket_columns = ticket_fields.index("ticket_id"), ticket_fields.index("stage")
        self._timers = TimerQueue()
        self._customers: dict[str, Customer] = {}
        self._with_profile: dict[str, Customer] = {}
        self._dispatch = lru_cache(_REMEMBERED_MASKS)(self._dispatch_of)
        self._empty_entities: EntityValues = {
            (name, i): 0 if feature.op in ("count", "sum", "distinct") else None
            for name, features in plan.entities.items()
            for i, feature in enumerate(features.features)
        }
        self._out = Outcome()

    @property
    def pending(self) -> int:
        """Number of decisions that are held."""
        return self._timers.held_decisions

    @property
    def armed(self) -> int:
        """Number of rules that wait for their deadline, over all customers."""
        return sum(a.firing is not None for customer in self._customers.values() for a in customer.armed.values())

    def run(
        self, events: Iterable[tuple[Event, EntityValues | None]], until_ms: int, *, inclusive: bool = False
    ) -> Outcome:
        """Apply events, which are in processing order, and the timers below ``until_ms`` (or up to it).

        Every event lies below ``until_ms`` or, at the end of a replay, at most at it.
        """
        self._out = Outcome()
        for event, entity_values in events:
            self._fire_timers(event.effective_ms)
            self._apply(event, entity_values)
        self._fire_timers(until_ms + 1 if inclusive else until_ms)
        return self._out

    # --- events ----------------------------------------------------------------------------------

    def _apply(self, event: Event, entity_values: EntityValues | None) -> None:
        customer = self._customers.get(event.customer_id)
        if customer is None:
            customer = self._customers[event.customer_id] = Customer()
        mask = event.mask
        dispatch = self._dispatch(mask)
        readers, row, t_ms = self._book.readers, customer.row, event.effective_ms
        before = {i: readers[i](row, t_ms, event) for i in dispatch.before}
        for add in self._book.adders(mask):
            add(row, event)
        if event.stream == _PROFILE:
            self._replace_profile(customer, event)
        elif event.stream == _TICKET:
            id_column, stage_column = self._ticket_columns
            customer.tickets.stage(event.values[id_column], event.values[stage_column])
        if customer.armed:
            for number in dispatch.disarms:
                armed = customer.armed.get(self._plan.rules[number].rule.id)
                if armed is not None:
                    armed.firing = None
        if not dispatch.anchors:
            return
        entities = {**self._empty_entities, **entity_values} if entity_values else self._empty_entities
        feature = self._feature_reader(customer, t_ms, event, before)
        evaluation = Evaluation(t_ms, event.stream, event.values, customer.profile, feature, entities.__getitem__)
        for number, planned in dispatch.anchors:
            if self._holds(planned, customer, evaluation, None):
                self._anchor(number, customer, event, evaluation)

    def _dispatch_of(self, mask: int) -> _Dispatch:
        rules = self._plan.rules
        anchors = [(i, rule) for i, rule in enumerate(rules) if rule.trigger_mask & mask]
        disarms = [i for i, rule in enumerate(rules) if rule.unless_mask & mask]
        return _Dispatch(anchors, disarms, sorted({f for _, rule in anchors for f in rule.before}))

    def _feature_reader(
        self, customer: Customer, t_ms: int, event: Event | None, values: dict[int, Any]
    ) -> Callable[[int], Any]:
        """Reads features, each once; ``values`` holds those that were read before the anchor was added."""
        readers, row = self._book.readers, customer.row

        def read(index: int) -> Any:
            value = values.get(index, _UNSET)
            if value is _UNSET:
                value = values[index] = readers[index](row, t_ms, event)
            return value

        return read

    def _replace_profile(self, customer: Customer, event: Event) -> None:
        customer.profile = event.values
        if not self._with_profile:
            for number, planned in enumerate(self._plan.rules):
                if planned.rule.daily is not None:
                    daily, zone = planned.rule.daily, ZoneInfo(planned.rule.timezone)
                    self._set_tick(number, first_at_or_after(event.effective_ms, daily.hour, daily.minute, zone))
        self._with_profile[event.customer_id] = customer

    def _anchor(self, number: int, customer: Customer, event: Event, evaluation: Evaluation) -> None:
        planned = self._plan.rules[number]
        rule = planned.rule
        armed = customer.armed.get(rule.id)
        is_armed = armed is not None and armed.firing is not None
        if rule.unless is not None and is_armed and rule.unless.restart == "first":
            return
        firing = self._firing(planned, evaluation, STREAMS[event.stream], event.event_id, event.ts_ms, event.late)
        if rule.unless is None:
            self._fire(number, customer, event.customer_id, firing, event.effective_ms)
        else:
            deadline_ms = event.effective_ms + rule.unless.within_ms
            customer.armed[rule.id] = Armed(deadline_ms, firing)
            if armed is None:
                self._timers.set(deadline_ms, DEADLINE, number, event.customer_id)

    # --- evaluation ------------------------------------------------------------------------------

    @staticmethod
    def _holds(planned: RulePlan, customer: Customer, evaluation: Evaluation, holding_id: str | None) -> bool:
        """Evaluate one rule's condition, for one holding where it has ``each``."""
        evaluation.lets = {}
        if not planned.rises:
            return planned.when is None or bool(planned.when(evaluation))
        key = (planned.rule.id, holding_id)
        evaluation.rose_before = customer.rose.get(key)
        evaluation.rises_now = [False] * planned.rises
        for _, read in planned.lets:
            read(evaluation)  # `rises` remembers at every evaluation, whatever `when` looks at
        holds = planned.when is None or bool(planned.when(evaluation))
        customer.rose[key] = tuple(evaluation.rises_now)
        return holds

    @staticmethod
    def _firing(
        planned: RulePlan, evaluation: Evaluation, stream: str, anchor_id: str, anchor_ms: int, late: bool,
        holding_id: str | None = None,
    ) -> Firing:  # fmt: skip
        features = {name: read(evaluation) for name, read in planned.lets}
        payloads = tuple(render(evaluation) for render in planned.payloads)
        return Firing(stream, anchor_id, anchor_ms, late, holding_id, features, payloads)

    # --- timers ----------------------------------------------------------------------------------

    def _fire_timers(self, before_ms: int) -> None:
        timers = self._timers
        while (at_ms := timers.next_ms()) is not None and at_ms < before_ms:
            timer = timers.pop()
            if timer.kind == TICK:
                self._tick(timer)
                continue
            customer = self._customers[timer.customer_id]
            if timer.kind == DEADLINE:
                self._meet_deadline(timer, customer)
                continue
            assert timer.firing is not None
            self._fire(timer.rule, customer, timer.customer_id, timer.firing, at_ms, timer.indices)

    def _meet_deadline(self, timer: Timer, customer: Customer) -> None:
        rule_id = self._plan.rules[timer.rule].rule.id
        armed = customer.armed[rule_id]
        if armed.firing is not None and armed.deadline_ms > timer.at_ms:
            self._timers.set(armed.deadline_ms, DEADLINE, timer.rule, timer.customer_id)
            return
        del customer.armed[rule_id]
        if armed.firing is not None:
            self._fire(timer.rule, customer, timer.customer_id, armed.firing, timer.at_ms)

    def _set_tick(self, number: int, day: tuple[dt.date, int] | None) -> None:
        if day is not None:
            self._timers.set(day[1], TICK, number, date=day[0].isoformat())

    def _tick(self, timer: Timer) -> None:
        planned = self._plan.rules[timer.rule]
        daily = planned.rule.daily
        assert daily is not None
        for customer_id, customer in self._with_profile.items():
            reader = self._feature_reader(customer, timer.at_ms, None, {})
            evaluation = Evaluation(timer.at_ms, -1, (), customer.profile, reader, self._empty_entities.__getitem__)
            for holding_id, holding in self._holdings(customer) if planned.rule.each_holding else [(None, None)]:
                evaluation.holding = holding
                if self._holds(planned, customer, evaluation, holding_id):
                    firing = self._firing(planned, evaluation, "daily", timer.date, timer.at_ms, False, holding_id)
                    self._fire(timer.rule, customer, customer_id, firing, timer.at_ms)
        zone = ZoneInfo(planned.rule.timezone)
        self._set_tick(timer.rule, next_day(dt.date.fromisoformat(timer.date), daily.hour, daily.minute, zone))

    def _holdings(self, customer: Customer) -> list[tuple[str | None, dict[str, Any] | None]]:
        assert customer.profile is not None
        assert self._holdings_column is not None
        found: dict[str | None, dict[str, Any] | None] = {}
        for entry in customer.profile[self._holdings_column] or ():
            holding_id = entry.get("holding_id") if isinstance(entry, dict) else None
            if isinstance(holding_id, str):
                found.setdefault(holding_id, entry)
        return list(found.items())

    # --- decisions -------------------------------------------------------------------------------

    def _fire(
        self, number: int, customer: Customer, customer_id: str, firing: Firing, t_ms: int,
        indices: tuple[int, ...] | None = None,
    ) -> None:  # fmt: skip
        """Decide the entries of a firing (all, or those that were held) and write what is decided."""
        rule = self._plan.rules[number].rule
        ids = [action_id(rule, customer_id, firing, i) for i in range(len(rule.actions))]
        wanted = range(len(rule.actions)) if indices is None else indices
        verdicts, held = self._gate.decide(customer, customer_id, rule, firing, ids, wanted, t_ms)
        for verdict in verdicts:
            record = decision_record(rule, customer_id, firing, verdict, ids[verdict.index], t_ms)
            # Encoded at once: a step can decide a great many (the ticks of a year), and a line is a third of a record.
            self._out.lines.append(encode_line(record))
            self._out.counts[("decisions", rule.id, verdict.reason or "emitted")] += 1
        if held:
            self._timers.set(self._gate.release_ms(t_ms), HELD, number, customer_id, firing, tuple(held))
