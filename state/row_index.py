"""Finds the rows of ids: an open-addressing table over keyed hashes, with the ids beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.cells import address, get_byte, put_byte
from state.compiled import compiled
from state.hashing import compare
from state.log import Words
from state.texts import Texts

FIRST_ROWS = 64
_ID_BYTES = 20
_LENGTH_BITS = 16
_GROWTH = 1.25
_MOST_FILLED = 0.6
"""A table that would be fuller is made anew and larger: from there on searching takes ever longer."""

_ROWS, _BYTES, _FREE = range(3)
"""Counters: rows up to the last in use, bytes of ids, rows that are free."""


class RowIndex:
    """Numbers rows by their ids; the numbers of removed ones are used again.

    Attributes
    ----------
    hashes
        uint64[capacity]: of the ids, by row.
    places
        int64[capacity]: by row, where its id is; −1 if the row is free.
    """

    def __init__(self) -> None:
        self._slots = np.full(2 * FIRST_ROWS, -1, np.int32)
        self.hashes = np.zeros(FIRST_ROWS, np.uint64)
        self.places, self._idle = np.zeros(FIRST_ROWS, np.int64), np.zeros(FIRST_ROWS, np.int64)
        self._ids = np.empty(FIRST_ROWS * _ID_BYTES, np.uint8)
        self._counters = np.zeros(3, np.int64)

    def __len__(self) -> int:
        """Rows up to the last one in use, free ones included."""
        return int(self._counters[_ROWS])

    @property
    def free(self) -> int:
        """Number of free rows."""
        return int(self._counters[_FREE])

    @property
    def used_bytes(self) -> int:
        """Bytes of what is in use."""
        by_row = self.hashes.itemsize + self.places.itemsize
        return int(len(self) * by_row + self.free * self._idle.itemsize + self._counters[_BYTES] + self._slots.nbytes)

    def rows(self, hashes: NDArray[np.uint64], ids: Texts) -> Words:
        """The rows of some ids, made where they are new."""
        self._make_room(len(ids), int(ids.lengths.sum()))
        found = np.empty(len(ids), np.int64)
        _find_rows(
            hashes, ids.address, ids.starts, ids.lengths, self._slots, self.hashes, self.places, self._idle,
            address(self._ids), self._counters, found,
        )  # fmt: skip
        return found

    def id_of(self, row: int) -> str:
        """The id of a row."""
        place = int(self.places[row])
        start = place >> _LENGTH_BITS
        return self._ids[start : start + (place & 0xFFFF)].tobytes().decode()

    def ids_of(self, rows: Words) -> Texts:
        """The ids of some rows, where they are now."""
        places = self.places[rows]
        return Texts(self._ids.view(), places >> _LENGTH_BITS, (places & 0xFFFF).astype(np.int32))

    def remove(self, rows: Words) -> None:
        """Free some rows."""
        if not len(rows):
            return
        free = self.free
        self.places[rows] = -1
        self._idle[free : free + len(rows)] = rows
        self._counters[_FREE] = free = free + len(rows)
        ids = np.empty(len(self._ids), np.uint8)
        self._counters[_BYTES] = _move_ids(self.places, len(self), address(self._ids), address(ids))
        self._ids = ids[: max(_ID_BYTES, int(self._counters[_BYTES]))].copy()
        self._fill(len(self) - free)

    def _make_room(self, rows: int, id_bytes: int) -> None:
        needed = len(self) + max(0, rows - self.free)
        if needed > len(self.hashes):
            capacity = max(needed, int(len(self.hashes) * _GROWTH))
            self.hashes, self.places, self._idle = (
                grown(array, capacity) for array in (self.hashes, self.places, self._idle)
            )
        if int(self._counters[_BYTES]) + id_bytes > len(self._ids):
            self._ids = grown(self._ids, max(int(self._counters[_BYTES]) + id_bytes, int(len(self._ids) * _GROWTH)))
        occupied = len(self) - self.free + rows
        if occupied > _MOST_FILLED * len(self._slots):
            self._fill(occupied)

    def _fill(self, rows: int) -> None:
        self._slots = np.full(max(2 * FIRST_ROWS, 1 << int(rows / _MOST_FILLED).bit_length()), -1, np.int32)
        _fill_slots(self._slots, self.hashes, self.places, len(self))


def grown(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    """A larger copy along the first axis; what is not used yet takes no memory until it is."""
    larger = np.zeros((capacity, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


@compiled
def _find_rows(
    hashes: NDArray[np.uint64], given: int, starts: Words, lengths: NDArray[np.int32], slots: NDArray[np.int32],
    row_hashes: NDArray[np.uint64], places: Words, idle: Words, known: int, counters: Words, found: Words,
) -> None:  # fmt: skip
    """Look ids up in an open-addressing table of rows (``slots``); there must be room for all of them.

    ``given`` and ``known``: the addresses of the ids' bytes and of those of the rows.
    """
    mask = np.uint64(len(slots) - 1)
    for i in range(len(hashes)):
        at = np.int64(hashes[i] & mask)
        while True:
            row = np.int64(slots[at])
            if row < 0:
                if counters[_FREE]:
                    counters[_FREE] -= 1
                    row = idle[counters[_FREE]]
                else:
                    row = counters[_ROWS]
                    counters[_ROWS] = row + 1
                slots[at] = row
                row_hashes[row] = hashes[i]
                places[row] = counters[_BYTES] << _LENGTH_BITS | lengths[i]
                for k in range(lengths[i]):
                    put_byte(known, counters[_BYTES] + k, get_byte(given, starts[i] + k))
                counters[_BYTES] += lengths[i]
                break
            place = places[row]
            if row_hashes[row] == hashes[i] and (
                compare(known + (place >> _LENGTH_BITS), place & 0xFFFF, given + starts[i], lengths[i]) == 0
            ):
                break
            at = (at + 1) & np.int64(mask)
        found[i] = row


@compiled
def _fill_slots(slots: NDArray[np.int32], hashes: NDArray[np.uint64], places: Words, rows: int) -> None:
    mask = np.uint64(len(slots) - 1)
    for row in range(rows):
        if places[row] < 0:
            continue
        at = np.int64(hashes[row] & mask)
        while slots[at] >= 0:
            at = (at + 1) & np.int64(mask)
        slots[at] = row


@compiled
def _move_ids(places: Words, rows: int, ids: int, to: int) -> int:
    """Copy the ids in use to another buffer, one after the other; returns the bytes used there."""
    used = 0
    for row in range(rows):
        place = places[row]
        if place < 0:
            continue
        length = place & 0xFFFF
        for k in range(length):
            put_byte(to, used + k, get_byte(ids, (place >> _LENGTH_BITS) + k))
        places[row] = used << _LENGTH_BITS | length
        used += length
    return used
