"""Decides for the customers of one shard: events in processing order in, decisions out.

The kernels take every event and say for which events and rules a condition holds or may hold; only those come here,
with the values of the rule's features as of the event. What it does depends on the plan, the policy and the events
only. Time is event time; timers (deadlines, held decisions, daily ticks) happen between events, each after every event
of at most its time.
"""

from __future__ import annotations

import datetime as dt
import marshal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from operators.batch import EventBatch
from operators.decision import action_ids, decision_record
from operators.json_lines import encode_line
from operators.policy_gate import PolicyGate
from operators.tables import PlanTables
from rules.context import Evaluation
from rules.model import STREAMS
from rules.plan import RulePlan
from rules.policy import Policy
from state.calendar import first_at_or_after, next_day
from state.customer import Armed, Customer
from state.footprint import sampled_bytes
from state.log import Words
from state.reads import NULL, NUMBER, WHOLE
from state.store import Events
from state.tables import MAY_HAVE_TICKETS
from state.timers import DEADLINE, HELD, TICK, Firing, Timer, TimerQueue
from state.walk import ASKED_BIT, SURELY

_PROFILE, _TICKET = STREAMS.index("profile"), STREAMS.index("ticket")

ReadValues = Callable[[bytes], tuple[Any, ...]]
"""Reads the fields that the rules look at from a raw event."""

Entities = tuple[Words, Words, NDArray[np.float64]]
"""Values of entities' features at some events: kinds, integers and doubles, each [n, features]."""

Counts = Counter[tuple[str, ...]]
"""Numbers for the summary by their path in it."""


@dataclass(slots=True)
class Outcome:
    """What a step has to write: decisions as lines of JSON in the order of decision, and counts for the summary."""

    lines: list[bytes] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)


class _Anchor:
    """An event of a step that Python looks at; its fields are read when they are asked for."""

    __slots__ = ("_events", "_read_values", "_values", "effective_ms", "index", "row", "stream", "ts_ms")

    def __init__(
        self,
        events: EventBatch,
        read_values: ReadValues,
        index: int,
        row: int,
        effective_ms: int,
        ts_ms: int,
        stream: int,
    ) -> None:
        self._events, self._read_values = events, read_values
        self._values: tuple[Any, ...] | None = None
        self.index, self.row = index, row
        self.effective_ms, self.ts_ms, self.stream = effective_ms, ts_ms, stream

    @property
    def event_id(self) -> str:
        return self._events.event_id.bytes_at(self.index).decode()

    @property
    def values(self) -> tuple[Any, ...]:
        if self._values is None:
            self._values = self._read_values(self._events.raw.bytes_at(self.index))
        return self._values


