"""Calendar periods and clock readings of many times at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import numpy as np

from state.calendar import Periods, wall_time
from state.log import Words

_SPAN_MS = 900_000
"""Nearly all offsets from UTC are multiples of a quarter of an hour, so a period rarely ends within one."""

_REMEMBERED_SPANS = 4_096
"""Six weeks: the times of a step lie close together, and those of the next ones after them."""

_Reading = tuple[int, int]
"""The number of a period and its start in ms."""


class PeriodTable:
    """Numbers and starts of some kinds of period.

    Parameters
    ----------
    kinds
        ``day``, ``week`` or ``month``, or ``hour`` or ``weekday`` (whose number is the clock's reading), each with a
        timezone.
    """

    def __init__(self, kinds: Sequence[tuple[str, str]]) -> None:
        self._readers = [_reader(period, timezone) for period, timezone in kinds]
        self._places: dict[int, int] = {}
        self._numbers, self._starts = np.zeros((64, len(kinds)), np.int64), np.zeros((64, len(kinds)), np.int64)
        self._used = 1

    def of(self, times_ms: Words) -> tuple[Words, Words]:
        """Numbers and starts, int64[n, kinds] each, of times in ascending order."""
        if not self._readers or not len(times_ms):
            empty = np.empty((len(times_ms), len(self._readers)), np.int64)
            return empty, empty
        if self._used > _REMEMBERED_SPANS:  # never later on: the places of the spans before would be those of others
            self._places.clear()
            self._used = 1
        span = times_ms.item(0) // _SPAN_MS
        if times_ms.item(-1) < (span + 1) * _SPAN_MS and (place := self._place(span)):
            rows = np.full(len(times_ms), place)  # as at a tick, and in most steps of a paced source
            return self._numbers.take(rows, 0), self._starts.take(rows, 0)
        spans = times_ms // _SPAN_MS
        first = np.flatnonzero(spans[1:] != spans[:-1]) + 1
        places = [self._place(span) for span in (spans[:1].tolist() + spans[first].tolist())]
        bounds = [0, *first.tolist(), len(spans)]
        rows = np.repeat(places, np.diff(bounds))
        numbers, starts = self._numbers.take(rows, 0), self._starts.take(rows, 0)
        for place, begin, end in zip(places, bounds, bounds[1:], strict=False):
            if place == 0:  # some period ends within the span
                for i in range(begin, end):
                    numbers[i], starts[i] = zip(*(read(int(times_ms[i])) for read in self._readers), strict=True)
        return numbers, starts

    def _place(self, span: int) -> int:
        """Where the readings of a span are kept; 0 if they are not the same all through."""
        place = self._places.get(span)
        if place is None:
            first = [read(span * _SPAN_MS) for read in self._readers]
            last = [read((span + 1) * _SPAN_MS - 1) for read in self._readers]
            place = self._places[span] = self._keep(first) if first == last else 0
        return place

    def _keep(self, readings: Sequence[_Reading]) -> int:
        if self._used == len(self._numbers):
            self._numbers, self._starts = (np.concatenate([array, array]) for array in (self._numbers, self._starts))
        self._used += 1
        self._numbers[self._used - 1], self._starts[self._used - 1] = zip(*readings, strict=True)
        return self._used - 1


def _reader(period: str, timezone: str) -> Callable[[int], _Reading]:
    if period in ("hour", "weekday"):
        zone = ZoneInfo(timezone)
        if period == "hour":
            return lambda t: (wall_time(t, zone).hour, 0)
        return lambda t: (wall_time(t, zone).weekday(), 0)
    periods = Periods(period, timezone)
    return lambda t: (periods.number(t), periods.start_ms(t))
