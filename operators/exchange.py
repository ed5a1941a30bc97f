"""Memory that the processes of one machine share: what one sends to another is laid there, and only its place travels.

Through the runtime's sockets a batch is copied seven times: into one piece of bytes, and pickled, each of them twice,
as the runtime asks for the length first, to the socket, from it, and into arrays. Here it is copied once by the sender.

Each process lays into its own part of the memory, one block after the other and round again; the receiver marks a block
as free. If there is no room left, or no shared memory, the bytes travel themselves.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from ctypes import c_char
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

PART_BYTES = 96 << 20
"""Of one process. What is not used yet takes no memory, and what is free is used again beginning at the front."""

_ALIGNMENT = 64
_HEAD_BYTES = 64
"""Each block begins with the number of the parcel in it, 0 once it has been fetched."""


class Parcel(NamedTuple):
    """Where a sender laid something: its process, the block's first byte in the memory, and the parcel's number."""

    sender: int
    at: int
    size: int
    number: int


class ExchangeError(Exception):
    """A parcel was fetched twice."""


class Exchange:
    """The shared memory, as one of its processes sees it.

    Parameters
    ----------
    descriptor
        Of an open file of ``processes`` × ``PART_BYTES`` bytes, see ``shared_file``. It may be closed afterwards.
    process
        The number of this process.
    """

    def __init__(self, descriptor: int, process: int, part_bytes: int = PART_BYTES) -> None:
        self._memory = mmap.mmap(descriptor, 0)
        self._words = np.frombuffer(self._memory, np.int64)
        self._process, self._part_bytes = process, part_bytes
        self._first = process * part_bytes
        self._next = self._first
        self._blocks: deque[tuple[int, int, int]] = deque()  # first byte, end and number of those not known to be free
        self._number = 0

    def lay(self, size: int) -> tuple[Parcel, NDArray[np.uint8]] | None:
        """Room for ``size`` bytes to be written and fetched by another process once; null if there is none now."""
        at = self._room(_HEAD_BYTES + -(-size // _ALIGNMENT) * _ALIGNMENT)
        if at is None:
            return None
        parcel = Parcel(self._process, at, size, self._number)
        return parcel, np.frombuffer(self._memory, np.uint8, size, at + _HEAD_BYTES)

    def _room(self, size: int) -> int | None:
        blocks = self._blocks
        while blocks and self._words[blocks[0][0] >> 3] != blocks[0][2]:
            blocks.popleft()
        if not blocks:
            self._next = self._first
        at, end = self._next, self._first + self._part_bytes
        if blocks and blocks[0][0] >= at:
            end = blocks[0][0]
        elif at + size > end:
            at, end = self._first, blocks[0][0] if blocks else self._first
        if at + size > end:
            return None
        self._number += 1
        self._words[at >> 3] = self._number
        self._next = at + size
        blocks.append((at, self._next, self._number))
        return at

    def fetch(self, parcel: Parcel) -> Any:
        """The parcel's bytes, writable, as a buffer. Once nobody looks at it any more its room is free.

        Raises
        ------
        ExchangeError
            It was fetched before.
        """
        word = parcel.at >> 3
        if self._words[word] != parcel.number:
            raise ExchangeError(f"parcel {parcel} was fetched before")
        content = (c_char * parcel.size).from_buffer(self._memory, parcel.at + _HEAD_BYTES)
        finalize(content, self._words.__setitem__, word, 0).atexit = False
        return content


_exchange: Exchange | None = None


def join_exchange(exchange: Exchange | None) -> None:
    """From now on this process sends and receives through it, or, without one, sends bytes."""
    global _exchange
    _exchange = exchange


def lay(size: int) -> tuple[Parcel, NDArray[np.uint8]] | None:
    """See ``Exchange.lay``; null if this process has joined none."""
    return None if _exchange is None else _exchange.lay(size)


def fetch(parcel: Parcel) -> Any:
    """See ``Exchange.fetch``."""
    if _exchange is None:
        raise ExchangeError("this process shares no memory with others")
    return _exchange.fetch(parcel)


def shared_file(processes: int) -> int | None:
    """The descriptor of a file in memory for so many processes; null where the system has none."""
    if not hasattr(os, "memfd_create"):
        return None
    descriptor = os.memfd_create("cem-exchange")
    os.ftruncate(descriptor, processes * PART_BYTES)
    return descriptor
