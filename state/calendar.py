"""Local calendar periods (day, week from Monday, month) of a timezone, numbered and bounded in epoch time."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from zoneinfo import ZoneInfo

MAX_LOCAL_MS = 253_402_300_799_999 - 86_400_000
"""The last instant that has a local date in every timezone: Python's calendar ends with the year 9999."""


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_CYCLE_DAYS = 146_097
"""400 years, after which the calendar repeats, weekdays included."""
CYCLE_MS = _CYCLE_DAYS * 86_400_000
_CYCLE_PERIODS = {"day": _CYCLE_DAYS, "week": _CYCLE_DAYS // 7, "month": 4800}


def wall_time(ts_ms: int, zone: dt.tzinfo) -> dt.datetime:
    """The local wall time of an instant, to the second; at the very end of the calendar, that of 400 years before."""
    return dt.datetime.fromtimestamp((ts_ms if ts_ms <= MAX_LOCAL_MS else ts_ms - CYCLE_MS) // 1000, zone)


def wall_time_text(ts_ms: int) -> str:
    """An instant in UTC, for people.

    >>> wall_time_text(1_760_086_400_123)
    '2025-10-10 08:53:20.123 UTC'
    """
    seconds, ms = divmod(ts_ms, 1_000)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S}.{ms:03d} UTC"


def date_ordinal(value: object) -> int:
    """The ordinal of a date given as a ``YYYY-MM-DD`` text, 0 for anything else."""
    return _ordinal(value) if isinstance(value, str) and len(value) == 10 else 0


@lru_cache(8_192)
def _ordinal(value: str) -> int:
    if not _DATE.fullmatch(value):
        return 0
    try:
        return dt.date(int(value[:4]), int(value[5:7]), int(value[8:])).toordinal()
    except ValueError:
        return 0


class Periods:
    """Maps instants to the period that holds them. Remembers the last one, as time mostly goes on."""

    def __init__(self, period: str, timezone: str) -> None:
        self.period = period
        self.zone = ZoneInfo(timezone)
        self._start_ms = 0
        self._end_ms = -1
        self._number = 0

    def number(self, ts_ms: int) -> int:
        """The period's number; consecutive periods have consecutive numbers."""
        if not self._start_ms <= ts_ms < self._end_ms:
            self._locate(ts_ms)
        return self._number

    def start_ms(self, ts_ms: int) -> int:
        """The first instant of the period that holds ``ts_ms``."""
        if not self._start_ms <= ts_ms < self._end_ms:
            self._locate(ts_ms)
        return self._start_ms

    def end_ms(self, ts_ms: int) -> int:
        """The first instant after the period that holds ``ts_ms``."""
        self.start_ms(ts_ms)
        return self._end_ms

    def _locate(self, ts_ms: int) -> None:
        number = self._of(wall_time(ts_ms, self.zone).date())
        # the bounds of a period at the end of the calendar are found 400 years before
        moved = ts_ms > MAX_LOCAL_MS - 40 * 86_400_000
        if moved and ts_ms <= MAX_LOCAL_MS:
            number -= _CYCLE_PERIODS[self.period]
        shift_ms, shift = (CYCLE_MS, _CYCLE_PERIODS[self.period]) if moved else (0, 0)
        self._number = number + shift
        self._start_ms = local_ms(self._first(number), 0, 0, self.zone) + shift_ms
        self._end_ms = local_ms(self._first(number + 1), 0, 0, self.zone) + shift_ms
        if not self._start_ms <= ts_ms < self._end_ms:
            # clocks set back over midnight: the date stands, the bounds are widened to hold the instant
            self._start_ms, self._end_ms = min(self._start_ms, ts_ms), max(self._end_ms, ts_ms + 1)

    def _of(self, date: dt.date) -> int:
        if self.period == "month":
            return date.year * 12 + date.month - 1
        ordinal = date.toordinal() - 1  # 0 is a Monday
        return ordinal if self.period == "day" else ordinal // 7

    def _first(self, number: int) -> dt.date:
        if self.period == "month":
            return dt.date(number // 12, number % 12 + 1, 1)
        return dt.date.fromordinal((number if self.period == "day" else number * 7) + 1)


def local_ms(date: dt.date, hour: int, minute: int, zone: dt.tzinfo) -> int:
    """The instant of a local wall time; one that a DST change skips or repeats is taken with ``fold=0``."""
    wall = dt.datetime(date.year, date.month, date.day, hour, minute, tzinfo=zone)
    return round(wall.timestamp()) * 1000


def first_at_or_after(ts_ms: int, hour: int, minute: int, zone: dt.tzinfo) -> tuple[dt.date, int] | None:
    """The first local day whose ``hour:minute`` is at or after ``ts_ms``, with that instant; none past year 9999."""
    today = dt.datetime.fromtimestamp(min(ts_ms, MAX_LOCAL_MS) // 1000, zone).date().toordinal()
    for ordinal in range(today - 1, today + 3):
        if 1 <= ordinal <= dt.date.max.toordinal():
            date = dt.date.fromordinal(ordinal)
            at_ms = local_ms(date, hour, minute, zone)
            if at_ms >= ts_ms:
                return date, at_ms
    return None


def next_day(date: dt.date, hour: int, minute: int, zone: dt.tzinfo) -> tuple[dt.date, int] | None:
    """The local day after ``date`` and the instant of its ``hour:minute``; none at the end of the year 9999."""
    if date.toordinal() >= dt.date.max.toordinal():
        return None
    following = date + dt.timedelta(days=1)
    return following, local_ms(following, hour, minute, zone)
