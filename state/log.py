"""Logs of events in one pool of words: one log per row (customer, device, …) and stream, sorted by the events' own time.

A record is ``log_words[stream]`` words: own time and the first 15 bits (``ts_ms << 15 | bits``), further bits, the
scalars and the hashes that some feature reads. A bit says that a matcher of the plan matched, or that no later
record has the same value (for ``distinct``). A log is a block of the pool; its two header words are in the row:
``offset << 8 | size class`` and ``first record << 32 | end``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.cells import get, put
from state.compiled import compiled

Words = NDArray[np.int64]

TIME_SHIFT = 15
"""Bits of a record's first word beside its time; the end of the year 9999 in ms has 48."""
FIRST_BITS = TIME_SHIFT
MORE_BITS = 64
_LENGTH = 0xFFFFFFFF

POOL_USED, POOL_FREE, OBJECTS_LIVE = 0, 1, 2
"""Entries of ``Memory.counters``: words handed out from the pool's front, words of freed blocks."""


def block_sizes() -> Words:
    """Sizes of blocks in words by size class: steps of about a quarter, so that little of a block is empty."""
    sizes = [1]
    while sizes[-1] < 1 << 40:
        sizes.append(sizes[-1] + max(1, sizes[-1] // 4))
    return np.array(sizes, np.int64)


class Memory(NamedTuple):
    """Addresses of what the rows of one shard hold, and sizes.

    ``fixed``: rows of ``row_words`` words, some of which are read as doubles; ``pool``: the logs, ``pool_words``; ``free``:
    by size class (``classes`` of ``sizes``) the offset of the first freed block (0 for none), each of which begins with
    the next one's. ``object_numbers``, ``object_rests``: by object, the value of one that is a number in two parts, else
    NaN; ``object_whole``: whether it is an integer; ``object_dates``: the ordinal of a date (``YYYY-MM-DD``), else 0.
    """

    fixed: int
    row_words: int
    pool: int
    pool_words: int
    free: int
    counters: int
    sizes: int
    classes: int
    object_numbers: int
    object_rests: int
    object_whole: int
    object_dates: int


@compiled
def size_class(memory: Memory, words: int) -> int:
    """The smallest class of blocks that hold so many words."""
    low, high = 0, memory.classes - 1
    while low < high:
        middle = (low + high) >> 1
        if get(memory.sizes, middle) >= words:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def allocate(memory: Memory, block_class: int) -> int:
    """The offset of a block; the pool must have room for it."""
    offset = get(memory.free, block_class)
    if offset:
        put(memory.free, block_class, get(memory.pool, offset))
        put(memory.counters, POOL_FREE, get(memory.counters, POOL_FREE) - get(memory.sizes, block_class))
        return offset
    offset = get(memory.counters, POOL_USED)
    put(memory.counters, POOL_USED, offset + get(memory.sizes, block_class))
    return offset


@compiled
def release(memory: Memory, offset: int, block_class: int) -> None:
    """Give a block back."""
    put(memory.pool, offset, get(memory.free, block_class))
    put(memory.free, block_class, offset)
    put(memory.counters, POOL_FREE, get(memory.counters, POOL_FREE) + get(memory.sizes, block_class))


@compiled
def bounds(memory: Memory, row: int, header: int) -> tuple[int, int, int]:
    """Where a log's block is, its first record and the end of its records; ``row``: the row's address."""
    span = get(row, header + 1)
    return get(row, header) >> 8, span >> 32, span & _LENGTH


@compiled
def stale_end(pool: int, offset: int, first: int, end: int, width: int, after_ms: int) -> int:
    """The first record above ``after_ms``, by bisection."""
    bound = (after_ms + 1) << TIME_SHIFT
    while first < end:
        middle = (first + end) >> 1
        if get(pool, offset + middle * width) < bound:
            first = middle + 1
        else:
            end = middle
    return first


@compiled
def make_room(memory: Memory, row: int, header: int, width: int, after_ms: int) -> tuple[int, int, int]:
    """Room for one more record at the end of a log; records up to ``after_ms`` are dropped if they can be.

    Returns the block's offset, the first record and the end.
    """
    offset, first, end = bounds(memory, row, header)
    block_class = get(row, header) & 0xFF
    pool = memory.pool
    if offset and (end + 1) * width <= get(memory.sizes, block_class):
        return offset, first, end
    first = stale_end(pool, offset, first, end, width, after_ms)
    length = end - first
    if offset and first * 4 >= end and first > 0:  # a quarter is stale: what is left moves to the front
        for word in range(length * width):
            put(pool, offset + word, get(pool, offset + first * width + word))
        put(row, header + 1, length)
        return offset, 0, length
    new_class = size_class(memory, (length + 1) * width)
    new_offset = allocate(memory, new_class)
    for word in range(length * width):
        put(pool, new_offset + word, get(pool, offset + first * width + word))
    if offset:
        release(memory, offset, block_class)
    put(row, header, new_offset << 8 | new_class)
    put(row, header + 1, length)
    return new_offset, 0, length


@compiled
def open_place(pool: int, offset: int, first: int, end: int, width: int, ts_ms: int) -> int:
    """Move later records up by one and give the place for a record of this time, after those of the same time."""
    place = end
    bound = (ts_ms + 1) << TIME_SHIFT
    while place > first and get(pool, offset + (place - 1) * width) >= bound:
        place -= 1
    if place < end:
        for word in range(offset + end * width - 1, offset + place * width - 1, -1):
            put(pool, word + width, get(pool, word))
    return place
