"""What of one plan goes on under another: which state is theirs both, and since when each has all its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rules import model as m
from rules.plan import Feature, FeatureSet, Plan, Series
from rules.unparse import selector_text, unparse
from rules.walk import walk
from state.calendar import Periods
from state.row_mapping import Counterparts

Since = dict[str, int]
"""From which time on (ms) something is kept without a gap, by what it is; what was kept from the beginning is left
out."""

LOGGED = ("times", "sums", "minima", "maxima", "values")
"""Kinds of series that are kept in logs."""


class PlanParts:
    """Names what the rows of one kind keep, so that two plans can be compared.

    Parameters
    ----------
    plan
        The plan.
    entity
        The ``per=`` field whose rows they are; empty for the customer's.
    scored
        The customer's rows are those of the models.
    """

    def __init__(self, plan: Plan, entity: str = "", *, scored: bool = False) -> None:
        self.plan, self.entity, self.scored = plan, entity, scored
        empty = FeatureSet()
        customer = plan.scored.customer if scored else plan.customer
        self.features = plan.entities.get(entity, empty) if entity else customer
        self._streaks = plan.scored.streaks if scored else plan.streaks
        self._prefix = f"per {entity}: " if entity else ""

    def series_key(self, series: Series) -> tuple[Any, ...]:
        """What makes two series the same, whatever their numbers are."""
        selectors = tuple(self.plan.selectors[matcher] for matcher in series.matchers)
        condition = self._streaks[series.program] if series.program >= 0 else None
        return (series.kind, selectors, self._fields(series), series.period, series.timezone, series.ops, condition)

    def _fields(self, series: Series) -> tuple[str | None, ...]:
        streams = [m.STREAMS[self.plan.matchers[matcher].stream] for matcher in series.matchers]
        return tuple(
            None if column is None else self.plan.fields[stream][column]
            for stream, column in zip(streams, series.columns, strict=True)
        )

    def retention_ms(self) -> dict[str, int]:
        """How long logs are kept, by stream; streams without logs are left out."""
        longest: dict[str, int] = {}
        for series in self.features.series:
            if series.kind in LOGGED:
                stream = m.STREAMS[self.plan.matchers[series.matchers[0]].stream]
                longest[stream] = max(series.retention_ms, longest.get(stream, 0))
        return longest

    def kept(self, series: Series) -> list[str]:
        """What a series needs to be kept, by name."""
        if series.kind not in LOGGED:
            return [self._prefix + _series_text(self.series_key(series))]
        selector = self.plan.selectors[series.matchers[0]]
        names = [self.log(selector.stream), f"{self._prefix}{_selector_name(selector)}"]
        (field,) = self._fields(series)
        if field is not None:
            names.append(
                f"{self._prefix}{'values' if series.kind == 'values' else 'numbers'} {selector.stream}.{field}"
            )
        return names

    def log(self, stream: str) -> str:
        """The name of a stream's log."""
        return f"{self._prefix}log {stream}"

    def all_kept(self) -> set[str]:
        """Everything that is kept, by name."""
        return {name for series in self.features.series for name in self.kept(series)}


def _selector_name(selector: m.Selector) -> str:
    """Its text, with the timezones of the clocks that it reads: these are the file's, and not in the text."""
    nodes = () if selector.predicate is None else walk(selector.predicate)
    zones = {node.timezone for node in nodes if isinstance(node, m.Call) and node.timezone}
    return " ".join([selector_text(selector), *sorted(zones)])


def _series_text(key: tuple[Any, ...]) -> str:
    kind, selectors, fields, period, timezone, ops, condition = key
    of = ", ".join(
        _selector_name(selector) + ("" if field is None else f".{field}")
        for selector, field in zip(selectors, fields, strict=True)
    )
    words = [kind, *ops, of, period, timezone, "" if condition is None else unparse(condition)]
    return " ".join(word for word in words if word)


def parts_of(plan: Plan) -> Iterator[PlanParts]:
    """The parts of a plan: the customer's, then those of each ``per=`` field."""
    yield PlanParts(plan)
    for entity in plan.entities:
        yield PlanParts(plan, entity)


