"""Series whose answer depends on the order of events or on calendar periods: latest, sequences, streaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from state.series import Totals

_FOREVER_MS = 1 << 62
_NEVER_MS = -(1 << 62)


class LatestEvent:
    """The latest matching event, in processing order: its field's value and its effective time."""

    __slots__ = ("effective_ms", "value")

    def __init__(self) -> None:
        self.effective_ms: int | None = None
        self.value: Any = None

    def set(self, effective_ms: int, value: Any) -> None:
        """Replace by a newer event."""
        self.effective_ms = effective_ms
        self.value = value


class SequenceProgress:
    """How well the first steps of ``seq`` are matched, in constant space.

    ``starts[j]`` is, over all ways to match the first j selectors by different events in processing order, the
    highest possible own time of the oldest event used (the lowest own time, where late events mix the order). A
    window holds a match of j steps exactly if that time lies in it.
    """

    __slots__ = ("starts",)

    def __init__(self, steps: int) -> None:
        self.starts = [_FOREVER_MS] + [_NEVER_MS] * (steps - 1)

    def add(self, ts_ms: int, matched: Sequence[bool]) -> None:
        """Add an event with, for each selector but the last, whether it matches."""
        starts = self.starts
        for step in range(len(starts) - 1, 0, -1):  # downwards: one event is used for one step
            if matched[step - 1]:
                starts[step] = max(starts[step], min(starts[step - 1], ts_ms))

    def complete(self, ts_ms: int, after_ms: int) -> bool:
        """Whether an event of own time ``ts_ms``, matching the last selector, completes a match above ``after_ms``."""
        return min(self.starts[-1], ts_ms) > after_ms


class PeriodRun:
    """Consecutive periods with a matching event."""

    __slots__ = ("last", "length")

    def __init__(self) -> None:
        self.last: int | None = None
        self.length = 0

    def add(self, period: int) -> None:
        """Add an event of the period with this number (never below an earlier one)."""
        if period != self.last:
            self.length = self.length + 1 if self.last == period - 1 else 1
            self.last = period

    def read(self, period: int) -> int:
        """The run's length up to this period, 0 if it holds no event."""
        return self.length if self.last == period else 0


Condition = Callable[[Sequence[Any]], bool]


class ConditionRun:
    """Consecutive periods whose own events satisfy a condition over some aggregates.

    Closed periods are settled once: the run before the current period and the current period's totals are all
    that is kept. Periods without events count as well, once the first matching event has come.
    """

    __slots__ = ("current", "length", "totals")

    def __init__(self, size: int) -> None:
        self.current: int | None = None
        self.length = 0
        self.totals = [Totals() for _ in range(size)]

    def advance(self, period: int, ops: Sequence[str], holds: Condition) -> None:
        """Close every period before this one; the first call starts the count."""
        if self.current is None:
            self.current = period
        if period == self.current:
            return
        self.length = self.length + 1 if holds([t.read(op) for t, op in zip(self.totals, ops, strict=True)]) else 0
        self.totals = [Totals() for _ in ops]
        empty_periods = period - self.current - 1
        if empty_periods:
            empty_holds = holds([t.read(op) for t, op in zip(self.totals, ops, strict=True)])
            self.length = self.length + empty_periods if empty_holds else 0
        self.current = period

    def read(self, ops: Sequence[str], holds: Condition) -> int:
        """The run's length including the current period."""
        return self.length + 1 if holds([t.read(op) for t, op in zip(self.totals, ops, strict=True)]) else 0
