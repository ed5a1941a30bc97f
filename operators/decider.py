"""Decides for the customers of one shard: events in processing order in, decisions out.

The kernels say for which events and rules a condition holds or may hold; only those come here, with the values of the
rule's features as of the event. What it does depends on the plan, the policy and the events only. Time is event time;
timers (deadlines, held decisions, daily ticks) happen between events, each after every event of at most its time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from operators.batch import EventBatch
from operators.customers import Customers
from operators.firing import Desk, firing_of
from operators.outcome import Anchor, Entities, Outcome, ReadValues
from operators.plan_changes import Since, warm_from_ms
from operators.policy_gate import PolicyGate
from operators.tables import PlanTables
from rules.context import Evaluation
from rules.model import STREAMS
from rules.plan import RulePlan
from rules.policy import Policy
from state.calendar import first_at_or_after, next_day
from state.customer import Armed
from state.events import Events
from state.timers import DEADLINE, TICK, TICKET, Timer, TimerQueue
from state.walk import SURELY

_PROFILE, _TICKET = STREAMS.index("profile"), STREAMS.index("ticket")


class Decider:
    """The customers of one shard.

    Attributes
    ----------
    plan, store, customers, timers
        The plan, and what is remembered: in rows, by Python, and of what is to happen.
    ticking
        Whether daily ticks have begun.
    tables, since
        The plan's tables, and since when its state has all events.
    """

    def __init__(self, tables: PlanTables, policy: Policy, read_values: ReadValues) -> None:
        plan = tables.plan
        self.plan, self.tables, self._read_values = plan, tables, read_values
        self.since: Since = {}
        self._warm_from_ms: dict[int, int] = {}  # by rule, only of those that came later than their windows begin
        self.store = tables.customer.store()
        self._signatures = tables.customer.signatures
        self._records = tables.records
        self._armed_bits = {
            planned.rule.id: bit for planned, bit in zip(plan.rules, plan.programs.armed_bits, strict=True)
        }
        self._unless_masks = {planned.rule.id: planned.unless_mask for planned in plan.rules if planned.unless_mask}
        self._gate = PolicyGate(policy, plan.profile_column("opt_out"), self.plan.cooldowns_ms)
        self._holding_names = [name for name, _ in plan.programs.holding_columns]
        self._has_date_rules = any(planned.rule.daily is not None for planned in plan.rules)
        self.ticking = False
        self.timers = TimerQueue()
        self.customers = Customers(plan.profile_column("holdings"))
        self._desk = Desk(tables, self._gate, self.store, self.customers, self.timers)

    @property
    def used_bytes(self) -> int:
        """Bytes of all that is remembered of customers, and of what no shard has told of the table of objects."""
        return self.own_bytes + self.tables.objects.bytes_to_report()

    @property
    def own_bytes(self) -> int:
        """Bytes of what is remembered of customers but objects, which shards share."""
        return self.store.used_bytes + self.customers.used_bytes(list(self._armed_bits)) + self.timers.used_bytes

    def run(
        self, events: EventBatch | None, entities: Entities | None, until_ms: int, *, inclusive: bool = False
    ) -> Outcome:
        """Apply events, which are in processing order, and the timers below ``until_ms`` (or up to it).

        Every event lies below ``until_ms`` or, at the end of a replay, at most at it.
        """
        out = self._desk.out = Outcome()
        if events is not None:
            self._apply(events, entities or self.tables.entities_over_nothing(len(events)))
        self._fire_timers(until_ms + 1 if inclusive else until_ms)
        if not inclusive:
            self.store.compact_when_due(until_ms, partial(self._forget, until_ms))
        self._desk.look(until_ms)
        return out

    # --- events ----------------------------------------------------------------------------------

    def _apply(self, events: EventBatch, entities: Entities) -> None:
        store, count = self.store, len(events)
        rows = store.rows(events.customer_hash, events.customer_id)
        self.customers.make_room(len(store))
        self._desk.touch(rows)
        signatures = self._signatures.signatures(events.masks)
        step = Events(
            events.effective_ms, events.ts_ms, events.stream, signatures, events.masks,
            events.words, events.hashes, rows, entities,
        )  # fmt: skip
        walk = store.walk(self._signatures, step, self._records)
        at = 0
        while at < count:
            self._fire_timers(int(events.effective_ms[at]))
            stop = self._segment_end(events, at)
            while at < stop:
                at = walk.take(at, stop)
                self._take_records(events, step)

    def _forget(self, now_ms: int, rows: list[int]) -> set[int]:
        """The rows of customers of whom Python remembers something that may matter at or after a time."""
        kept = {*self.timers.rows(), *self._desk.to_look_at(rows)}
        self._desk.drop_tickets(rows, now_ms)
        return self.customers.forget(rows, now_ms, kept, self._gate.cap_horizon_ms, self.plan.cooldowns_ms)

    def _segment_end(self, events: EventBatch, at: int) -> int:
        """Where the kernels have to stop: date rules look at all customers as they are at the tick."""
        if not self._has_date_rules:
            return len(events)
        if not self.ticking:
            first = np.flatnonzero(events.stream[at:] == _PROFILE)
            return at + int(first[0]) + 1 if len(first) else len(events)
        tick_ms = self.timers.next_tick_ms()
        if tick_ms is None:
            return len(events)
        return max(at + 1, int(np.searchsorted(events.effective_ms, tick_ms, side="right")))

    def _take_records(self, events: EventBatch, step: Events) -> None:
        records = self._records
        at = records.events[: records.counters[0]]
        columns = (at, step.rows[at], events.effective_ms[at], events.ts_ms[at], events.stream[at])
        captured = self._records.captured(self.tables.objects)
        anchor: Anchor | None = None
        for place, number, start in zip(
            zip(*(column.tolist() for column in columns), strict=True), records.rules[: len(at)].tolist(),
            records.starts[: len(at)].tolist(), strict=True,
        ):  # fmt: skip
            if anchor is None or anchor.index != place[0]:
                anchor = Anchor(events, self._read_values, *place)
                self._fire_timers(anchor.effective_ms)
            if number < 0:
                self._note_event(anchor, int(step.signature[anchor.index]))
                continue
            surely, number = number >= SURELY, number & (SURELY - 1)
            planned = self.plan.rules[number]
            end = start + len(planned.features)
            evaluation = Evaluation(
                anchor.effective_ms, anchor.stream, anchor, anchor.row, self.customers.profile, captured[start:end],
                self.tables.entity_reader(step, anchor.index) if planned.entity_features else None,
            )  # fmt: skip
            if planned.rises or not surely:
                rose = captured[end] if planned.rises and planned.kept_rises else None
                if not self.customers.holds(planned, anchor.row, evaluation, None, rose):
                    continue
            self._anchor(number, anchor, evaluation)

    def _note_event(self, anchor: Anchor, signature: int) -> None:
        """An event that changes what Python keeps of its customer."""
        if anchor.stream == _PROFILE:
            self.customers.keep_profile(anchor.row, anchor.values)
            self.keep_holdings(anchor.row, anchor.values)
            if not self.ticking:
                self.begin_ticks(anchor.effective_ms)
        customer = self.customers.find(anchor.row)
        if customer is None:
            return
        if anchor.stream == _TICKET and customer.has_tickets:
            self._desk.note_ticket(anchor, customer)
        if customer.armed:
            mask = self._signatures.masks[signature]
            for rule_id, armed in customer.armed.items():
                if self._unless_masks.get(rule_id, 0) & mask:
                    armed.firing = None

    def keep_holdings(self, row: int, profile: tuple[Any, ...]) -> None:
        """Let the kernels see a profile's holdings."""
        if self._holding_names:
            holdings = [entry for _, entry in self.customers.holdings(profile) if entry is not None]
            self.store.set_holdings(row, [[entry.get(name) for name in self._holding_names] for entry in holdings])

    def keep_since(self, since: Since) -> None:
        """Note since when the state has all events; rules whose windows are not filled yet are held back."""
        self.since = since
        self._warm_from_ms = warm_from_ms(self.plan, since)

    def _anchor(self, number: int, anchor: Anchor, evaluation: Evaluation) -> None:
        planned = self.plan.rules[number]
        rule_id, unless = planned.rule.id, planned.rule.unless
        armed = None
        if unless is not None:
            if rule_id in self.tables.paused:
                self._put_armed_bit_out(anchor.row, rule_id)  # which the kernels have set
                return
            customer = self.customers.of(anchor.row)
            armed = customer.armed.get(rule_id)
            if unless.restart == "first" and armed is not None and armed.firing is not None:
                return
        firing = firing_of(
            planned, evaluation, STREAMS[anchor.stream], anchor.event_id, anchor.ts_ms,
            anchor.ts_ms < anchor.effective_ms, warm_from_ms=self._warm_from_ms.get(number, 0),
        )  # fmt: skip
        if unless is None:
            self._desk.decide(number, anchor.row, firing, anchor.effective_ms)
            return
        deadline_ms = anchor.effective_ms + unless.within_ms
        customer.arm(rule_id, Armed(deadline_ms, firing))
        self.store.arm(anchor.row, self.plan.programs.armed_bits[number], True)
        if armed is None:
            self.timers.set(deadline_ms, DEADLINE, number, anchor.row)

    # --- timers ----------------------------------------------------------------------------------

    def _fire_timers(self, before_ms: int) -> None:
        timers = self.timers
        while (at_ms := timers.next_ms()) is not None and at_ms < before_ms:
            timer = timers.pop()
            if timer.kind == TICK:
                self._tick(timer)
            elif timer.kind == DEADLINE:
                self._meet_deadline(timer)
            elif timer.kind == TICKET:
                self._desk.meet_tickets(timer.rule, timer.row, at_ms)
            else:
                assert timer.firing is not None
                self._desk.decide(timer.rule, timer.row, timer.firing, at_ms, timer.indices)

    def _meet_deadline(self, timer: Timer) -> None:
        rule_id = self.plan.rules[timer.rule].rule.id
        customer = self.customers.of(timer.row)
        armed = customer.armed[rule_id]
        if armed.firing is not None and armed.deadline_ms > timer.at_ms:
            self.timers.set(armed.deadline_ms, DEADLINE, timer.rule, timer.row)
            return
        customer.disarm(rule_id)
        self._put_armed_bit_out(timer.row, rule_id)
        if armed.firing is not None:
            self._desk.decide(timer.rule, timer.row, armed.firing, timer.at_ms)

    def _put_armed_bit_out(self, row: int, rule_id: str) -> None:  # unless a rule that has the same one still waits
        bit, customer = self._armed_bits[rule_id], self.customers.find(row)
        if customer is None or all(self._armed_bits[other] != bit for other in customer.armed):
            self.store.arm(row, bit, False)

    def begin_ticks(self, from_ms: int, known: Collection[str] = ()) -> None:
        """Let the days of date rules begin, but for those that are ``known``."""
        self.ticking = True
        for number, planned in enumerate(self.plan.rules):
            if planned.rule.daily is not None and planned.rule.id not in known:
                daily, zone = planned.rule.daily, ZoneInfo(planned.rule.timezone)
                self._set_tick(number, first_at_or_after(from_ms, daily.hour, daily.minute, zone))

    def _set_tick(self, number: int, day: tuple[dt.date, int] | None) -> None:
        if day is not None:
            self.timers.set(day[1], TICK, number, date=day[0].isoformat())

    def _tick(self, timer: Timer) -> None:
        planned = self.plan.rules[timer.rule]
        daily = planned.rule.daily
        assert daily is not None
        row = 0
        while row < len(self.store):
            row = self.store.tick(self._records, timer.rule, self._by_holding(planned), timer.at_ms, row)
            self._take_ticked(timer, planned)
        zone = ZoneInfo(planned.rule.timezone)
        self._set_tick(timer.rule, next_day(dt.date.fromisoformat(timer.date), daily.hour, daily.minute, zone))

    def _take_ticked(self, timer: Timer, planned: RulePlan) -> None:
        records = self._records
        captured, count = self._records.captured(self.tables.objects), records.counters[0]
        places = records.rules[:count].tolist()
        for row, place, start in zip(
            records.events[:count].tolist(), places, records.starts[:count].tolist(), strict=True
        ):
            end = start + len(planned.features)
            # date rules have no aggregates over entities
            evaluation = Evaluation(timer.at_ms, -1, None, row, self.customers.profile, captured[start:end], None)
            rose = captured[end] if planned.rises and planned.kept_rises else None
            for holding_id, holding in self.customers.holdings_at(
                planned, evaluation.profile, place if self._by_holding(planned) else None
            ):
                evaluation.holding = holding
                if self.customers.holds(planned, row, evaluation, holding_id, rose):
                    firing = firing_of(
                        planned, evaluation, "daily", timer.date, timer.at_ms, False, holding_id,
                        self._warm_from_ms.get(timer.rule, 0),
                    )  # fmt: skip
                    self._desk.decide(timer.rule, row, firing, timer.at_ms)

    def _by_holding(self, planned: RulePlan) -> bool:
        """Whether the kernels try a rule for each holding (or, knowing none of their fields, once for all)."""
        return planned.rule.each_holding and bool(self._holding_names)
