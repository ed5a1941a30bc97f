"""What one customer (or one device, terminal, …) remembers of the events that a matcher matched.

Every windowed series answers for any window ``(after_ms, t]`` at once: it keeps entries in order of their own
time, so rules with windows of 1 hour and 90 days share it, and a late event is simply inserted at its place.
``t`` is never below an entry's time, so the upper bound needs no test. Entries that no window can reach any more
are dropped in bulk: a query may only ask for ``after_ms`` at or above the last ``trim``.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import Any

from state.exact import Units, deviation, from_units, to_units

_TRIM_SLACK = 64
"""Stale entries are deleted only when they are this many and half of all, so that deletion stays amortised."""


class Times:
    """Times of matching events: ``count`` over windows."""

    __slots__ = ("times",)

    def __init__(self) -> None:
        self.times: list[int] = []

    def add(self, ts_ms: int) -> None:
        """Add an event's own time."""
        if not self.times or ts_ms >= self.times[-1]:
            self.times.append(ts_ms)
        else:
            insort(self.times, ts_ms)

    def count(self, after_ms: int) -> int:
        """Number of events with own time above ``after_ms``."""
        return len(self.times) - bisect_right(self.times, after_ms)

    def trim(self, after_ms: int) -> None:
        """Drop events that no window reaches."""
        stale = bisect_right(self.times, after_ms)
        if stale > _TRIM_SLACK and stale * 2 > len(self.times):
            del self.times[:stale]


