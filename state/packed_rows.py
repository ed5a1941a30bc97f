"""Bytes by row, one after the other in one buffer: as objects of their own they would take some 40 bytes more each."""

from __future__ import annotations

import sys
from array import array

_LENGTH_BITS = 30
MAX_BYTES = _LENGTH = (1 << _LENGTH_BITS) - 1
_NONE = -1
_FEW_BYTES = 4_096
"""So much that is no longer used is not worth the trouble."""


class PackedRows:
    """For each row some bytes, at most ``MAX_BYTES``, or none.

    >>> rows = PackedRows()
    >>> rows.make_room(3)
    >>> rows[1] = b"abc"
    >>> rows[0], rows[1]
    (None, b'abc')
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._places = array("q")  # where a row's begin, and how many they are
        self._unused = 0

    def __len__(self) -> int:
        """Number of rows, those with no bytes included."""
        return len(self._places)

    def make_room(self, rows: int) -> None:
        """There are so many rows now."""
        self._places.extend(array("q", [_NONE]) * (rows - len(self._places)))

    def __getitem__(self, row: int) -> bytes | None:
        place = self._places[row]
        if place == _NONE:
            return None
        start = place >> _LENGTH_BITS
        return bytes(self._bytes[start : start + (place & _LENGTH)])

    def __setitem__(self, row: int, packed: bytes) -> None:
        if len(packed) > MAX_BYTES:
            raise OverflowError(f"{len(packed):,} bytes for one row; {MAX_BYTES:,} is the most")
        place = self._places[row]
        if place != _NONE and place & _LENGTH == len(packed):  # as mostly, of a profile that comes again
            start = place >> _LENGTH_BITS
            self._bytes[start : start + len(packed)] = packed
            return
        if place != _NONE:
            self._unused += place & _LENGTH
        self._places[row] = len(self._bytes) << _LENGTH_BITS | len(packed)
        self._bytes += packed
        if self._unused > max(_FEW_BYTES, len(self._bytes) >> 3, len(self._places)):
            self._move_together()

    def _move_together(self) -> None:
        kept = bytearray()
        for row, place in enumerate(self._places):
            if place != _NONE:
                start, length = place >> _LENGTH_BITS, place & _LENGTH
                self._places[row] = len(kept) << _LENGTH_BITS | length
                kept += self._bytes[start : start + length]
        self._bytes, self._unused = kept, 0

    @property
    def used_bytes(self) -> int:
        """Bytes of all this."""
        return sys.getsizeof(self._bytes) + sys.getsizeof(self._places)
