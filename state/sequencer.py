"""Puts what several inputs deliver into processing order, and drops duplicates."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from state.event import Event

BEFORE_ALL_MS = -1
AFTER_ALL_MS = 1 << 62
"""The watermark of an input that is finished."""

T = TypeVar("T", bound=tuple[Any, ...])


class Frontier:
    """The lowest watermark over a fixed number of inputs: everything below it has arrived."""

    def __init__(self, inputs: int) -> None:
        self._watermarks = [BEFORE_ALL_MS] * inputs
        self.ms = BEFORE_ALL_MS

    def advance(self, source: int, watermark_ms: int) -> None:
        """Note an input's watermark, which never falls."""
        if watermark_ms > self._watermarks[source]:
            self._watermarks[source] = watermark_ms
            self.ms = min(self._watermarks)


_MAX_RUNS = 64
"""More sorted runs than this are merged: each step looks into every one."""


class OrderedBuffer(Generic[T]):
    """Holds items back until the frontier has passed them, then gives them in order.

    Items are tuples that sort in processing order. ``nested``: the event is an item's first element and not the item.
    What waits lies in sorted runs, one for each step that brought some, so that a step costs what it brings and what it
    takes, however much waits.
    """

    def __init__(self, *, nested: bool = False) -> None:
        self._new: list[T] = []
        self._runs: list[list[T]] = []
        self._nested = nested

    def add(self, items: Iterable[T]) -> None:
        """Take items in any order."""
        self._new.extend(items)

    def take(self, frontier_ms: int) -> list[T]:
        """The items with an effective time below the frontier, in order."""
        if self._new:
            self._new.sort()
            self._runs.append(self._new)
            self._new = []
        bound: Any = ((frontier_ms,),) if self._nested else (frontier_ms,)
        taken: list[T] = []
        waiting: list[list[T]] = []
        for run in self._runs:
            ready = bisect_left(run, bound)
            taken += run[:ready]
            if ready < len(run):
                waiting.append(run[ready:] if ready else run)
        if len(waiting) > _MAX_RUNS:
            waiting = [sorted(item for run in waiting for item in run)]
        self._runs = waiting
        taken.sort()
        return taken


class Deduplicator:
    """Tells which events are new: none of the same stream, customer and id was kept within the horizon.

    What was kept lies in two generations, each at least a horizon long: when the younger one is full the older one
    is forgotten as a whole.
    """

    def __init__(self, dedup_ms: int) -> None:
        self._dedup_ms = dedup_ms
        self._young: dict[tuple[int, str, str], int] = {}
        self._old: dict[tuple[int, str, str], int] = {}
        self._full_ms = 0

    def keep_new(self, events: list[Event]) -> list[Event]:
        """The events that are no duplicates, of events in processing order."""
        return events if self._dedup_ms <= 0 else [event for event in events if self._is_new(event)]

    def _is_new(self, event: Event) -> bool:
        now_ms, stream, event_id, customer_id = event[:4]
        if now_ms >= self._full_ms:
            self._old, self._young = self._young, {}
            self._full_ms = now_ms + self._dedup_ms
        key = (stream, customer_id, event_id)
        at_ms = self._young.get(key)
        if at_ms is None:
            at_ms = self._old.get(key)
        if at_ms is not None and now_ms - at_ms < self._dedup_ms:
            return False
        self._young[key] = now_ms
        return True
