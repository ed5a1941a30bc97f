"""Tells which events are new: none of the same stream, customer and id was kept within the horizon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.log import Words

_FIRST_SLOTS = 256
_NEVER_MS = -1

_Table = tuple[NDArray[np.uint64], NDArray[np.uint64], Words]
"""First half of the key, second half, the time at which the event took effect (−1 for an empty slot)."""


class Deduplicator:
    """Remembers events by 128 bits: the keyed hash of the customer, mixed with the stream, and that of the event's id.

    What was kept lies in two generations, each at least a horizon long: when the younger one is full the older one
    is forgotten as a whole.
    """

    def __init__(self, dedup_ms: int) -> None:
        self._dedup_ms = dedup_ms
        self._young, self._old = _table(_FIRST_SLOTS), _table(_FIRST_SLOTS)
        self._counters = np.zeros(2, np.int64)  # entries of the young generation, the time at which it is full

    def new(
        self, effective_ms: Words, stream: NDArray[np.uint8], customers: NDArray[np.uint64], ids: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Which of some events in processing order are new; ``customers`` and ``ids`` are keyed hashes."""
        new = np.ones(len(effective_ms), np.bool_)
        if self._dedup_ms <= 0:
            return new
        start = 0
        while start < len(new):
            if effective_ms[start] >= self._counters[1]:
                self._young, self._old = _table(max(_FIRST_SLOTS, len(self._old[2]) // 2)), self._young
                self._counters[0], self._counters[1] = 0, effective_ms[start] + self._dedup_ms
            end = int(np.searchsorted(effective_ms, self._counters[1]))
            self._make_room(end - start)
            _keep(
                effective_ms, stream, customers, ids, *self._young, *self._old, self._counters, self._dedup_ms, start,
                end, new,
            )  # fmt: skip
            start = end
        return new

    def _make_room(self, events: int) -> None:
        needed = 2 * (int(self._counters[0]) + events)
        if needed > len(self._young[2]):
            grown = _table(1 << needed.bit_length())
            _move(*self._young, *grown)
            self._young = grown


def _table(slots: int) -> _Table:
    return np.zeros(slots, np.uint64), np.zeros(slots, np.uint64), np.full(slots, _NEVER_MS, np.int64)


@compiled
def _place(first: NDArray[np.uint64], second: NDArray[np.uint64], times: Words, a: np.uint64, b: np.uint64) -> int:
    """The slot of a key, or the empty one where it belongs."""
    last = np.uint64(len(times) - 1)
    at = np.int64((a ^ b) & last)
    while times[at] >= 0 and (first[at] != a or second[at] != b):
        at = (at + 1) & np.int64(last)
    return at


@compiled
def _move(first: NDArray[np.uint64], second: NDArray[np.uint64], times: Words, to_first: NDArray[np.uint64],
          to_second: NDArray[np.uint64], to_times: Words) -> None:  # fmt: skip
    for i in range(len(times)):
        if times[i] >= 0:
            at = _place(to_first, to_second, to_times, first[i], second[i])
            to_first[at], to_second[at], to_times[at] = first[i], second[i], times[i]


@compiled
def _keep(
    effective_ms: Words, stream: NDArray[np.uint8], customers: NDArray[np.uint64], ids: NDArray[np.uint64],
    first: NDArray[np.uint64], second: NDArray[np.uint64], times: Words, old_first: NDArray[np.uint64],
    old_second: NDArray[np.uint64], old_times: Words, counters: Words, dedup_ms: int, start: int, end: int,
    new: NDArray[np.bool_],
) -> None:  # fmt: skip
    for i in range(start, end):
        a, b = customers[i] ^ (np.uint64(stream[i] + 1) * np.uint64(0x9E3779B97F4A7C15)), ids[i]
        at = _place(first, second, times, a, b)
        known_ms = times[at]
        if known_ms < 0:
            known_ms = old_times[_place(old_first, old_second, old_times, a, b)]
        if known_ms >= 0 and effective_ms[i] - known_ms < dedup_ms:
            new[i] = False
            continue
        if times[at] < 0:
            counters[0] += 1
        first[at], second[at], times[at] = a, b, effective_ms[i]
