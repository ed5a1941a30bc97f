"""What is told of a ticket, worked out from its whole life at once: slow, plain, and nothing of the engine in it.

Written from docs/tickets.md and docs/calendars.md alone. Times are ms since 1970; the timezone is that of China, which
has had no change of clocks since 1991.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
CHINA = dt.timezone(dt.timedelta(hours=8))
ORDER = {"created": 0, "reopened": 0, "accepted": 1, "analysing": 2, "resolved": 3, "followed_up": 4, "closed": 5}
NEXT = {
    "created": {"accepted"}, "accepted": {"analysing"}, "analysing": {"resolved"},
    "resolved": {"followed_up", "reopened"}, "followed_up": {"closed", "reopened"}, "closed": {"reopened"},
    "reopened": {"accepted", "analysing"},
}  # fmt: skip
CLOCKS = ("first_response", "resolution", "statutory")
NEVER = 10**15


def midnight(date: dt.date) -> int:
    """The ms at which a local date begins."""
    return int(dt.datetime.combine(date, dt.time(), CHINA).timestamp() * 1000)


def date_of(at_ms: int) -> dt.date:
    """The local date of a moment."""
    return dt.datetime.fromtimestamp(at_ms // 1000, CHINA).date()


def read_yaml(text: str) -> Any:
    """A YAML text."""
    return YAML(typ="safe", pure=True).load(text)


@cache
def hours(calendar: str) -> tuple[dict[dt.date, list[tuple[int, int]]], int]:
    """The open times of each date from 2025-12 to 2027-10, in ms, and the end of the days whose holidays are known."""
    dates = [dt.date(2025, 12, 1) + dt.timedelta(days=n) for n in range(700)]
    if calendar == "always":
        return {date: [(midnight(date), midnight(date) + DAY_MS)] for date in dates}, NEVER
    data = read_yaml((files("rules") / "calendars" / f"{calendar}.yaml").read_text(encoding="utf-8"))
    off: set[dt.date] = set()
    for holiday in data["holidays"]:
        day, last = holiday["from"], holiday.get("to", holiday["from"])
        while day <= last:
            off.add(day)
            day += dt.timedelta(days=1)
    made_up = {workday["date"] for workday in data["workdays"]}
    opened = {}
    for date in dates:
        weekday = "mon" if date in made_up else ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[date.weekday()]
        spans = data["week"].get(weekday, []) if date in made_up or date not in off else []
        opened[date] = [tuple(midnight(date) + _of_day(one) for one in span.split("-")) for span in spans]
    return opened, midnight(data["covers"]["to"]) + DAY_MS


def _of_day(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * HOUR_MS + int(minute) * MINUTE_MS


def open_between(calendar: str, from_ms: int, to_ms: int) -> int:
    """The open time in a span."""
    spans = (span for spans in hours(calendar)[0].values() for span in spans)
    return sum(max(0, min(end, to_ms) - max(begin, from_ms)) for begin, end in spans)


def after_open(calendar: str, from_ms: int, left_ms: int) -> int:
    """The earliest moment by which so much open time has gone by."""
    if left_ms == 0:
        return from_ms
    for spans in hours(calendar)[0].values():
        for begin, end in spans:
            here = max(0, end - max(begin, from_ms))
            if here >= left_ms:
                return max(begin, from_ms) + left_ms
            left_ms -= here
    raise AssertionError("beyond the years of this reference")


def end_of_day(calendar: str, unit: str, opened: int, number: int) -> int | None:
    """The end of the day (or close of the workday) so many after that of the opening; None if there is none."""
    date = date_of(opened)
    if unit == "d":
        return midnight(date) + (number + 1) * DAY_MS
    table = hours(calendar)[0]
    while number:
        date += dt.timedelta(days=1)
        number -= bool(table[date])
    return table[date][-1][1] if table[date] else None


@dataclass(frozen=True)
class Limit:
    """A limit: a number and its unit, `ms` for open time, else `d` or `wd`."""

    size: int
    unit: str

    @classmethod
    def of(cls, text: str) -> Limit:
        """From a text like `4h`, `3wd` or `15d`."""
        for unit in ("wd", "d"):
            if text.endswith(unit):
                return cls(int(text.removesuffix(unit)), unit)
        return cls(int(text[:-1]) * {"m": MINUTE_MS, "h": HOUR_MS}[text[-1]], "ms")


@dataclass
class Life:
    """A ticket, what its level says, and what has been told of it in order: (ts, message)."""

    opened: int
    calendar: str
    warn_percent: int
    limits: dict[str, Limit]
    up_to: Limit | None = None
    keep_ms: int = 90 * DAY_MS
    told: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


@dataclass
class Course:
    """What became of a ticket's stage."""

    stages: list[tuple[int, str]]  # from when on it was in which
    extended: list[tuple[int, int]]  # from when on the statutory limit is how long
    spans: list[tuple[int, int]]  # when it was neither resolved nor beyond
    pauses: list[tuple[int, int]]
    first: int  # when the first message came
    illegal: list[tuple[int, dict[str, Any]]]
    until: int  # when it is followed no more


