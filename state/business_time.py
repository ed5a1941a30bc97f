"""Business time: when work is done, and how much of it lies between two instants.

Times are milliseconds since 1970 in UTC. A day's opening hours are local wall times; one that a DST change skips or
repeats is taken with ``fold=0``, so an interval lasts from the instant of its beginning to that of its end. What would
reach beyond its own local day because of such a change is cut off there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from state.calendar import CYCLE_MS, MAX_LOCAL_MS, local_ms, wall_time

DAY_MINUTES = 1440
MOST_DAYS = 366 * 30
"""How far ahead a deadline is looked for. What takes longer has none."""

_CYCLE_DAYS = CYCLE_MS // 86_400_000
_MOST_CACHED = 4_096
_LAST_DAY = dt.date.max.toordinal() - 1
"""The last day whose end is in Python's calendar; nothing is open later."""

_Hours = tuple[tuple[int, int], ...]
_NOTHING: tuple[tuple[int, int], ...] = ()


class BusinessTime:
    """The opening hours of a timezone: by the day of the week, and by date where a day differs.

    ``week`` has seven entries, Monday first. An entry, as one of ``days``, is the day's open intervals in minutes
    after local midnight, ``[from, to)``, in order, disjoint, up to 1440; none: closed. Raises ValueError for others.
    """

    def __init__(
        self,
        timezone: str,
        week: Sequence[Sequence[tuple[int, int]]],
        days: Mapping[dt.date, Sequence[tuple[int, int]]],
    ) -> None:
        if len(week) != 7:
            raise ValueError(f"a week has 7 days, not {len(week)}")
        self.zone = ZoneInfo(timezone)
        self._week = tuple(_checked(hours) for hours in week)
        self._days = {date.toordinal(): _checked(hours) for date, hours in days.items()}
        # where no day of the week is open, nothing is after the last date that differs
        self._last_day = _LAST_DAY if any(self._week) else min(_LAST_DAY, max(self._days, default=0))
        self._intervals: dict[int, tuple[tuple[int, int], ...]] = {}

    def add_ms(self, start_ms: int, open_ms: int) -> int | None:
        """The earliest instant from ``start_ms`` on with ``open_ms`` of open time before it (and after the start).

        None if there is none within ``MOST_DAYS`` days, or in the years up to 9999.
        """
        if open_ms <= 0:
            return start_ms
        left_ms = open_ms
        first = self._ordinal(start_ms)
        for ordinal in range(first, min(first + MOST_DAYS, self._last_day) + 1):
            for from_ms, to_ms in self._open(ordinal):
                if to_ms <= start_ms:
                    continue
                since_ms = from_ms if from_ms > start_ms else start_ms
                if to_ms - since_ms >= left_ms:
                    return since_ms + left_ms
                left_ms -= to_ms - since_ms
        return None

    def between_ms(self, start_ms: int, end_ms: int) -> int:
        """The open time in ``[start_ms, end_ms)``, 0 if that is empty.

        The cost grows with the days between: who waits for a deadline gives at most that as the end.
        """
        if end_ms <= start_ms:
            return 0
        total_ms = 0
        # clocks set back over midnight: the end may be of a date and behind the beginning of the next
        last = min(self._ordinal(end_ms) + 1, self._last_day)
        for ordinal in range(self._ordinal(start_ms), last + 1):
            for from_ms, to_ms in self._open(ordinal):
                if to_ms > start_ms and from_ms < end_ms:
                    total_ms += min(to_ms, end_ms) - max(from_ms, start_ms)
        return total_ms

    def workday_close_ms(self, start_ms: int, workdays: int) -> int | None:
        """The last closing of the ``workdays``-th day with any open time after the local date of ``start_ms``.

        0 stands for that date itself. None if it is closed all day, or as for ``add_ms``.
        """
        today = self._ordinal(start_ms)
        if workdays <= 0:
            hours = self._open(today)
            return hours[-1][1] if hours else None
        left = workdays
        for ordinal in range(today + 1, min(today + MOST_DAYS, self._last_day) + 1):
            hours = self._open(ordinal)
            if hours:
                left -= 1
                if not left:
                    return hours[-1][1]
        return None

    def day_end_ms(self, start_ms: int, days: int) -> int:
        """The local midnight that ends the ``days``-th day after the local date of ``start_ms``."""
        ordinal = self._ordinal(start_ms) + days + 1
        # past the end of the calendar: as 400 years before, when weekdays and rules are the same
        cycles = max(0, -((_LAST_DAY + 1 - ordinal) // _CYCLE_DAYS))
        return _midnight_ms(ordinal - cycles * _CYCLE_DAYS, self.zone) + cycles * CYCLE_MS

    def _ordinal(self, ts_ms: int) -> int:
        """The number of the local date, as ``date.toordinal`` has it, which goes on after the year 9999."""
        ordinal = wall_time(ts_ms, self.zone).toordinal()
        return ordinal if ts_ms <= MAX_LOCAL_MS else ordinal + _CYCLE_DAYS

    def _open(self, ordinal: int) -> tuple[tuple[int, int], ...]:
        """The open intervals of a date as instants, in order."""
        found = self._intervals.get(ordinal)
        if found is None:
            if len(self._intervals) >= _MOST_CACHED:
                self._intervals.clear()
            found = self._intervals[ordinal] = self._locate(ordinal)
        return found

    def _locate(self, ordinal: int) -> tuple[tuple[int, int], ...]:
        hours = self._days.get(ordinal)
        if hours is None:
            hours = self._week[(ordinal - 1) % 7]  # 1 is a Monday
        if not hours or not 1 <= ordinal <= _LAST_DAY:
            return _NOTHING
        free_from_ms, end_ms = _midnight_ms(ordinal, self.zone), _midnight_ms(ordinal + 1, self.zone)
        intervals = []
        for from_minute, to_minute in hours:
            from_ms = max(self._instant(ordinal, from_minute), free_from_ms)
            to_ms = min(self._instant(ordinal, to_minute), end_ms)
            if from_ms < to_ms:
                intervals.append((from_ms, to_ms))
                free_from_ms = to_ms
        return tuple(intervals)

    def _instant(self, ordinal: int, minute: int) -> int:
        if minute == DAY_MINUTES:
            return _midnight_ms(ordinal + 1, self.zone)
        return local_ms(dt.date.fromordinal(ordinal), minute // 60, minute % 60, self.zone)


def _midnight_ms(ordinal: int, zone: dt.tzinfo) -> int:
    return local_ms(dt.date.fromordinal(ordinal), 0, 0, zone)


def _checked(hours: Sequence[tuple[int, int]]) -> _Hours:
    end = 0
    for number, (from_minute, to_minute) in enumerate(hours):
        if not (end if number else 0) <= from_minute < to_minute <= DAY_MINUTES:
            raise ValueError(f"opening hours are in order, disjoint and within a day, not {list(hours)}")
        end = to_minute
    return tuple((from_minute, to_minute) for from_minute, to_minute in hours)
