"""Tells which events are new: none of the same stream, customer and id was kept within the horizon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.log import Words

_FIRST_SLOTS = 256
_NEVER_MS = -1
_STREAM_FACTOR = 0x9E3779B97F4A7C15

_Table = tuple[NDArray[np.uint64], NDArray[np.uint64], Words]
"""First half of the key, second half, the time at which the event took effect (−1 for an empty slot)."""


class Deduplicator:
    """Remembers events by 128 bits: the keyed hash of the customer, mixed with the stream, and that of the event's id.

    What is older than the horizon stays until the table is full; then it is made anew from what is not.
    """

    def __init__(self, dedup_ms: int) -> None:
        self._dedup_ms = dedup_ms
        self._table = _table(_FIRST_SLOTS)
        self._entries = np.zeros(1, np.int64)
        self._noted: list[_Table] | None = None

    def note_changes(self) -> None:
        """From now on keep what is new for ``take``."""
        self._noted = []

    def take(self, now_ms: int, *, everything: bool) -> _Table:
        """The events remembered since the last call, or all; not those that matter no more at ``now_ms``."""
        noted, self._noted = self._noted or [], []
        if everything:
            live = self._table[2] > max(now_ms - self._dedup_ms, _NEVER_MS)
            return self._table[0][live], self._table[1][live], self._table[2][live]
        first, second, times = (np.concatenate(columns) for columns in zip(_table(0), *noted, strict=True))
        return first, second, times

    def put(self, first: NDArray[np.uint64], second: NDArray[np.uint64], times: Words) -> None:
        """Remember events that ``take`` gave, older calls first."""
        self._make_room(_NEVER_MS, len(times))
        _move(first, second, times, *self._table, _NEVER_MS)
        self._entries[0] = int((self._table[2] > _NEVER_MS).sum())

    @property
    def used_bytes(self) -> int:
        """Bytes of the table."""
        return sum(column.nbytes for column in self._table)

    def new(
        self, effective_ms: Words, stream: NDArray[np.uint8], customers: NDArray[np.uint64], ids: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Which of some events in processing order are new; ``customers`` and ``ids`` are keyed hashes."""
        new = np.ones(len(effective_ms), np.bool_)
        if self._dedup_ms <= 0 or not len(new):
            return new
        if 2 * (int(self._entries[0]) + len(new)) > len(self._table[2]):
            self._make_room(int(effective_ms[0]) - self._dedup_ms, len(new))
        _keep(effective_ms, stream, customers, ids, *self._table, self._entries, self._dedup_ms, new)
        if self._noted is not None:
            self._noted.append((mixed_with_stream(customers, stream)[new], ids[new], effective_ms[new]))
        return new

    def _make_room(self, after_ms: int, events: int) -> None:
        live = int((self._table[2] > max(after_ms, _NEVER_MS)).sum())
        # a third full at most, so that it isn't full again at once
        grown = _table(max(_FIRST_SLOTS, 1 << (3 * (live + events)).bit_length()))
        _move(*self._table, *grown, max(after_ms, _NEVER_MS))
        self._table = grown
        self._entries[0] = live


def mixed_with_stream(customers: NDArray[np.uint64], stream: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first half of the keys of events, by the hashes of their customers and their streams."""
    return customers ^ ((stream + np.uint64(1)) * np.uint64(_STREAM_FACTOR))


def _table(slots: int) -> _Table:
    return np.empty(slots, np.uint64), np.empty(slots, np.uint64), np.full(slots, _NEVER_MS, np.int64)


@compiled
def _place(first: NDArray[np.uint64], second: NDArray[np.uint64], times: Words, a: np.uint64, b: np.uint64) -> np.int64:
    """The slot of a key, or the empty one where it belongs."""
    last = np.uint64(len(times) - 1)
    at = np.int64((a ^ b) & last)
    while times[at] >= 0 and (first[at] != a or second[at] != b):
        at = (at + 1) & np.int64(last)
    return at


@compiled
def _move(first: NDArray[np.uint64], second: NDArray[np.uint64], times: Words, to_first: NDArray[np.uint64],
          to_second: NDArray[np.uint64], to_times: Words, after_ms: int) -> None:  # fmt: skip
    for i in range(len(times)):
        if times[i] > after_ms:
            at = _place(to_first, to_second, to_times, first[i], second[i])
            to_first[at], to_second[at], to_times[at] = first[i], second[i], times[i]


@compiled
def _keep(
    effective_ms: Words, stream: NDArray[np.uint8], customers: NDArray[np.uint64], ids: NDArray[np.uint64],
    first: NDArray[np.uint64], second: NDArray[np.uint64], times: Words, entries: Words, dedup_ms: int,
    new: NDArray[np.bool_],
) -> None:  # fmt: skip
    for i in range(len(new)):
        a, b = customers[i] ^ (np.uint64(stream[i] + 1) * np.uint64(_STREAM_FACTOR)), ids[i]
        at = _place(first, second, times, a, b)
        if times[at] < 0:
            entries[0] += 1
        elif effective_ms[i] - times[at] < dedup_ms:
            new[i] = False
            continue
        first[at], second[at], times[at] = a, b, effective_ms[i]
