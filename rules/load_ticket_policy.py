"""The part ``tickets`` of a policy file -> ``TicketPolicy``, with every problem of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rules.diagnostics import Problems, did_you_mean, shown
from rules.mapping_reader import MappingReader
from rules.model import CLASSES
from rules.ticket_policy import (
    LIMIT_HINT,
    ServiceLevel,
    TicketLimit,
    TicketPolicy,
    TicketRoute,
    TicketsMeant,
    parse_limit,
)
from rules.work_calendar import ALWAYS, WorkCalendar, load_calendar, shipped_calendars
from rules.yaml_source import Map, Node, Scalar, Seq, describe

_CLOCKS = ("first_response", "resolution", "statutory")
_LEVEL_KEYS = ("name", "for", "calendar", *_CLOCKS, "extend_up_to", "warn", "escalate_to")
_DAY_MS = 86_400_000
_PERCENT = re.compile(r"([0-9]{1,2})%")
_REPEAT_MS, _KEEP_MS = 30 * _DAY_MS, 90 * _DAY_MS
_WARN_PERCENT = 20


def load_ticket_policy(node: Node, folder: Path, problems: Problems) -> TicketPolicy | None:
    """What stands under ``tickets``; calendars that are files lie relative to ``folder``.

    Null if there are errors, which go to ``problems``.
    """
    before = problems.errors
    reader = _mapping(node, "`tickets`", ("calendar", "warn", "repeat", "keep", "routes", "levels"), problems)
    if reader is None:
        return None
    calendars = _Calendars(folder, problems)
    calendar = calendars.read(reader.require("calendar"))
    warn_percent = _percent(reader, _WARN_PERCENT)
    repeat_ms = reader.duration_ms("repeat", _REPEAT_MS)
    routes = [_route(item, problems) for item in _items(reader, "routes")]
    levels = [_level(item, calendars, calendar, warn_percent, problems) for item in _items(reader, "levels")]
    named: set[str] = set()
    for item, level in zip(_items(reader, "levels"), levels, strict=True):
        if level.name in named:
            problems.add("E503", item.position, f"there is a level {shown(level.name)} already")
        named.add(level.name)
    _check_reach(levels, reader, problems)
    keep_ms = max(repeat_ms, reader.duration_ms("keep", _KEEP_MS))
    if problems.errors > before or calendar is None:
        return None
    return TicketPolicy(calendar, warn_percent, tuple(routes), tuple(levels), repeat_ms, keep_ms)


class _Calendars:
    """Calendars by how they are written, each read once."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder, self._problems = folder, problems
        self._read: dict[str, WorkCalendar | None] = {}

    def read(self, node: Node | None) -> WorkCalendar | None:
        """``always``, a calendar that is shipped, or a file's; null with an error."""
        if node is None:
            return None
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self._problems.add("E101", node.position, f"`calendar` must be text, not {describe(node)}")
            return None
        if node.value not in self._read:
            self._read[node.value] = self._load(node.value, node)
        return self._read[node.value]

    def _load(self, name: str, node: Node) -> WorkCalendar | None:
        if name == ALWAYS.name:
            return ALWAYS
        shipped = shipped_calendars()
        path = shipped.get(name)
        if path is None:
            path = self._folder / name
            if not os.path.isfile(path):  # Path.is_file raises for what no name can be
                known = (ALWAYS.name, *shipped)
                near = (*known, *sorted(beside.name for beside in self._folder.glob("*.yaml")))
                hint = did_you_mean(name, near) or f"one of {', '.join(known)}, or a file beside this one"
                self._problems.add("E502", node.position, f"no calendar {shown(name)}", hint)
                return None
        calendar, found = load_calendar(path)
        self._problems.found += found
        self._problems.errors += sum(problem.is_error for problem in found)
        return calendar


def _mapping(node: Node, what: str, keys: tuple[str, ...] | None, problems: Problems) -> MappingReader | None:
    if not isinstance(node, Map):
        problems.add("E101", node.position, f"{what} must be a mapping, not {describe(node)}")
        return None
    reader = MappingReader(node, what, problems)
    if keys is not None:
        reader.known_keys(keys)
    return reader


def _items(reader: MappingReader, key: str) -> list[Node]:
    node = reader.optional(key)
    if node is None:
        return []
    if not isinstance(node, Seq):
        reader.wrong_type(node, key, "a list", f"begin each of the {key} with `- `")
        return []
    return list(node.items)