def _resolved(stage: str) -> bool:
    return ORDER[stage] >= ORDER["resolved"]


def course(life: Life) -> Course:
    """The stages of a ticket and what was wrong with its messages."""
    out = Course([(life.opened, "created")], [], [(life.opened, NEVER)], [], NEVER, [], NEVER)
    if "statutory" in life.limits:
        out.extended.append((life.opened, life.limits["statutory"].size))
    unconfirmed = False
    for ts, message in life.told:
        before, said = out.stages[-1][1], message["stage"]
        if ts >= out.until:
            break
        paused, days = message.get("paused"), message.get("extend_days")
        days = days if isinstance(days, int) else None  # of the wrong type: as if it were not there
        by_rule = message.get("by_rule", False)
        if by_rule:
            if not _resolved(before):
                continue
            unconfirmed = True
        else:
            out.first = out.first if said == "reopened" else min(out.first, ts)
            confirms = unconfirmed and said == "reopened" and before == "reopened"
            unconfirmed = unconfirmed and not confirms and said == before
            again = said == before and (isinstance(paused, bool) or days is not None)
            if not (confirms or again or said in NEXT[before]):
                changes = said != "reopened" and ORDER[said] > ORDER[before]
                _wrong(out, ts, "illegal_transition", before, message, said if changes else before)
                if not changes:
                    continue
        if said != before:
            out.stages.append((ts, said))
            if said == "reopened":
                out.spans.append((ts, NEVER))
                out.until = NEVER
            elif _resolved(said) and not _resolved(before):
                out.spans[-1] = (out.spans[-1][0], ts)
                _end_pause(out, ts)
            if said == "closed":
                out.until = ts + life.keep_ms
        if not _resolved(said) and isinstance(paused, bool):
            if not paused:
                _end_pause(out, ts)
            elif not (out.pauses and out.pauses[-1][1] == NEVER):
                out.pauses.append((ts, NEVER))
        if days is not None and not _extend(life, out, ts, days):
            _wrong(out, ts, "illegal_extension", before, message, out.stages[-1][1])
    return out


def _wrong(out: Course, ts: int, event: str, before: str, message: dict[str, Any], after: str) -> None:
    days = {"extend_days": message["extend_days"]} if isinstance(message.get("extend_days"), int) else {}
    out.illegal.append((ts, {"event": event, "from": before, "told": message["stage"], "stage": after, **days}))


def _end_pause(out: Course, ts: int) -> None:
    if out.pauses and out.pauses[-1][1] == NEVER:
        out.pauses[-1] = (out.pauses[-1][0], ts)


def _extend(life: Life, out: Course, ts: int, days: int) -> bool:
    """Lengthens the statutory limit; whether all that was wanted could be had."""
    if life.up_to is None:
        return False
    wanted = life.limits["statutory"].size + days
    if wanted < out.extended[-1][1]:
        return False
    if min(wanted, life.up_to.size) > out.extended[-1][1]:
        out.extended.append((ts, min(wanted, life.up_to.size)))
    return wanted <= life.up_to.size


def stage_at(known: Course, at_ms: int) -> str:
    """The stage after all that came up to a moment."""
    return [stage for since, stage in known.stages if since <= at_ms][-1]


