"""Takes what Python remembers of customers from files, also from those of other rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from operators.decider import Decider
from operators.plan_changes import PlanChange
from rules.plan import Plan
from state.calendar import local_ms
from state.customer_records import Record, customer_of, timers_of
from state.json_values import from_json
from state.packing import Packer
from state.row_mapping import set_profile
from state.timers import HELD, TICK, TICKET


class CustomerTaker:
    """Puts customers, their profiles and their timers into a decider.

    ``change``: the rules that wrote them were others; what none of ours can go on with is left out.
    """

    def __init__(self, decider: Decider, change: PlanChange | None) -> None:
        self._decider, self._change = decider, change
        self._numbers = {planned.rule.id: number for number, planned in enumerate(decider.plan.rules)}
        self._columns = None if change is None else profile_columns(change)
        self._waiting = {} if change is None else {old.rule.id: change.keeps_waiting(old.rule.id)
                                                   for old in change.old.rules}  # fmt: skip

    def take(self, sections: Any, chosen: Sequence[int], rows: Sequence[int]) -> None:
        """Take the ``chosen`` ones of a file; ``rows`` are theirs."""
        customers = self._decider.customers
        packer = Packer(from_json(sections["decider"])["shapes"])
        same = self._change is None and packer.shapes == customers.packer.shapes[: len(packer.shapes)]
        if self._change is None and not customers.packer.shapes:
            customers.packer, same = Packer(packer.shapes), True
        records = from_json(sections["customers.records"])
        lengths = np.frombuffer(sections["customers.profile_lengths"], np.int64)
        ends = np.cumsum(np.maximum(lengths, 0)).tolist()
        profiles = bytes(sections["customers.profiles"])
        for place, row in zip(chosen, rows, strict=True):
            if lengths[place] >= 0:
                packed = profiles[ends[place] - int(lengths[place]) : ends[place]]
                if same:
                    customers.profiles[row] = packed
                else:
                    self._take_profile(row, packer.unpack(packed))
            self._take_record(row, records[place])

    def _take_profile(self, row: int, values: tuple[Any, ...]) -> None:
        decider = self._decider
        if self._columns is not None:
            if not decider.plan.programs.keeps_profiles:
                return
            values = tuple(None if column is None else values[column] for column in self._columns)
            self._show_profile(row, values)
        decider.customers.profiles[row] = decider.customers.packer.pack(values)

    def _show_profile(self, row: int, profile: tuple[Any, ...]) -> None:
        """Let the kernels see a profile that no event brings."""
        decider = self._decider
        plan, layout = decider.plan, decider.tables.customer.layout
        programs, words = plan.programs, plan.layout.words.get("profile", ())
        matched = [
            all(part.test(profile) for part in plan.matchers[matcher].parts) for matcher in programs.profile_matchers
        ]
        set_profile(decider.store, layout, row, matched, [profile[words[slot]] for slot in programs.profile_slots])
        decider.keep_holdings(row, profile)

    def _take_record(self, row: int, record: Record) -> None:
        decider = self._decider
        if self._change is not None:
            self._leave_out(record, self._change)
        customer = customer_of(record)
        if customer is not None:
            decider.customers.by_row[row] = customer
            if self._change is not None:
                for rule_id, armed in customer.armed.items():
                    if armed.firing is not None:
                        decider.store.arm(row, decider.plan.programs.armed_bits[self._numbers[rule_id]], True)
        for rule_id, timer in timers_of(record):
            decider.timers.set(rule=self._numbers[rule_id], row=row, **timer)

    def _leave_out(self, record: Record, change: PlanChange) -> None:
        """What is remembered of rules that are no more, or that look at other things now."""
        waiting = self._waiting
        record["timers"] = [timer for timer in record["timers"] if self._goes_on(timer)]
        if "contacts" in record:
            record["armed"] = {rule_id: armed for rule_id, armed in record["armed"].items() if waiting[rule_id][0]}
            record["rose"] = [rose for rose in record["rose"] if rose[0] in change.same_conditions]
            record["shadows"] = {name: shadow for name, shadow in record["shadows"].items() if name in self._numbers}

    def _goes_on(self, timer: Sequence[Any]) -> bool:
        rule_id, _, kind, *_ = timer
        return rule_id in self._numbers if kind == TICKET else self._waiting[rule_id][kind == HELD]

    def set_ticks(self, ticks: Sequence[Sequence[Any]], now_ms: int) -> None:
        """Set the date rules' next ticks."""
        times: dict[str, Any] = {}
        if self._change is not None:
            times = {planned.rule.id: (planned.rule.daily, planned.rule.timezone) for planned in self._change.old.rules}
        set_before = set()
        for at_ms, rule_id, date in ticks:
            rule = None if rule_id not in self._numbers else self._decider.plan.rules[self._numbers[rule_id]].rule
            if rule is None or rule.daily is None:
                continue
            if self._change is not None and times[rule_id] != (rule.daily, rule.timezone):
                # at another time of day, and still once a day: a day that is due and whose time is over comes at once
                day, zone = dt.date.fromisoformat(date), ZoneInfo(rule.timezone)
                at_ms = max(now_ms, local_ms(day, rule.daily.hour, rule.daily.minute, zone))
            self._decider.timers.set(at_ms, TICK, self._numbers[rule_id], date=date)
            set_before.add(rule_id)
        if self._change is not None and self._decider.ticking:
            self._decider.begin_ticks(now_ms, set_before)


def profile_columns(change: PlanChange) -> list[int | None]:
    """By column of the new plan's profiles, the old plan's; null if it did not keep that attribute."""
    old, new = (_profile_names(plan) for plan in (change.old, change.new))
    return [old.index(name) if name in old else None for name in new]


def _profile_names(plan: Plan) -> tuple[str, ...]:
    return plan.fields["profile"]