def _percent(reader: MappingReader, default: int) -> int:
    node = reader.get("warn")
    if node is None:
        return default
    match = _PERCENT.fullmatch(node.text) if isinstance(node, Scalar) else None
    if match is None:
        message = f"`warn` must be a percentage from 0% to 99%, not {describe(node)}"
        reader.problems.add("E504", node.position, message, "such as 20%: a warning comes when a fifth is left")
        return default
    return int(match[1])


def _route(node: Node, problems: Problems) -> TicketRoute:
    reader = _mapping(node, "a route", ("for", "set"), problems)
    if reader is None:
        return TicketRoute(TicketsMeant(), ())
    values = reader.require("set")
    payload = []
    setter = None if values is None else _mapping(values, "`set`", None, problems)
    if setter is not None:
        for key in setter.node.entries:
            text = setter.string(setter.get(key), key)
            if text is not None:
                payload.append((key, text))
    return TicketRoute(_meant(reader), tuple(payload))


def _meant(reader: MappingReader) -> TicketsMeant:
    node = reader.optional("for")
    if node is None:
        return TicketsMeant()
    conditions = _mapping(node, "`for`", None, reader.problems)
    if conditions is None:
        return TicketsMeant()
    read = {key: _texts(conditions, key) for key in conditions.node.entries}
    classes = read.pop("class", ())
    for name in classes:
        if name not in CLASSES:
            place = conditions.node.entries["class"][1].position
            reader.problems.add("E108", place, f"{shown(name)} is no class", did_you_mean(name, CLASSES))
    return TicketsMeant(read.pop("rule", ()), classes, tuple(read.items()), node.position)


def _texts(reader: MappingReader, key: str) -> tuple[str, ...]:
    """A text, or a list of them."""
    node = reader.get(key)
    if isinstance(node, Seq):
        found = [reader.string(item, key) for item in node.items]
        if not node.items:
            reader.wrong_type(node, key, "a text or a list of some")
        return tuple(text for text in found if text is not None)
    text = reader.string(node, key)
    return () if text is None else (text,)


def _level(
    node: Node, calendars: _Calendars, calendar: WorkCalendar | None, warn_percent: int, problems: Problems
) -> ServiceLevel:
    reader = _mapping(node, "a level", _LEVEL_KEYS, problems)
    if reader is None:
        return ServiceLevel("", TicketsMeant(), calendar or ALWAYS, (), 0, 0, None)
    name = reader.string(reader.require("name"), "name") or ""
    if not name and "name" in reader.node.entries:
        problems.add("E116", reader.node.entries["name"][1].position, "a level's `name` must not be empty")
    own = reader.get("calendar")
    limits = {clock: limit for clock in _CLOCKS if (limit := _limit(reader, clock)) is not None}
    most = _limit(reader, "extend_up_to")
    statutory = limits.get("statutory")
    if statutory is None and "statutory" in reader.node.entries:
        most = None  # the limit could not be read, which is told already
    if most is not None and (
        statutory is None or statutory.unit == "open" or most.unit != statutory.unit or most.amount < statutory.amount
    ):
        place = reader.node.entries["extend_up_to"][1].position
        message = "`extend_up_to` must be at least `statutory` and in the same unit, days or workdays"
        problems.add("E505", place, message, "such as statutory: 15d, extend_up_to: 60d")
        most = None
    return ServiceLevel(
        name,
        _meant(reader),
        (calendars.read(own) if own is not None else calendar) or ALWAYS,
        tuple(limits.items()),
        0 if most is None else most.amount,
        _percent(reader, warn_percent),
        reader.string(reader.get("escalate_to"), "escalate_to"),
    )


def _limit(reader: MappingReader, key: str) -> TicketLimit | None:
    node = reader.get(key)
    if node is None:
        return None
    limit = parse_limit(node.text) if isinstance(node, Scalar) and isinstance(node.value, str) else None
    if limit is None:
        reader.problems.add("E506", node.position, f"`{key}` is no limit: {describe(node)}", LIMIT_HINT)
    return limit


def _check_reach(levels: list[ServiceLevel], reader: MappingReader, problems: Problems) -> None:
    """Report levels behind one that is meant for all tickets."""
    items = _items(reader, "levels")
    for at, level in enumerate(levels):
        if level.meant == TicketsMeant() and at + 1 < len(levels) and level.name:
            message = f"no ticket gets this level: {shown(level.name)} before it is for all"
            problems.add("W502", items[at + 1].position, message, "put the one without `for` last")
            return