@dataclass(frozen=True, slots=True)
class PlanChange:
    """From one plan to another."""

    old: Plan
    new: Plan

    def counterparts(self, entity: str = "", *, scored: bool = False) -> Counterparts:
        """What of the new plan's rows is in those of the old one; ``scored``: of those that models have."""
        old, new = PlanParts(self.old, entity, scored=scored), PlanParts(self.new, entity, scored=scored)
        selectors = {selector: number for number, selector in enumerate(self.old.selectors)}
        series = {old.series_key(one): number for number, one in enumerate(old.features.series)}
        return Counterparts(
            matchers={
                number: selectors[selector]
                for number, selector in enumerate(self.new.selectors)
                if selector in selectors
            },
            words=self._slots(self.old.layout.words, self.new.layout.words),
            hashes=self._slots(self.old.layout.hashes, self.new.layout.hashes),
            series={
                number: found
                for number, one in enumerate(new.features.series)
                if (found := _same_series(series, new.series_key(one))) is not None
            },
            rises=[] if entity or scored else self._rises(),
        )

    def _slots(
        self, old: Mapping[str, tuple[int, ...]], new: Mapping[str, tuple[int, ...]]
    ) -> dict[tuple[int, int], int]:
        found = {}
        for code, stream in enumerate(m.STREAMS):
            names = [self.old.fields[stream][column] for column in old.get(stream, ())]
            for slot, column in enumerate(new.get(stream, ())):
                if self.new.fields[stream][column] in names:
                    found[code, slot] = names.index(self.new.fields[stream][column])
        return found

    def _rises(self) -> list[tuple[int, int, int]]:
        """See ``Counterparts.rises``."""
        before = dict(_first_rises(self.old))
        return [
            (first, before[rule_id][0], count)
            for rule_id, (first, count) in _first_rises(self.new)
            if count and rule_id in self.same_conditions and before.get(rule_id, (0, 0))[1] == count
        ]

    @property
    def same_conditions(self) -> set[str]:
        """Rules whose conditions both plans have."""
        old = {planned.rule.id: planned.rule for planned in self.old.rules}
        return {
            rule.id
            for rule in (planned.rule for planned in self.new.rules)
            if rule.id in old and (rule.lets, rule.when) == (old[rule.id].lets, old[rule.id].when)
        }

    def since(self, before: Since, now_ms: int) -> Since:
        """From when on the new plan has all events, if the old one had them from ``before`` on up to ``now_ms``."""
        since: Since = {}
        for new in parts_of(self.new):
            old = PlanParts(self.old, new.entity)
            known = old.all_kept()
            for name in new.all_kept():
                if name not in known:
                    since[name] = now_ms
                elif name in before:
                    since[name] = before[name]
            old_retention_ms = old.retention_ms()
            for stream, retention_ms in new.retention_ms().items():
                if old_retention_ms.get(stream, retention_ms) < retention_ms:
                    name, first_ms = old.log(stream), now_ms - old_retention_ms[stream] + 1
                    since[name] = max(first_ms, since.get(name, first_ms))
        return since

    def keeps_waiting(self, rule_id: str) -> tuple[bool, bool]:
        """Whether the rule's armed deadlines, and its held decisions, go on under the new plan."""
        old = next((planned.rule for planned in self.old.rules if planned.rule.id == rule_id), None)
        new = next((planned.rule for planned in self.new.rules if planned.rule.id == rule_id), None)
        if old is None or new is None:
            return False, False
        # their payloads are ready: they need entries of the same kinds to be decided by
        same = [action.kind for action in old.actions] == [action.kind for action in new.actions]
        return same and new.unless is not None, same


def _same_series(old: Mapping[tuple[Any, ...], int], key: tuple[Any, ...]) -> int | None:
    """The number of the same series; totals without squares are the first words of those with them (format 1)."""
    kind, *others, ops, condition = key
    with_squares = (kind, *others, ("std",), condition) if kind == "totals" and not ops else key
    return old.get(key, old.get(with_squares))


def _first_rises(plan: Plan) -> Iterator[tuple[str, tuple[int, int]]]:
    """By rule: the number of the first of its ``rises`` in a row, and how many are kept there."""
    first = 0
    for planned in plan.rules:
        count = planned.rises if planned.kept_rises else 0
        yield planned.rule.id, (first, count)
        first += count


def warm_from_ms(plan: Plan, since: Since) -> dict[int, int]:
    """By rule number, the time from which on all its windows are filled; rules that always were are left out."""
    times: dict[int, int] = {}
    if not since:
        return times
    customer = PlanParts(plan)
    entities = {name: PlanParts(plan, name) for name in plan.entities}
    for number, planned in enumerate(plan.rules):
        read = [(customer, feature) for feature in planned.features]
        read += [(entities[name], feature) for name, feature in planned.entity_features if name in entities]
        filled = [_filled_ms(parts, parts.features.features[feature], since) for parts, feature in read]
        latest_ms = max((ms for ms in filled if ms is not None), default=None)
        if latest_ms is not None:
            times[number] = latest_ms
    return times


def _filled_ms(parts: PlanParts, feature: Feature, since: Since) -> int | None:
    """When a feature's window is filled; null if it always was, or if it has no window."""
    series = parts.features.series[feature.series]
    first_ms = max((since[name] for name in parts.kept(series) if name in since), default=None)
    if first_ms is None:
        return None
    if feature.window == "this":
        periods = Periods(feature.period, feature.timezone)
        return first_ms if periods.start_ms(first_ms) == first_ms else periods.end_ms(first_ms)
    return first_ms + feature.size_ms - 1 if feature.size_ms else None
