"""What is to happen at a later event time: deadlines, held decisions, daily ticks and the clocks of tickets, in their
exact order.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Container
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from state.footprint import sampled_bytes

DEADLINE, HELD, TICK, TICKET = 0, 1, 2, 3
"""Kinds of timers, in the order in which those of one time and one rule happen."""


@dataclass(slots=True)  # not frozen: that makes it three times as slow to build
class Firing:
    """A rule that fired or armed, with everything as it was then.

    ``anchor_stream`` is ``daily`` for a tick, with the local date as ``anchor_id`` and the tick as ``anchor_ms``.
    ``warming``: a window that was read was not filled, as it is of rules that came later than its events. ``scores``:
    what is to be said of the models that the rule reads.
    """

    anchor_stream: str
    anchor_id: str
    anchor_ms: int
    late: bool
    holding_id: str | None
    features: dict[str, Any]
    payloads: tuple[dict[str, Any], ...]
    warming: bool = False
    scores: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Timer:
    """One thing to happen. A held decision has its ``firing`` and, in ``indices``, the entries that were held together.

    ``row`` is the customer's; −1 for a tick, which is every customer's.
    """

    at_ms: int
    kind: int
    rule: int
    row: int = -1
    firing: Firing | None = None
    indices: tuple[int, ...] = ()
    date: str = ""


class TimerQueue:
    """Timers by time, then rule, then kind, then the order in which they were set.

    Rules are numbered in the order in which they are decided, so the number stands for priority and id.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, int, Timer]] = []
        self._ticks: list[int] = []
        self._sequence = 0
        self.held_decisions = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of all timers with what they hold, roughly."""
        return sampled_bytes(self._heap, len(self._heap)) + sys.getsizeof(self._heap)

    def set(self, at_ms: int, kind: int, rule: int, row: int = -1, firing: Firing | None = None,
            indices: tuple[int, ...] = (), date: str = "") -> None:  # fmt: skip
        """Set a timer."""
        self._sequence += 1
        timer = Timer(at_ms, kind, rule, row, firing, indices, date)
        heapq.heappush(self._heap, (at_ms, rule, kind, self._sequence, timer))
        self.held_decisions += len(indices)
        if kind == TICK:
            heapq.heappush(self._ticks, at_ms)

    def rows(self) -> list[int]:
        """The rows of customers for whom something is to happen."""
        return [entry[4].row for entry in self._heap if entry[4].row >= 0]

    def ticks(self) -> list[Timer]:
        """The daily ticks to come."""
        return [timer for *_, timer in self._heap if timer.kind == TICK]

    def by_row(self, rows: Container[int]) -> dict[int, list[Timer]]:
        """The timers of some rows by row, each in the order in which they happen."""
        found: dict[int, list[Timer]] = {}
        for *_, timer in sorted((entry for entry in self._heap if entry[4].row in rows), key=itemgetter(0, 1, 2, 3)):
            found.setdefault(timer.row, []).append(timer)
        return found

    def next_ms(self) -> int | None:
        """The time of the earliest timer."""
        return self._heap[0][0] if self._heap else None

    def next_tick_ms(self) -> int | None:
        """The time of the earliest tick."""
        return self._ticks[0] if self._ticks else None

    def pop(self) -> Timer:
        """Take the earliest timer."""
        timer = heapq.heappop(self._heap)[4]
        self.held_decisions -= len(timer.indices)
        if timer.kind == TICK:
            heapq.heappop(self._ticks)
        return timer