class Sums:
    """Running exact sums over time: ``sum``, ``mean``, ``std`` over windows as differences of two of them.

    ``sums[i]`` is over everything up to entry i since the beginning: the number of floats, the units and the
    squared units.
    """

    __slots__ = ("before", "sums", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.sums: list[tuple[int, Units, Units]] = []
        self.before: tuple[int, Units, Units] = (0, 0, 0)

    def add(self, ts_ms: int, x: int | float) -> None:
        """Add a value at an event's own time."""
        units = to_units(x)
        floats = type(x) is float
        at = len(self.times)
        if at and ts_ms < self.times[-1]:
            at = bisect_right(self.times, ts_ms)
            self.sums[at:] = [(f + floats, s + units, q + units * units) for f, s, q in self.sums[at:]]
        f, s, q = self.sums[at - 1] if at else self.before
        self.times.insert(at, ts_ms)
        self.sums.insert(at, (f + floats, s + units, q + units * units))

    def read(self, op: str, after_ms: int) -> int | float | None:
        """``op`` (``sum``, ``mean`` or ``std``) over the entries above ``after_ms``."""
        first = bisect_right(self.times, after_ms)
        n = len(self.times) - first
        if n == 0:
            return 0 if op == "sum" else None
        f0, s0, q0 = self.sums[first - 1] if first else self.before
        f1, s1, q1 = self.sums[-1]
        return summarise(op, n, f1 - f0, s1 - s0, q1 - q0)

    def trim(self, after_ms: int) -> None:
        """Drop entries that no window reaches."""
        stale = bisect_right(self.times, after_ms)
        if stale > _TRIM_SLACK and stale * 2 > len(self.times):
            self.before = self.sums[stale - 1]
            del self.times[:stale], self.sums[:stale]


def summarise(op: str, n: int, floats: int, total: Units, squares: Units) -> int | float | None:
    """``sum``, ``mean`` or ``std`` of ``n`` numbers from their exact sums."""
    if op == "std":
        return deviation(n, total, squares)
    value = from_units(total, floats == 0)
    if op == "sum" or value is None:
        return value
    try:
        return value / n
    except OverflowError:
        return None


class Extremes:
    """``min`` (or, with ``sign`` −1, ``max``) over every window that ends now: the suffix minima.

    An entry is kept only while no later one is as low, so values rise with time and the first one inside a
    window is its minimum.
    """

    __slots__ = ("sign", "times", "values")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.times: list[int] = []
        self.values: list[int | float] = []

    def add(self, ts_ms: int, x: int | float) -> None:
        """Add a value at an event's own time."""
        times, values = self.times, self.values
        at = bisect_right(times, ts_ms)
        if at < len(values) and self._undercuts(values[at], x):
            return
        first = at
        while first and self._undercuts(x, values[first - 1]):
            first -= 1
        times[first:at] = [ts_ms]
        values[first:at] = [x]

    def _undercuts(self, later: int | float, earlier: int | float) -> bool:
        # of 1 and 1.0 both stay: the earlier is what `min` of the whole window gives
        if later == earlier:
            return type(later) is type(earlier)
        return (later < earlier) if self.sign > 0 else (later > earlier)

    def read(self, after_ms: int) -> int | float | None:
        """The extreme over the entries above ``after_ms``, null if there are none."""
        first = bisect_right(self.times, after_ms)
        return self.values[first] if first < len(self.values) else None

    def trim(self, after_ms: int) -> None:
        """Drop entries that no window reaches."""
        stale = bisect_right(self.times, after_ms)
        if stale > _TRIM_SLACK:
            del self.times[:stale], self.values[:stale]


class ValueTimes:
    """The latest own time of each distinct value: ``distinct`` and ``novel`` over windows."""

    __slots__ = ("latest", "times")

    def __init__(self) -> None:
        self.latest: dict[Any, int] = {}
        self.times: list[int] = []  # the values of `latest`, sorted

    def add(self, ts_ms: int, key: Any) -> None:
        """Add a value, by its ``value_key``, at an event's own time."""
        known = self.latest.get(key)
        if known is not None:
            if ts_ms <= known:
                return
            del self.times[bisect_right(self.times, known) - 1]
        self.latest[key] = ts_ms
        if not self.times or ts_ms >= self.times[-1]:
            self.times.append(ts_ms)
        else:
            insort(self.times, ts_ms)

    def distinct(self, after_ms: int) -> int:
        """Number of values with an event above ``after_ms``."""
        return len(self.times) - bisect_right(self.times, after_ms)

    def seen(self, key: Any, after_ms: int) -> bool:
        """Whether the value has an event above ``after_ms``."""
        known = self.latest.get(key)
        return known is not None and known > after_ms

    def trim(self, after_ms: int) -> None:
        """Drop values that no window reaches."""
        stale = bisect_right(self.times, after_ms)
        if stale > _TRIM_SLACK and stale * 2 > len(self.times):
            del self.times[:stale]
            self.latest = {key: ts_ms for key, ts_ms in self.latest.items() if ts_ms > after_ms}


class Totals:
    """Aggregates without a window: over everything since the beginning (or over one period, in a streak)."""

    __slots__ = ("floats", "highest", "lowest", "matches", "n", "squares", "total")

    def __init__(self) -> None:
        self.matches = 0
        self.n = 0
        self.floats = 0
        self.total: Units = 0
        self.squares: Units = 0
        self.lowest: int | float | None = None
        self.highest: int | float | None = None

    def add(self, x: Any) -> None:
        """Add a matching event with its field's value, null or of any type."""
        self.matches += 1
        if type(x) is not int and type(x) is not float:
            return
        units = to_units(x)
        self.n += 1
        self.floats += type(x) is float
        self.total += units
        self.squares += units * units
        self.lowest = x if self.lowest is None or x < self.lowest else self.lowest
        self.highest = x if self.highest is None or x > self.highest else self.highest

    def read(self, op: str) -> int | float | None:
        """``count`` of the matching events, or another ``op`` over the numbers among the field's values."""
        if op == "count":
            return self.matches
        if op == "min":
            return self.lowest
        if op == "max":
            return self.highest
        if self.n == 0:
            return 0 if op == "sum" else None
        return summarise(op, self.n, self.floats, self.total, self.squares)
