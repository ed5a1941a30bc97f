"""Memory that the processes of one machine share: what one sends to another is laid there, and only its place travels.

Through the runtime's sockets a batch is copied at every step: into one piece of bytes, pickled (twice, as the runtime
asks for the length first), into the socket and out of it, and into arrays. Here only the sender copies.

Each process lays into its own part of the memory, one block after the other and round again; the receiver looks at a
block where it is, and marks it as free. If there is no room left, or no shared memory, the bytes travel themselves.
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

PART_BYTES = 64 << 20
"""Of one process, some ten batches. A sender begins at the front again as soon as as much is free there as waits."""

_ALIGNMENT = _HEAD_BYTES = 64
"""Each block begins with the number of the parcel in it, negative while somebody looks at it, 0 from then on."""


class Parcel(NamedTuple):
    """What was laid: the first byte of its block in the memory, its bytes without the head, and a number of its own."""

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
        Of a file of ``part_bytes`` for each process, see ``shared_file``. It may be closed afterwards.
    process
        The number of this process.
    """

    def __init__(self, descriptor: int, process: int, part_bytes: int = PART_BYTES) -> None:
        self._memory = mmap.mmap(descriptor, 0)
        self._words = np.frombuffer(self._memory, np.int64)
        self._first, self._end = process * part_bytes, (process + 1) * part_bytes
        self._next = self._first
        self._blocks: deque[int] = deque()  # the first bytes of those that are not known to be free, the oldest first
        self._number = 0

    def lay(self, size: int) -> tuple[Parcel, NDArray[np.uint8]] | None:
        """Room for ``size`` bytes to be written and fetched by another process once; null if there is none now."""
        at = self._room(_HEAD_BYTES + -(-size // _ALIGNMENT) * _ALIGNMENT)
        if at is None:
            return None
        parcel = Parcel(at, size, self._number)
        return parcel, np.frombuffer(self._memory, np.uint8, size, at + _HEAD_BYTES)

    def _room(self, size: int) -> int | None:
        """The first byte of a new block; null if there is no room."""
        blocks, words = self._blocks, self._words
        while blocks and not words[blocks[0] >> 3]:
            blocks.popleft()
        at, end = self._next, self._end
        if not blocks:
            at = self._first
        elif at <= blocks[0]:  # round again
            end = blocks[0]
        elif at + size > end or blocks[0] - self._first >= max(size, at - blocks[0]):
            at, end = self._first, blocks[0]
        if at + size > end:
            return None
        self._number += 1
        words[at >> 3] = self._number
        self._next = at + size
        blocks.append(at)
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
            raise ExchangeError(f"{parcel} was fetched before")
        self._words[word] = -parcel.number
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
    try:
        descriptor = os.memfd_create("cem-exchange")
    except OSError:  # some containers forbid it
        return None
    try:
        os.ftruncate(descriptor, processes * PART_BYTES)
    except OSError:  # there is a limit to the size of files
        os.close(descriptor)
        return None
    return descriptor
