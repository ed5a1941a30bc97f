"""Work calendars: when a bank's offices are open, which holidays are known, and where that is from."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rules.diagnostics import Diagnostic, Problems
from rules.mapping_reader import DEFAULT_TIMEZONE, MappingReader
from rules.yaml_source import Map, Node, Scalar, Seq, describe, read_yaml

Hours = tuple[tuple[int, int], ...]
"""The open intervals of a day in minutes after local midnight, ``[from, to)``, in order and disjoint, up to 1440."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_KEYS = ("version", "name", "timezone", "covers", "sources", "week", "holidays", "workdays", "days")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_HINT = "a date such as 2026-02-17"
_HOURS = re.compile(r"([0-9]{2}):([0-5][0-9]) *- *([0-9]{2}):([0-5][0-9])")
_HOURS_HINT = 'such as ["09:00-12:00", "13:30-18:00"], from 00:00 to 24:00'
_DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class WorkCalendar:
    """Opening hours by day of the week (Monday first), and by date in ``days`` where a day differs.

    Holidays are known for the dates from ``first`` to ``last``; ``sources`` says of each year where from.
    """

    name: str
    timezone: str
    week: tuple[Hours, ...]
    days: Mapping[dt.date, Hours] = field(hash=False)
    first: dt.date
    last: dt.date
    sources: tuple[str, ...]


ALWAYS = WorkCalendar(
    "always", DEFAULT_TIMEZONE, (((0, _DAY_MINUTES),),) * 7, {}, dt.date(1970, 1, 1), dt.date(9999, 12, 31), ()
)
"""Every hour of every day."""


