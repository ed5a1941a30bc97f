"""Puts what several inputs deliver into processing order and drops duplicates."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from state.event import Event

BEFORE_ALL_MS = -1
AFTER_ALL_MS = 1 << 62
"""The watermark of an input that is finished."""


class Frontier:
    """The lowest watermark over a fixed number of inputs: everything below it has arrived."""

    def __init__(self, inputs: int) -> None:
        self._watermarks = [BEFORE_ALL_MS] * inputs
        self.ms = BEFORE_ALL_MS if inputs else AFTER_ALL_MS

    def advance(self, source: int, watermark_ms: int) -> int:
        """Note an input's watermark (it never falls) and give the lowest."""
        self._watermarks[source] = max(self._watermarks[source], watermark_ms)
        self.ms = min(self._watermarks)
        return self.ms


class Sequencer:
    """Holds events back until the frontier has passed them, then gives them in order, each once."""

    def __init__(self, dedup_ms: int) -> None:
        self._waiting: list[Event] = []
        self._dedup_ms = dedup_ms
        self._kept: dict[tuple[int, str, str], int] = {}
        self._kept_order: deque[tuple[int, tuple[int, str, str]]] = deque()

    def add(self, events: Iterable[Event]) -> None:
        """Take events in any order."""
        self._waiting.extend(events)

    def take(self, frontier_ms: int) -> tuple[list[Event], int]:
        """The events below the frontier in processing order, and the number of duplicates dropped among them."""
        waiting = self._waiting
        if not waiting:
            return [], 0
        waiting.sort()
        ready = bisect_left(waiting, (frontier_ms,))
        taken = waiting[:ready]
        del waiting[:ready]
        if self._dedup_ms <= 0:
            return taken, 0
        kept = [event for event in taken if self._is_new(event)]
        return kept, len(taken) - len(kept)

    def _is_new(self, event: Event) -> bool:
        now_ms = event.effective_ms
        oldest_ms = now_ms - self._dedup_ms
        order, kept = self._kept_order, self._kept
        while order and order[0][0] <= oldest_ms:
            at_ms, stale = order.popleft()
            if kept.get(stale) == at_ms:
                del kept[stale]
        key = (event.stream, event.customer_id, event.event_id)
        if key in kept:
            return False
        kept[key] = now_ms
        order.append((now_ms, key))
        return True
