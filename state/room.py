"""Arrays that grow where they are: a large one is moved by the system's page tables and not copied.

Copying one that holds all customers of a shard takes the memory of both meanwhile, and each page of the copy costs a
fault.
"""

from __future__ import annotations

import mmap
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAPPED_BYTES = 1 << 18
"""From this size on an array has a mapping of its own."""
_HUGE_BYTES = 1 << 22
"""From this size on it asks for huge pages, as NumPy's own do."""

_PRIVATE = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
_HUGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


class Room:
    """An array whose first axis changes its length.

    Attributes
    ----------
    cells
        The array. What is new of it is zero.
    """

    __slots__ = ("_mapping", "_shape", "_type", "cells")

    def __init__(self, length: int, shape: tuple[int, ...] = (), kind: Any = np.int64) -> None:
        self._shape, self._type = shape, np.dtype(kind)
        self._mapping: mmap.mmap | None = None
        self.cells: NDArray[Any] = self._made(length)

    def resize(self, length: int) -> None:
        """Make the array this long; whoever has looked at ``cells`` must look there again."""
        kept = min(length, len(self.cells))
        size = self._bytes(length)
        if self._mapping is not None and size >= _MAPPED_BYTES:
            old, self.cells = self.cells, self.cells[:0].copy()
            try:
                del old  # a mapping that an array looks at stays where it is
                self._mapping.resize(size)
            except (BufferError, SystemError, OSError):  # someone still looks, or this system cannot
                pass
            else:
                self._see(length)
                return
            old = self._seen(self._mapping, kept)
        else:
            old = self.cells
        self.cells = self._made(length)
        self.cells[:kept] = old[:kept]

    def _bytes(self, length: int) -> int:
        return length * int(prod(self._shape)) * int(self._type.itemsize)

    def _made(self, length: int) -> NDArray[Any]:
        size = self._bytes(length)
        if not _PRIVATE or size < _MAPPED_BYTES:
            self._mapping = None
            return np.zeros((length, *self._shape), self._type)
        self._mapping = mmap.mmap(-1, size, flags=_PRIVATE)
        return self._see(length)

    def _see(self, length: int) -> NDArray[Any]:
        assert self._mapping is not None
        if _HUGE_PAGES is not None and self._bytes(length) >= _HUGE_BYTES:
            self._mapping.madvise(_HUGE_PAGES)
        self.cells = self._seen(self._mapping, length)
        return self.cells

    def _seen(self, mapping: mmap.mmap, length: int) -> NDArray[Any]:
        cells = np.frombuffer(mapping, self._type, length * prod(self._shape))
        return cells.reshape(length, *self._shape)


class SpareRoom:
    """The room that the last one who moved to another left behind; for those who take turns.

    Once all who take part have moved, it is given back until the next one moves.
    """

    def __init__(self) -> None:
        self._left: Room | None = None
        self._movers = 0
        self._moved: set[int] = set()

    def join(self) -> int:
        """One more takes part; the number that it has."""
        self._movers += 1
        return self._movers

    def take(self, length: int) -> Room:
        """A room of this length, with anything in its cells."""
        room, self._left = self._left or Room(0), None
        room.resize(length)
        return room

    def leave(self, room: Room, mover: int) -> None:
        """The one who has this number has moved to another and does not use this one any more."""
        self._moved.add(mover)
        if len(self._moved) < self._movers:
            self._left = room
        else:
            self._moved.clear()
