"""Logs of events in one pool of words: one log per row (customer, device, …) and stream, sorted by the events' own
time.

A record is ``log_words[stream]`` words: own time and the first 15 bits (``ts_ms << 15 | bits``), further bits, the
scalars and the hashes that some feature reads. A bit says that a matcher of the plan matched, or that no later record
has the same value (for ``distinct``). A log is a block of the pool; its two header words are in the row: ``offset << 8
| size class`` and ``first record << 32 | end``. The index of a long log (``state.long_log``) is a block too; the last
word of the log's block says where.
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
_FIRST = 0x3FFFFFFF
_SHORT = 16
"""A log of fewer records gets room for one more at a time, or what the size class gives."""
_INDEXED = 1 << 62
"""In a log's second header word: it has an index."""

POOL_USED, POOL_FREE, OBJECTS_LIVE = 0, 1, 2
"""Entries of ``Memory.counters``: words handed out from the pool's front, words of freed blocks."""


def block_sizes() -> Words:
    """Sizes of blocks in words by size class: steps of about an eighth, so that little of a block is empty."""
    sizes = [1]
    while sizes[-1] < 1 << 40:
        sizes.append(sizes[-1] + max(1, sizes[-1] // 8))
    return np.array(sizes, np.int64)


class Memory(NamedTuple):
    """Addresses of what the rows of one shard hold, and sizes.

    ``fixed``: rows of ``row_words`` words, some of which are read as doubles; ``pool``: the logs, ``pool_words``;
    ``free``: by size class (``classes`` of ``sizes``) the offset of the first freed block (0 for none), each of which
    begins with the next one's. ``object_numbers``, ``object_rests``: by object, the value of one that is a number in
    two parts, else NaN; ``object_whole``: whether it is an integer; ``object_dates``: the ordinal of a date
    (``YYYY-MM-DD``), else 0.
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


class Log(NamedTuple):
    """One log of a row: the address of its block's records, the first and the end, the words of a record.

    ``index_at``: the address of the words of its index, 0 for none; in the index a record's position is ``base`` and
    its number, so that it stays when records before it are dropped.
    """

    at: int
    first: int
    end: int
    width: int
    index_at: int
    base: int


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
def has_room(memory: Memory, block_class: int) -> bool:
    """Whether ``allocate`` may be called."""
    if get(memory.free, block_class):
        return True
    return get(memory.counters, POOL_USED) + get(memory.sizes, block_class) <= memory.pool_words


@compiled
def bounds(memory: Memory, row: int, header: int) -> tuple[int, int, int]:
    """Where a log's block is, its first record and the end of its records; ``row``: the row's address."""
    span = get(row, header + 1)
    return get(row, header) >> 8, (span >> 32) & _FIRST, span & _LENGTH


@compiled
def set_bounds(row: int, header: int, first: int, end: int) -> None:
    """Note a log's first record and the end of its records."""
    put(row, header + 1, (get(row, header + 1) & _INDEXED) | first << 32 | end)


@compiled
def index_of(memory: Memory, row: int, header: int) -> int:
    """The offset of a log's index, 0 for none."""
    if not get(row, header + 1) & _INDEXED:
        return 0
    block = get(row, header)
    return get(memory.pool, (block >> 8) + get(memory.sizes, block & 0xFF) - 1)


@compiled
def set_index(memory: Memory, row: int, header: int, index: int) -> None:
    """Note where a log's index is, 0 for none; the last word of the log's block must be free."""
    span, block = get(row, header + 1), get(row, header)
    put(row, header + 1, span | _INDEXED if index else span & ~_INDEXED)
    if index:
        put(memory.pool, (block >> 8) + get(memory.sizes, block & 0xFF) - 1, index)


@compiled
def log_of(memory: Memory, row: int, header: int, width: int) -> Log:
    """A row's log."""
    offset, first, end = bounds(memory, row, header)
    index = index_of(memory, row, header)
    if index == 0:
        return Log(memory.pool + 8 * offset, first, end, width, 0, 0)
    return Log(memory.pool + 8 * offset, first, end, width, memory.pool + 8 * index, get(memory.pool, index))


@compiled
def time_word(log: Log, record: int) -> int:
    """A record's first word: time and bits."""
    return get(log.at, record * log.width)


@compiled
def has_bit(log: Log, record: int, word: int, bit: int) -> int:
    """A bit of a record, 0 or 1."""
    return (get(log.at, record * log.width + word) >> bit) & 1


@compiled
def lower_bound(after_ms: int) -> int:
    """The least first word of a record above a time."""
    return (after_ms + 1) << TIME_SHIFT


@compiled
def stale_end(log: Log, after_ms: int) -> int:
    """The first record above ``after_ms``, by bisection."""
    bound = lower_bound(after_ms)
    first, end = log.first, log.end
    while first < end:
        middle = (first + end) >> 1
        if time_word(log, middle) < bound:
            first = middle + 1
        else:
            end = middle
    return first


@compiled
def is_full(memory: Memory, row: int, header: int, width: int, spare: int) -> bool:
    """Whether a log's block has no room for one more record and ``spare`` words."""
    block = get(row, header)
    return block == 0 or (bounds(memory, row, header)[2] + 1) * width + spare > get(memory.sizes, block & 0xFF)


@compiled
def log_class(memory: Memory, length: int, width: int, spare: int) -> int:
    """The class of the block for a log of so many records that is to get one more, and ``spare`` words.

    A quarter more than there is: else a log that grows would be copied over and over. For a short one that is cheaper
    than the room, which it may not need for long.
    """
    most = length * width if length < _SHORT else (length * width * 5) >> 2
    return size_class(memory, max((length + 1) * width + spare, most))


@compiled
def make_room(memory: Memory, row: int, header: int, width: int, fresh: int, spare: int) -> None:
    """Make room in a log for one more record and ``spare`` words; records before ``fresh`` are dropped.

    What is left begins at the front of the block, which may be another one.
    """
    offset, _, end = bounds(memory, row, header)
    block_class, index = get(row, header) & 0xFF, index_of(memory, row, header)
    pool, length = memory.pool, end - fresh
    new_offset, new_class = offset, block_class
    # where a quarter is stale, the block will do
    if offset == 0 or fresh == 0 or fresh * 4 < end or (length + 1) * width + spare > get(memory.sizes, block_class):
        new_class = log_class(memory, length, width, spare)
        new_offset = allocate(memory, new_class)
    for word in range(length * width):
        put(pool, new_offset + word, get(pool, offset + fresh * width + word))
    if offset and new_offset != offset:
        release(memory, offset, block_class)
    put(row, header, new_offset << 8 | new_class)
    set_bounds(row, header, 0, length)
    if index:
        set_index(memory, row, header, index)


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