class Decider:
    """The customers of one shard."""

    def __init__(self, tables: PlanTables, policy: Policy, read_values: ReadValues) -> None:
        plan = tables.plan
        self._plan, self._tables, self._read_values = plan, tables, read_values
        self._store = tables.customer.store()
        self._signatures = tables.customer.signatures
        self._records = tables.records
        self._armed_bits = {
            planned.rule.id: bit for planned, bit in zip(plan.rules, plan.programs.armed_bits, strict=True)
        }
        self._places = [{feature: place for place, feature in enumerate(rule.features)} for rule in plan.rules]
        self._cooldowns_ms = {planned.rule.id: planned.rule.cooldown_ms for planned in plan.rules}
        self._gate = PolicyGate(policy, plan.profile_column("opt_out"))
        self._holdings_column = plan.profile_column("holdings")
        self._holding_names = [name for name, _ in plan.programs.holding_columns]
        ticket_fields = plan.fields["ticket"]
        self._ticket_columns = ticket_fields.index("ticket_id"), ticket_fields.index("stage")
        self._has_date_rules = any(planned.rule.daily is not None for planned in plan.rules)
        self._ticking = False
        self._timers = TimerQueue()
        self._customers: dict[int, Customer] = {}
        self._profiles: list[bytes | None] = []
        self._nothing = [
            (WHOLE if feature.op in ("count", "sum", "distinct") else NULL)
            for features in plan.entities.values()
            for feature in features.features
        ]
        self._out = Outcome()

    @property
    def pending(self) -> int:
        """Number of decisions that are held."""
        return self._timers.held_decisions

    @property
    def armed(self) -> int:
        """Number of rules that wait for their deadline, over all customers."""
        return sum(a.firing is not None for customer in self._customers.values() for a in customer.armed.values())

    @property
    def customers(self) -> int:
        """Number of customers of whom something is remembered."""
        return self._store.filled

    @property
    def used_bytes(self) -> int:
        """Bytes of all that is remembered of customers, and of what no shard has told of the table of objects."""
        customers, profiles = self._customers, self._profiles
        python = sampled_bytes(customers.items(), len(customers), [planned.rule.id for planned in self._plan.rules])
        python += sys.getsizeof(customers) + sys.getsizeof(profiles) + sum(map(sys.getsizeof, filter(None, profiles)))
        return self._store.used_bytes + python + self._timers.used_bytes + self._tables.objects.bytes_to_report()

    def entities_over_nothing(self, count: int) -> Entities:
        """What aggregates over no entity's events give, for ``count`` events."""
        shape = count, len(self._nothing)
        kinds = np.broadcast_to(np.array(self._nothing, np.int64), shape).copy()
        return kinds, np.zeros(shape, np.int64), np.zeros(shape)

    def run(
        self, events: EventBatch | None, entities: Entities | None, until_ms: int, *, inclusive: bool = False
    ) -> Outcome:
        """Apply events, which are in processing order, and the timers below ``until_ms`` (or up to it).

        Every event lies below ``until_ms`` or, at the end of a replay, at most at it.
        """
        self._out = Outcome()
        if events is not None:
            self._apply(events, entities or self.entities_over_nothing(len(events)))
        self._fire_timers(until_ms + 1 if inclusive else until_ms)
        if not inclusive:
            self._store.compact_when_due(until_ms, partial(self._remembered, until_ms))
        return self._out

    # --- events ----------------------------------------------------------------------------------

    def _apply(self, events: EventBatch, entities: Entities) -> None:
        store, count = self._store, len(events)
        rows = store.rows(events.customer_hash, events.customer_id)
        self._profiles += [None] * (len(store) - len(self._profiles))
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

    def _remembered(self, now_ms: int, rows: list[int]) -> set[int]:
        """Those of some customers of whom Python remembers something that may matter at or after a time."""
        remembered = set(self._timers.rows())
        for row in rows:
            customer = self._customers.get(row)
            if customer is None:
                continue
            if row in remembered or not customer.forget(now_ms, self._gate.cap_horizon_ms, self._cooldowns_ms):
                remembered.add(row)
            else:
                del self._customers[row]
        return remembered

    def _segment_end(self, events: EventBatch, at: int) -> int:
        """Where the kernels have to stop: date rules look at all customers as they are at the tick."""
        if not self._has_date_rules:
            return len(events)
        if not self._ticking:
            first = np.flatnonzero(events.stream[at:] == _PROFILE)
            return at + int(first[0]) + 1 if len(first) else len(events)
        tick_ms = self._timers.next_tick_ms()
        if tick_ms is None:
            return len(events)
        return max(at + 1, int(np.searchsorted(events.effective_ms, tick_ms, side="right")))

    def _take_records(self, events: EventBatch, step: Events) -> None:
        records = self._records
        at = records.events[: records.counters[0]]
        columns = (at, step.rows[at], events.effective_ms[at], events.ts_ms[at], events.stream[at])
        captured = self._captured()
        anchor: _Anchor | None = None
        for place, number, start in zip(
            zip(*(column.tolist() for column in columns), strict=True), records.rules[: len(at)].tolist(),
            records.starts[: len(at)].tolist(), strict=True,
        ):  # fmt: skip
            if anchor is None or anchor.index != place[0]:
                anchor = _Anchor(events, self._read_values, *place)
                self._fire_timers(anchor.effective_ms)
            if number < 0:
                self._note_event(anchor, int(step.signature[anchor.index]))
                continue
            surely, number = number >= SURELY, number & (SURELY - 1)
            planned = self._plan.rules[number]
            evaluation = Evaluation(
                anchor.effective_ms, anchor.stream, anchor, partial(self._profile, anchor.row),
                self._feature_reader(number, captured, start), self._entity_reader(step, anchor.index),
            )  # fmt: skip
            rose = captured[start + len(planned.features)] if planned.rises and planned.kept_rises else None
            if (surely and not planned.rises) or self._holds(planned, anchor.row, evaluation, None, rose):
                self._anchor(number, anchor, evaluation)

    def _captured(self) -> list[Any]:
        """The values that come with the records."""
        records, count, value = self._records, self._records.counters[1], self._store.value
        columns = records.kinds[:count].tolist(), records.integers[:count].tolist(), records.doubles[:count].tolist()
        return [
            integer if kind == WHOLE else double if kind == NUMBER else value(kind, integer, double)
            for kind, integer, double in zip(*columns, strict=True)
        ]

    def _note_event(self, anchor: _Anchor, signature: int) -> None:
        """An event that changes what Python keeps of its customer."""
        if anchor.stream == _PROFILE:
            self._profiles[anchor.row] = marshal.dumps(anchor.values)
            if self._holding_names:
                holdings = [entry for _, entry in self._holdings(anchor.values) if entry is not None]
                self._store.set_holdings(
                    anchor.row, [[entry.get(name) for name in self._holding_names] for entry in holdings]
                )
            if not self._ticking:
                self._start_ticking(anchor.effective_ms)
        customer = self._customers.get(anchor.row)
        if customer is None:
            return
        if anchor.stream == _TICKET:
            id_column, stage_column = self._ticket_columns
            customer.tickets.stage(anchor.values[id_column], anchor.values[stage_column])
        if customer.armed:
            mask = self._signatures.masks[signature]
            for planned in self._plan.rules:
                if planned.unless_mask & mask:
                    armed = customer.armed.get(planned.rule.id)
                    if armed is not None:
                        armed.firing = None

    def _feature_reader(self, number: int, captured: list[Any], start: int) -> Callable[[int], Any]:
        places = self._places[number]
        return lambda feature: captured[start + places[feature]]

    def _entity_reader(self, step: Events, index: int) -> Callable[[tuple[str, int]], Any]:
        numbers, value = self._tables.entity_numbers, self._store.value

        def read(key: tuple[str, int]) -> Any:
            at = index, numbers[key]
            return value(int(step.entity_kind[at]), int(step.entity_integer[at]), float(step.entity_double[at]))

        return read

    def _profile(self, row: int) -> tuple[Any, ...] | None:
        packed = self._profiles[row]
        return None if packed is None else marshal.loads(packed)

    def _customer(self, row: int) -> Customer:
        customer = self._customers.get(row)
        if customer is None:
            customer = self._customers[row] = Customer()
        return customer

    def _anchor(self, number: int, anchor: _Anchor, evaluation: Evaluation) -> None:
        planned = self._plan.rules[number]
        rule = planned.rule
        customer = self._customer(anchor.row)
        armed = customer.armed.get(rule.id)
        is_armed = armed is not None and armed.firing is not None
        if rule.unless is not None and is_armed and rule.unless.restart == "first":
            return
        late = anchor.ts_ms < anchor.effective_ms
        firing = self._firing(planned, evaluation, STREAMS[anchor.stream], anchor.event_id, anchor.ts_ms, late)
        if rule.unless is None:
            self._fire(number, anchor.row, firing, anchor.effective_ms)
            return
        deadline_ms = anchor.effective_ms + rule.unless.within_ms
        customer.arm(rule.id, Armed(deadline_ms, firing))
        self._store.arm(anchor.row, self._plan.programs.armed_bits[number], True)
        if armed is None:
            self._timers.set(deadline_ms, DEADLINE, number, anchor.row)

    # --- evaluation ------------------------------------------------------------------------------

    def _holds(self, planned: RulePlan, row: int, evaluation: Evaluation, holding_id: str | None,
               rose: int | None = None) -> bool:  # fmt: skip
        """Evaluate one rule's condition, for one holding where it has ``each``.

        ``rose``: whether the row leaves it to us to remember the ``rises``, and what it remembers of them.
        """
        evaluation.lets = {}
        if not planned.rises:
            return planned.when is None or bool(planned.when(evaluation))
        key = (planned.rule.id, holding_id)
        remembered = self._customers[row].rose if row in self._customers else {}
        evaluation.rose_before = (
            remembered.get(key) if rose is None else _rose(rose, remembered.get(key), planned.rises)
        )
        evaluation.rises_now = [False] * planned.rises
        for _, read in planned.lets:
            read(evaluation)  # `rises` remembers at every evaluation, whatever `when` looks at
        holds = planned.when is None or bool(planned.when(evaluation))
        if rose is None or rose & ASKED_BIT:
            self._customer(row).set_rose(key, tuple(evaluation.rises_now))
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
            elif timer.kind == DEADLINE:
                self._meet_deadline(timer)
            else:
                assert timer.firing is not None
                self._fire(timer.rule, timer.row, timer.firing, at_ms, timer.indices)

    def _meet_deadline(self, timer: Timer) -> None:
        rule_id = self._plan.rules[timer.rule].rule.id
        customer = self._customers[timer.row]
        armed = customer.armed[rule_id]
        if armed.firing is not None and armed.deadline_ms > timer.at_ms:
            self._timers.set(armed.deadline_ms, DEADLINE, timer.rule, timer.row)
            return
        customer.disarm(rule_id)
        bit = self._armed_bits[rule_id]
        if all(self._armed_bits[other] != bit for other in customer.armed):
            self._store.arm(timer.row, bit, False)
        if armed.firing is not None:
            self._fire(timer.rule, timer.row, armed.firing, timer.at_ms)

    def _start_ticking(self, from_ms: int) -> None:
        self._ticking = True
        for number, planned in enumerate(self._plan.rules):
            if planned.rule.daily is not None:
                daily, zone = planned.rule.daily, ZoneInfo(planned.rule.timezone)
                self._set_tick(number, first_at_or_after(from_ms, daily.hour, daily.minute, zone))

    def _set_tick(self, number: int, day: tuple[dt.date, int] | None) -> None:
        if day is not None:
            self._timers.set(day[1], TICK, number, date=day[0].isoformat())

    def _tick(self, timer: Timer) -> None:
        planned = self._plan.rules[timer.rule]
        daily = planned.rule.daily
        assert daily is not None
        row = 0
        while row < len(self._store):
            row = self._store.tick(self._records, timer.rule, self._by_holding(planned), timer.at_ms, row)
            self._take_ticked(timer, planned)
        zone = ZoneInfo(planned.rule.timezone)
        self._set_tick(timer.rule, next_day(dt.date.fromisoformat(timer.date), daily.hour, daily.minute, zone))

    def _take_ticked(self, timer: Timer, planned: RulePlan) -> None:
        records = self._records
        captured, count = self._captured(), records.counters[0]
        places = records.rules[:count].tolist()
        for row, place, start in zip(
            records.events[:count].tolist(), places, records.starts[:count].tolist(), strict=True
        ):
            reader = self._feature_reader(timer.rule, captured, start)
            evaluation = Evaluation(timer.at_ms, -1, None, partial(self._profile, row), reader, _no_entity)
            rose = captured[start + len(planned.features)] if planned.rises and planned.kept_rises else None
            for holding_id, holding in self._holdings_at(planned, evaluation.profile or (), place):
                evaluation.holding = holding
                if self._holds(planned, row, evaluation, holding_id, rose):
                    firing = self._firing(planned, evaluation, "daily", timer.date, timer.at_ms, False, holding_id)
                    self._fire(timer.rule, row, firing, timer.at_ms)

    def _by_holding(self, planned: RulePlan) -> bool:
        """Whether the kernels try a rule for each holding (or, knowing none of their fields, once for all)."""
        return planned.rule.each_holding and bool(self._holding_names)

    def _holdings_at(
        self, planned: RulePlan, profile: tuple[Any, ...], place: int
    ) -> list[tuple[str | None, dict[str, Any] | None]]:
        """The holdings that a record is about."""
        if not planned.rule.each_holding:
            return [(None, None)]
        holdings = self._holdings(profile)
        return [holdings[place]] if self._by_holding(planned) else holdings

    def _holdings(self, profile: tuple[Any, ...]) -> list[tuple[str | None, dict[str, Any] | None]]:
        assert self._holdings_column is not None
        found: dict[str | None, dict[str, Any] | None] = {}
        for entry in profile[self._holdings_column] or ():
            holding_id = entry.get("holding_id") if isinstance(entry, dict) else None
            if isinstance(holding_id, str):
                found.setdefault(holding_id, entry)
        return list(found.items())

    # --- decisions -------------------------------------------------------------------------------

    def _fire(self, number: int, row: int, firing: Firing, t_ms: int, indices: tuple[int, ...] | None = None) -> None:
        """Decide the entries of a firing (all, or those that were held) and write what is decided."""
        rule = self._plan.rules[number].rule
        customer, customer_id = self._customer(row), self._store.id_of(row)
        ids = action_ids(rule, customer_id, firing)
        wanted = range(len(rule.actions)) if indices is None else indices
        verdicts, held = self._gate.decide(
            customer, customer_id, partial(self._profile, row), rule, firing, ids, wanted, t_ms
        )
        for verdict in verdicts:
            record = decision_record(rule, customer_id, firing, verdict, ids[verdict.index], t_ms)
            # Encoded at once: a step can decide a great many (the ticks of a year), and a line is a third of a record.
            self._out.lines.append(encode_line(record))
            self._out.counts[("decisions", rule.id, verdict.reason or "emitted")] += 1
            if verdict.reason is None and rule.actions[verdict.index].kind == "ticket":
                self._store.flag(row, MAY_HAVE_TICKETS)
        if held:
            self._timers.set(self._gate.release_ms(t_ms), HELD, number, row, firing, tuple(held))


def _rose(before: int, asked: tuple[bool, ...] | None, count: int) -> tuple[bool, ...] | None:
    """What the ``rises`` of a rule were before, two bits each; ``asked``: those that the kernels could not tell."""
    if not before & 3:
        return None
    states = [before >> 2 * slot & 3 for slot in range(count)]
    return tuple(asked[slot] if state == 3 and asked else state == 2 for slot, state in enumerate(states))


def _no_entity(key: tuple[str, int]) -> Any:
    raise AssertionError(key)  # date rules have no aggregates over entities