def _running(known: Course, *, pausable: bool) -> list[tuple[int, int]]:
    """When the clock runs."""
    pieces = []
    for begin, end in known.spans:
        at = begin
        for pause, goes_on in known.pauses if pausable else []:
            if begin <= pause < end:
                pieces.append((at, pause))
                at = goes_on
        pieces.append((at, end))
    return pieces


def _open_clock(life: Life, limit: Limit, pieces: list[tuple[int, int]]) -> list[tuple[int, str, int]]:
    found: dict[str, tuple[int, str, int]] = {}
    used = 0
    left_at_warning = limit.size * life.warn_percent // 100
    for begin, end in pieces:
        if begin >= end:
            continue
        due = after_open(life.calendar, begin, max(0, limit.size - used))
        rest = limit.size - left_at_warning - used
        warned = after_open(life.calendar, begin, rest) if rest >= 0 and life.warn_percent else NEVER
        if begin < warned < end:
            found.setdefault("warning", (warned, "warning", due))
        if due < end:
            found.setdefault("breach", (due, "breach", due))
        used += open_between(life.calendar, begin, min(end, due + DAY_MS))
    return list(found.values())


def _day_clock(
    life: Life, limit: Limit, pieces: list[tuple[int, int]], extended: list[tuple[int, int]]
) -> list[tuple[int, str, int]]:
    found, warned, missed = [], False, False
    size = extended[0][1]
    marks: list[tuple[int, str, Any]] = [(piece[0], "run", piece) for piece in pieces]
    marks += [(at, "extend", new) for at, new in extended[1:]]
    # an extension of the same moment as a reopening came with it, so it counts first
    marks.sort(key=lambda mark: (mark[0], mark[1] == "run"))
    ends = {piece[0]: piece[1] for piece in pieces}
    stop = life.opened
    for place, (at, kind, what) in enumerate(marks):
        if kind == "extend":
            due = end_of_day(life.calendar, limit.unit, life.opened, what)
            assert due is not None
            size, warned, missed = what, False, missed and due <= at
        else:
            stop = ends[at]
        upto = min(stop, marks[place + 1][0] if place + 1 < len(marks) else NEVER)
        due = end_of_day(life.calendar, limit.unit, life.opened, size)
        assert due is not None
        before = max(1, size * life.warn_percent // 100)
        warning = end_of_day(life.calendar, limit.unit, life.opened, size - before) if life.warn_percent else None
        if warning is not None and not warned and at < warning < upto:
            found.append((warning, "warning", due))
            warned = True
        if not missed and max(due, at) < upto:
            found.append((max(due, at), "breach", due))
            missed = True
    return found


def escalations(life: Life, until_ms: int = NEVER) -> list[dict[str, Any]]:
    """All that is told of the ticket, in order of time: messages before clocks, clocks in their order."""
    known = course(life)
    rows: list[tuple[int, int, dict[str, Any]]] = [(ts, 0, dict(what)) for ts, what in known.illegal]
    for place, (clock, limit) in enumerate(life.limits.items(), 1):
        if clock == "first_response":
            pieces = [(life.opened, known.first)]
        else:
            pieces = _running(known, pausable=clock == "resolution" and limit.unit == "ms")
        if limit.unit == "ms" and clock != "statutory":
            found = _open_clock(life, limit, pieces)
        else:
            sizes = known.extended if clock == "statutory" else [(life.opened, limit.size)]
            found = _day_clock(life, limit, pieces, sizes)
        for ts, event, due in found:
            rows.append((ts, place, {"event": event, "clock": clock, "due": due, "stage": stage_at(known, ts)}))
    rows.sort(key=lambda row: row[:2])
    return [{"ts": ts, **what} for ts, _, what in rows if ts <= until_ms]


def due_of(life: Life) -> dict[str, int]:
    """When each clock runs out, as known at the opening."""
    out = {}
    for clock, limit in life.limits.items():
        if limit.unit == "ms":
            out[clock] = after_open(life.calendar, life.opened, limit.size)
        else:
            out[clock] = end_of_day(life.calendar, limit.unit, life.opened, limit.size) or 0
    return out
