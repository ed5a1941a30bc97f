"""Holds events of several senders back until all have passed them, then gives them in processing order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.batch import EventBatch
from operators.delivery import Delivery
from operators.split import merge_order
from state.dedup import Deduplicator
from state.hashing import Key, sip_hashes
from state.log import Words
from state.objects import ObjectTable
from state.sequencer import BEFORE_ALL_MS, Frontier
from state.words import KIND_BITS, KIND_MASK, OBJECT

MAX_RUNS = 64
"""More waiting runs than this are merged: each step looks into every one."""


class OrderedBuffer:
    """Events that wait, as runs in processing order, one for each delivery that brought some."""

    def __init__(self, objects: ObjectTable | None = None) -> None:
        self._objects = objects
        self._runs: list[EventBatch] = []
        if objects is not None:
            objects.hold(self)

    def mark_objects(self, used: NDArray[np.bool_]) -> None:
        """See ``ObjectHolder``."""
        for run in self._runs:
            used[run.words[(run.words & KIND_MASK) == OBJECT] >> KIND_BITS] = True

    def renumber_objects(self, numbers: Words) -> None:
        """See ``ObjectHolder``."""
        for run in self._runs:
            is_object = (run.words & KIND_MASK) == OBJECT
            if is_object.any():  # else the words may be those of the sender
                run.words[is_object] = numbers[run.words[is_object] >> KIND_BITS] << KIND_BITS | OBJECT

    def add(self, events: EventBatch) -> None:
        """Take a run of events in processing order; its objects get the numbers of the process's table, if that is
        given."""
        self._runs.append(events if self._objects is None else events.adopted(self._objects))

    def take(self, frontier_ms: int) -> EventBatch | None:
        """The events with an effective time below the frontier, in processing order; null if there are none."""
        ready: list[EventBatch] = []
        waiting: list[EventBatch] = []
        for run in self._runs:
            count = int(np.searchsorted(run.effective_ms, frontier_ms))
            if count:
                ready.append(run.slice(0, count))
            if count < len(run):
                waiting.append(run.slice(count, len(run)))
        if len(waiting) > MAX_RUNS:
            waiting = [in_order(waiting)]
        self._runs = waiting
        return in_order(ready) if ready else None


def in_order(runs: list[EventBatch]) -> EventBatch:
    """Runs of events as one, in processing order."""
    if len(runs) == 1:
        return runs[0]
    events = EventBatch.concat(runs)
    order = merge_order(events.effective_ms, events.stream, events.event_id, events.customer_id, events.raw)
    return events.take(order)


class Ordering:
    """Events of all partitions up to the frontier, in order and each once."""

    def __init__(self, partitions: int, dedup_ms: int, key: Key, objects: ObjectTable | None = None) -> None:
        self.frontier = Frontier(partitions)
        self.end_ms = BEFORE_ALL_MS
        self._buffer = OrderedBuffer(objects)
        self._deduplicator = Deduplicator(dedup_ms)
        self._key = key

    @property
    def used_bytes(self) -> int:
        """Bytes of what is remembered of events, to know them if they come again."""
        return self._deduplicator.used_bytes

    def step(self, deliveries: Sequence[Delivery]) -> tuple[EventBatch | None, int] | None:
        """Events that are ready and the number of duplicates dropped; none if the frontier did not move."""
        before_ms = self.frontier.ms
        for delivery in deliveries:
            if delivery.events is not None:
                self._buffer.add(delivery.events)
            self.frontier.advance(delivery.source, delivery.watermark_ms)
            self.end_ms = max(self.end_ms, delivery.end_ms)
        if self.frontier.ms == before_ms:
            return None
        events = self._buffer.take(self.frontier.ms)
        if events is None:
            return None, 0
        ids = sip_hashes(events.event_id, self._key)
        new = self._deduplicator.new(events.effective_ms, events.stream, events.customer_hash, ids)
        if new.all():
            return events, 0
        kept = events.take(np.flatnonzero(new))
        return (kept if len(kept) else None), len(events) - len(kept)
