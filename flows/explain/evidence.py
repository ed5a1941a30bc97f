"""The events behind the values: those that the engine's matchers matched, within each aggregate's window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flows.explain.probes import Probes
from flows.explain.run import Evaluated, Place, Told
from rules import model as m
from rules.unparse import unparse
from rules.walk import selectors, walk

MAX_EVENTS = 10
"""So many are listed of one group, the latest."""


@dataclass(slots=True)
class Group:
    """Events that some aggregates saw: ``values`` are theirs by their text, ``matched`` how many events there were."""

    values: dict[str, Any]
    matched: int
    events: list[dict[str, Any]] = field(default_factory=list)


def evidence_of(probes: Probes, told: Told, evaluated: Evaluated) -> list[Group]:
    """The events that each aggregate of the rule saw at an evaluation; the anchor has ``anchor: true``."""
    groups: dict[tuple[Any, ...], Group] = {}
    numbers = {(one.selector, one.per): number for number, one in enumerate(probes.evidence)}
    for node in dict.fromkeys(_aggregates(probes.rule)):
        per = node.per if isinstance(node, m.Aggregate) else None
        for place, selector in enumerate(dict.fromkeys(selectors(node) or _in_streak(node))):
            number = numbers[(selector, per)]
            key = (number, *_span(node, place))
            if key not in groups:
                seen = list(_visible(node, told.evidence.get(number, []), evaluated, probes.rule.timezone))
                shown = [_shown(probes, number, one, evaluated) for one in seen[-MAX_EVENTS:]]
                groups[key] = Group({}, len(seen), shown)
            groups[key].values[unparse(node)] = evaluated.values.get(probes.parts.get(node, ""))
    return list(groups.values())


def _aggregates(rule: m.Rule) -> Iterator[m.Expr]:
    roots = [expr for _, expr in rule.lets] + ([] if rule.when is None else [rule.when])
    for root in roots:
        in_streaks = {
            inner for node in walk(root) if isinstance(node, m.Streak) for inner in walk(node) if inner is not node
        }
        yield from (node for node in walk(root) if node not in in_streaks and (selectors(node) or _in_streak(node)))


def _in_streak(node: m.Expr) -> list[m.Selector]:
    if not isinstance(node, m.Streak):
        return []
    return [selector for inner in walk(node) for selector in selectors(inner)]


def _span(node: m.Expr, place: int) -> tuple[Any, ...]:
    """What of an aggregate says which of the matching events it sees."""
    match node:
        case m.Aggregate(window=window):
            return ("window", window)
        case m.Latest(op):
            return (op,)
        case m.Novel(_, name, within_ms):
            return ("novel", name, within_ms)
        case m.Sequence(_, within_ms):
            return ("seq", within_ms, place)
        case m.Streak(period=period):
            return ("streak", period)
    return (type(node).__name__,)


def _visible(node: m.Expr, places: list[Place], evaluated: Evaluated, timezone: str) -> Iterator[Place]:
    anchor = None if evaluated.anchor is None else evaluated.anchor.key
    if evaluated.anchor is not None and isinstance(node, m.Aggregate) and node.per:
        entity, until = evaluated.entities.get(node.per), evaluated.anchor.order
        same = (one for one in places if entity is not None and one.values.get(node.per) == entity)
        known = sorted((one for one in same if one.order <= until), key=lambda one: one.order)
    else:
        known = [one for one in places if one.key == anchor or one.number < evaluated.number]
    before = [one for one in known if one.key != anchor]
    t_ms = evaluated.t_ms
    match node:
        case m.Aggregate(window=m.Window("last", size_ms)) | m.Sequence(_, size_ms):
            yield from (one for one in known if t_ms - size_ms < one.ts_ms <= t_ms)
        case m.Aggregate(window=m.Window("prior", size_ms)):
            yield from (one for one in before if t_ms - size_ms < one.ts_ms <= t_ms)
        case m.Aggregate(window=m.Window("this", _, period, zone)):
            first = _begin(t_ms, period, zone or timezone)
            yield from (one for one in known if first <= _local(one.ts_ms, zone or timezone))
        case m.Novel(_, name, size_ms):
            mine = [one.values.get(name) for one in known if one.key == anchor]
            yield from (
                one for one in known
                if t_ms - size_ms < one.ts_ms <= t_ms and mine and one.values.get(name) == mine[0]
            )  # fmt: skip
        case m.Latest("last"):
            yield from known[-1:]
        case m.Latest() | m.Age():
            yield from before[-1:]
        case _:
            yield from known


def _local(ts_ms: int, timezone: str) -> date:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).astimezone(ZoneInfo(timezone)).date()


def _begin(ts_ms: int, period: str, timezone: str) -> date:
    today = _local(ts_ms, timezone)
    return {"day": today, "week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}[period]


def _shown(probes: Probes, number: int, place: Place, evaluated: Evaluated) -> dict[str, Any]:
    fields = {name: place.values.get(name) for name in probes.evidence[number].fields}
    shown: dict[str, Any] = {"stream": place.stream, "event_id": place.event_id, "ts": place.ts_ms, "fields": fields}
    if place.customer_id != probes.customer_id:
        shown["customer_id"] = place.customer_id
    if evaluated.anchor is not None and place.key == evaluated.anchor.key:
        shown["anchor"] = True
    return shown
