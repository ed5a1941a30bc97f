"""Holds events of several senders back until all have passed them, then gives them in processing order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.batch import EventBatch
from operators.delivery import Delivery
from operators.split import merge_order
from operators.waiting import ReadMessages, waiting_runs, waiting_sections
from state.dedup import Deduplicator
from state.hashing import Key, sip_hashes
from state.json_values import from_json, to_json
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
        self.runs: list[EventBatch] = []
        if objects is not None:
            objects.hold(self)

    def mark_objects(self, used: NDArray[np.bool_]) -> None:
        """See ``ObjectHolder``."""
        for run in self.runs:
            used[run.words[(run.words & KIND_MASK) == OBJECT] >> KIND_BITS] = True

    def renumber_objects(self, numbers: Words) -> None:
        """See ``ObjectHolder``."""
        for run in self.runs:
            is_object = (run.words & KIND_MASK) == OBJECT
            if is_object.any():  # else the words may be those of the sender
                run.words[is_object] = numbers[run.words[is_object] >> KIND_BITS] << KIND_BITS | OBJECT

    def add(self, events: EventBatch) -> None:
        """Take a run of events in processing order; its objects get the numbers of the process's table, if that is
        given."""
        self.runs.append(events if self._objects is None else events.adopted(self._objects))

    def take(self, frontier_ms: int) -> EventBatch | None:
        """The events with an effective time below the frontier, in processing order; null if there are none."""
        ready: list[EventBatch] = []
        waiting: list[EventBatch] = []
        for run in self.runs:
            count = int(np.searchsorted(run.effective_ms, frontier_ms))
            if count:
                ready.append(run.slice(0, count))
            if count < len(run):
                rest = run.slice(count, len(run))
                # a few events would keep the memory of the whole batch, that of its messages above all
                waiting.append(rest.apart() if len(rest) < count else rest)
        if len(waiting) > MAX_RUNS:
            waiting = [in_order(waiting).apart()]  # else it would keep the memory of all that were merged into it
        self.runs = waiting
        return in_order(ready) if ready else None


def in_order(runs: list[EventBatch]) -> EventBatch:
    """Runs of events as one, in processing order."""
    if len(runs) == 1:
        return runs[0]
    events = EventBatch.concat(runs)
    if all(before.effective_ms[-1] < after.effective_ms[0] for before, after in pairwise(runs)):
        return events  # as from a partition whose messages are in order
    order = merge_order(events.effective_ms, events.stream, events.event_id, events.customer_id, events.raw)
    return events.take(order)


class Ordering:
    """Events of all partitions up to the frontier, in order and each once.

    ``dealt_anew``: the senders are not those of the run before, each of which had its own watermark.
    """

    def __init__(
        self, partitions: int, dedup_ms: int, key: Key, objects: ObjectTable | None = None, *, dealt_anew: bool = False
    ) -> None:
        self.frontier = Frontier(partitions)
        self._partitions, self._dealt_anew = partitions, dealt_anew
        self.end_ms = BEFORE_ALL_MS
        self._buffer = OrderedBuffer(objects)
        self._deduplicator = Deduplicator(dedup_ms)
        self._key = key

    @property
    def used_bytes(self) -> int:
        """Bytes of what is remembered of events, to know them if they come again."""
        return self._deduplicator.used_bytes

    def note_changes(self) -> None:
        """From now on know what changes."""
        self._deduplicator.note_changes()

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """What changed since the last call, or all, as sections of a file."""
        first, second, times = self._deduplicator.take(self.frontier.ms, everything=everything)
        head = {"watermarks": self.frontier.watermarks, "end_ms": self.end_ms}
        return waiting_sections(self._buffer.runs) | {
            "seen.first": first, "seen.second": second, "seen.times": times, "ordering": to_json(head),
        }  # fmt: skip

    def restore(self, frames: Sequence[Mapping[str, Any]], read: ReadMessages) -> None:
        """Take the state from files, the oldest first: a base and what changed after it."""
        for sections in frames:
            self._deduplicator.put(
                np.frombuffer(sections["seen.first"], np.uint64), np.frombuffer(sections["seen.second"], np.uint64),
                np.frombuffer(sections["seen.times"], np.int64),
            )  # fmt: skip
        head = from_json(frames[-1]["ordering"])
        watermarks = head["watermarks"]
        self.frontier.restore([min(watermarks)] * self._partitions if self._dealt_anew else watermarks)
        self.end_ms = head["end_ms"]
        for run in waiting_runs(frames[-1], read):
            self._buffer.add(run)

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
