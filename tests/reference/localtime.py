"""Local calendar arithmetic: what a time in milliseconds is on a zone's clock and calendar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
# 400 years are a whole number of weeks and repeat the calendar: a detour for local dates past year 9999.
DAYS_400Y = 146_097
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}


@dataclass(frozen=True)
class Local:
    """A moment on a zone's wall clock. `day` is the proleptic Gregorian ordinal (1 = 0001-01-01)."""

    year: int
    month: int
    dom: int
    day: int
    ms_of_day: int

    @property
    def hour(self) -> int:
        return self.ms_of_day // 3_600_000

    @property
    def weekday(self) -> int:
        return (self.day - 1) % 7

    def period(self, by: str) -> int:
        """A number for the calendar day, week (from Monday) or month; consecutive periods differ by one."""
        if by == "day":
            return self.day
        if by == "week":
            return (self.day - 1) // 7
        if by == "month":
            return self.year * 12 + self.month - 1
        raise ValueError(by)


@lru_cache(maxsize=200_000)
def local(ts_ms: int, zone: str) -> Local:
    """The local time of `ts_ms`; OverflowError where the calendar has no such year."""
    shift = 0
    try:
        there = (EPOCH + timedelta(milliseconds=ts_ms)).astimezone(ZoneInfo(zone))
    except OverflowError:
        if ts_ms < 0:
            raise
        shift = 400
        there = (EPOCH + timedelta(milliseconds=ts_ms - DAYS_400Y * DAY_MS)).astimezone(ZoneInfo(zone))
    ms_of_day = ((there.hour * 60 + there.minute) * 60 + there.second) * 1000 + there.microsecond // 1000
    day = there.date().toordinal() + (DAYS_400Y if shift else 0)
    return Local(there.year + shift, there.month, there.day, day, ms_of_day)


def instant_ms(day: int, hhmm: str, zone: str) -> int:
    """The instant of a local time of a local day, as zoneinfo gives it with fold=0."""
    hour, minute = hhmm.split(":")
    shift = DAYS_400Y if day >= date.max.toordinal() else 0
    there = datetime.combine(date.fromordinal(day - shift), datetime.min.time(), ZoneInfo(zone))
    there = there.replace(hour=int(hour), minute=int(minute), fold=0)
    return (there.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1) + shift * DAY_MS


@lru_cache
def duration_ms(text: str) -> int:
    """`7d` in milliseconds."""
    found = re.fullmatch(r"([0-9]+)(ms|s|m|h|d|w)", str(text))
    if not found:
        raise ValueError(f"no duration: {text!r}")
    return int(found[1]) * UNITS_MS[found[2]]


def parse_date(text: object) -> date | None:
    """A `YYYY-MM-DD` string as a date; None for anything else."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def days_until(text: object, now: Local, yearly: bool) -> int | None:
    """Local calendar days from `now`'s date to the date, or to its next yearly recurrence."""
    when = parse_date(text)
    if when is None:
        return None
    if not yearly:
        return when.toordinal() - now.day

    def in_year(year: int) -> int:
        shift = 400 if year > date.max.year else 0
        try:
            found = when.replace(year=year - shift)
        except ValueError:  # 29 February in a common year
            found = date(year - shift, 2, 28)
        return found.toordinal() + (DAYS_400Y if shift else 0)

    this_year = in_year(now.year)
    return (this_year if this_year >= now.day else in_year(now.year + 1)) - now.day