def shipped_calendar(name: str) -> Path | None:
    """The file of a calendar that comes with the program, such as ``china``; None if there is none of that name."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) is None:
        return None
    path = Path(__file__).parent / "calendars" / f"{name}.yaml"
    return path if path.is_file() else None


def load_calendar(path: Path) -> tuple[WorkCalendar | None, list[Diagnostic]]:
    """The calendar in ``path`` and all problems of the file; no calendar exactly if one of them is an error.

    Never raises for bad input.
    """
    problems = Problems()
    root = read_yaml(path, problems)
    calendar = None
    if root is not None:
        if isinstance(root, Map):
            calendar = _CalendarLoader(root, problems).load(Path(path).stem)
        else:
            problems.add("E101", root.position, f"a calendar file must be a mapping, not {describe(root)}")
    return (None if problems.errors else calendar), problems.in_order([str(path)])


@dataclass(slots=True)
class _CalendarLoader:
    """Reads one file, key by key. After an error its results have no meaning.

    ``lines`` says where a holiday or make-up workday was given.
    """

    root: Map
    problems: Problems
    week: tuple[Hours, ...] = ((),) * 7
    week_is_right: bool = False
    first: dt.date = dt.date.min
    last: dt.date = dt.date.max
    days: dict[dt.date, Hours] = field(default_factory=dict)
    lines: dict[dt.date, int] = field(default_factory=dict)

    def load(self, stem: str) -> WorkCalendar:
        reader = MappingReader(self.root, "a calendar file", self.problems)
        reader.known_keys(_KEYS)
        reader.file_version()
        name, timezone = reader.text_or_number("name", stem), reader.timezone()
        self._covers(reader)
        sources = self._sources(reader)
        self._week(reader)
        for node in self._items(reader, "holidays"):
            self._holiday(node)
        for node in self._items(reader, "workdays"):
            self._workday(node)
        self._special_hours(reader)
        return WorkCalendar(name, timezone, self.week, self.days, self.first, self.last, sources)

    def _reader(self, node: Node | None, what: str, keys: tuple[str, ...]) -> MappingReader | None:
        if node is None:
            return None
        if not isinstance(node, Map):
            self.problems.add("E101", node.position, f"{what} must be a mapping, not {describe(node)}")
            return None
        reader = MappingReader(node, what, self.problems)
        reader.known_keys(keys)
        return reader

    def _items(self, reader: MappingReader, key: str) -> list[Node]:
        node = reader.optional(key)
        if node is None:
            return []
        if not isinstance(node, Seq):
            reader.wrong_type(node, key, "a list")
            return []
        return node.items

    def _covers(self, reader: MappingReader) -> None:
        covers = self._reader(reader.require("covers"), "`covers`", ("from", "to"))
        if covers is None:
            return
        first, last = self._date(covers.require("from")), self._date(covers.require("to"))
        if first is None or last is None:
            return
        if first > last:
            self.problems.add("E109", covers.node.entries["to"][1].position, "`to` is before `from`")
            return
        self.first, self.last = first, last

    def _sources(self, reader: MappingReader) -> tuple[str, ...]:
        before, found = self.problems.errors, []
        for item in self._items(reader, "sources"):
            source = self._reader(item, "a source", ("year", "source"))
            if source is None:
                continue
            source.require("year")
            year = source.integer("year", 1, 9999, 1)
            node = source.require("source")
            text = (source.string(node, "source") or "").strip()
            if text:
                found.append((year, text))
            elif isinstance(node, Scalar) and isinstance(node.value, str):
                self.problems.add("E516", node.position, f"year {year} names no source")
        named = {year for year, _ in found}
        missing = [] if self.first == dt.date.min else range(self.first.year, self.last.year + 1)
        if self.problems.errors == before:
            for year in missing:
                if year not in named:
                    place = (reader.get("sources") or self.root).position
                    message = f"`covers` has the year {year}, of which `sources` says nothing"
                    self.problems.add("E516", place, message, "say where its holidays were announced")
                    break
        return tuple(f"{year}: {text}" for year, text in sorted(found))

    def _week(self, reader: MappingReader) -> None:
        before = self.problems.errors
        week = self._reader(reader.require("week"), "`week`", WEEKDAYS)
        if week is None:
            return
        self.week = tuple(self._hours(week.optional(day), day) for day in WEEKDAYS)
        self.week_is_right = self.problems.errors == before and any(self.week)
        if self.problems.errors == before and not any(self.week):
            self.problems.add("E517", week.node.position, "no day of the week is open", _HOURS_HINT)

    def _hours(self, node: Node | None, key: str) -> Hours:
        """The intervals of a list, in order; nothing written is closed."""
        if node is None:
            return ()
        if not isinstance(node, Seq):
            self.problems.add("E101", node.position, f"`{key}` must be a list, not {describe(node)}", _HOURS_HINT)
            return ()
        found: list[tuple[int, int]] = []
        for item in node.items:
            interval = _interval(item)
            if interval is None:
                self.problems.add("E512", item.position, f"no opening hours: {describe(item)}", _HOURS_HINT)
            elif any(interval[0] < to and since < interval[1] for since, to in found):
                self.problems.add("E513", item.position, f"{describe(item)} overlaps hours before it")
            else:
                found.append(interval)
        return tuple(sorted(found))

    def _date(self, node: Node | None) -> dt.date | None:
        """The date, or None; with an error unless there is nothing."""
        if node is None:
            return None
        date = None
        if isinstance(node, Scalar) and isinstance(node.value, str) and _DATE.fullmatch(node.text):
            try:
                date = dt.date.fromisoformat(node.text)
            except ValueError:
                date = None
        if date is None:
            self.problems.add("E511", node.position, f"no date: {describe(node)}", _DATE_HINT)
        return date

    def _covered(self, date: dt.date, node: Node) -> bool:
        if self.first <= date <= self.last:
            return True
        message = f"{date} is not from {self.first} to {self.last}, which the calendar covers"
        self.problems.add("E515", node.position, message)
        return False

    def _give(self, date: dt.date, hours: Hours, node: Node) -> None:
        """Enter a holiday or make-up workday, unless its date has been given before."""
        if date in self.lines:
            self.problems.add("E514", node.position, f"{date} again", f"first on line {self.lines[date]}")
        elif self._covered(date, node):
            self.days[date], self.lines[date] = hours, node.position.line

    def _holiday(self, node: Node) -> None:
        if not isinstance(node, Map):
            date = self._date(node)
            if date is not None:
                self._give(date, (), node)
            return
        reader = MappingReader(node, "a holiday", self.problems)
        reader.known_keys(("from", "to", "name"))
        reader.text_or_number("name", "")
        since_node = reader.require("from")
        until_node = reader.get("to") if "to" in node.entries else since_node
        since, until = self._date(since_node), None if until_node is since_node else self._date(until_node)
        if since is None or since_node is None or until_node is None:
            return
        if until is None:
            if until_node is since_node:
                self._give(since, (), since_node)
        elif not 0 <= (until - since).days <= 366:
            self.problems.add("E109", until_node.position, "`to` must be from 0 to 366 days after `from`")
        elif self._covered(since, since_node) and self._covered(until, until_node):
            for ordinal in range(since.toordinal(), until.toordinal() + 1):
                self._give(dt.date.fromordinal(ordinal), (), node)

    def _workday(self, node: Node) -> None:
        """A make-up workday: open as on a Monday, on the day in ``as``, or in its own ``hours``."""
        before, place, hours = self.problems.errors, node, self.week[0]
        if isinstance(node, Map):
            reader = MappingReader(node, "a make-up workday", self.problems)
            reader.known_keys(("date", "as", "hours", "name"))
            reader.text_or_number("name", "")
            date = self._date(reader.require("date"))
            hours = self.week[WEEKDAYS.index(reader.choice("as", WEEKDAYS, "mon"))]
            if "hours" in node.entries:
                hours = self._hours(reader.get("hours"), "hours")
                if "as" in node.entries:
                    self.problems.add("E113", node.entries["as"][0].position, "`as` and `hours` don't go together")
            place = node.entries["date"][1] if date is not None else node
        else:
            date = self._date(node)
        if date is None:
            return
        if not hours and self.week_is_right and self.problems.errors == before:
            self.problems.add("E518", place.position, f"{date} is a workday with no opening hours", "give its `hours`")
        elif self.week[date.weekday()] and date not in self.lines:
            message = f"{date}: `{WEEKDAYS[date.weekday()]}` is open anyway"
            self.problems.add("W511", place.position, message, "is the date right?")
        self._give(date, hours, place)

    def _special_hours(self, reader: MappingReader) -> None:
        """``days``: hours by date, which also holds on a holiday or make-up workday."""
        days = reader.optional("days")
        if days is None:
            return
        if not isinstance(days, Map):
            reader.wrong_type(days, "days", "a mapping", 'such as {2026-02-16: ["09:00-12:00"]}')
            return
        for key, value in days.entries.values():
            date = self._date(key)
            if date is not None and self._covered(date, key):
                self.days[date] = self._hours(value, key.text)


def _interval(node: Node) -> tuple[int, int] | None:
    match = _HOURS.fullmatch(node.text) if isinstance(node, Scalar) and isinstance(node.value, str) else None
    if match is None:
        return None
    since, until = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    return (since, until) if since < until <= _DAY_MINUTES else None
