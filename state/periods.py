"""Calendar periods and clock readings of many times at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import numpy as np

from state.calendar import Periods, wall_time
from state.log import Words

_SPAN_MS = 900_000
"""Nearly all offsets from UTC are multiples of a quarter of an hour, so a period rarely ends within one."""

_REMEMBERED_SPANS = 50_000

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
        self._nothing = [(0, 0)] * len(kinds)
        self._known: dict[int, list[_Reading] | None] = {}

    def of(self, times_ms: Words) -> tuple[Words, Words]:
        """Numbers and starts, int64[n, kinds] each, of times in ascending order."""
        if not self._readers or not len(times_ms):
            empty = np.empty((len(times_ms), len(self._readers)), np.int64)
            return empty, empty
        spans = times_ms // _SPAN_MS
        first = np.concatenate([[0], np.flatnonzero(spans[1:] != spans[:-1]) + 1])
        readings = [self._readings(span) for span in spans[first].tolist()]
        table = np.array([reading or self._nothing for reading in readings], np.int64)
        counts = np.diff(first, append=len(spans))
        numbers = np.repeat(table[:, :, 0], counts, axis=0)
        starts = np.repeat(table[:, :, 1], counts, axis=0)
        for place, reading in enumerate(readings):
            if reading is None:  # some period ends within the span
                for i in range(int(first[place]), int(first[place] + counts[place])):
                    numbers[i], starts[i] = zip(*(read(int(times_ms[i])) for read in self._readers), strict=True)
        return numbers, starts

    def _readings(self, span: int) -> list[_Reading] | None:
        if span not in self._known:
            if len(self._known) >= _REMEMBERED_SPANS:
                self._known.clear()
            first = [read(span * _SPAN_MS) for read in self._readers]
            last = [read((span + 1) * _SPAN_MS - 1) for read in self._readers]
            self._known[span] = first if first == last else None
        return self._known[span]


def _reader(period: str, timezone: str) -> Callable[[int], _Reading]:
    if period in ("hour", "weekday"):
        zone = ZoneInfo(timezone)
        if period == "hour":
            return lambda t: (wall_time(t, zone).hour, 0)
        return lambda t: (wall_time(t, zone).weekday(), 0)
    periods = Periods(period, timezone)
    return lambda t: (periods.number(t), periods.start_ms(t))
