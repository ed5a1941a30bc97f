"""What a row keeps of its customer's profile."""

from __future__ import annotations

from state.cells import get, put
from state.compiled import compiled
from state.log import (
    POOL_USED,
    Memory,
    allocate,
    release,
    size_class,
)  # fmt: skip
from state.reads import Step, matches, row_address
from state.tables import (
    HAS_PROFILE,
    R_FLAGS,
    Tables,
)  # fmt: skip


@compiled
def keep_profile(memory: Memory, tables: Tables, step: Step, i: int, row: int) -> None:
    """Keep of a profile event what conditions look at."""
    profile = tables.profile
    at, matchers = get(profile, 0), get(profile, 1)
    for word in range((matchers + 63) >> 6):
        put(row, at + word, 0)
    for j in range(matchers):
        matcher = get(profile, 3 + j)
        if matches(step, i, matcher >> 6, matcher & 63):
            put(row, at + (j >> 6), get(row, at + (j >> 6)) | 1 << (j & 63))
    at += (matchers + 63) >> 6
    for j in range(get(profile, 2)):
        put(row, at + j, get(step.words, i * step.word_width + get(profile, 3 + matchers + j)))
    put(row, R_FLAGS, get(row, R_FLAGS) | HAS_PROFILE)


@compiled
def keep_holdings(memory: Memory, tables: Tables, words: int, at: int, end: int) -> int:
    """Put rows' holdings in the place of those before.

    ``words`` from ``at`` to ``end``: for each profile the row, the number of holdings, and their columns. Returns the
    first word not taken for want of room in the pool.
    """
    while at < end:
        row, count = row_address(memory, get(words, at)), get(words, at + 1)
        length = count * tables.holding_width
        new_class = size_class(memory, max(1, length))
        if get(memory.counters, POOL_USED) + get(memory.sizes, new_class) > memory.pool_words:
            break
        header = get(row, tables.holdings_header)
        if header:
            release(memory, header >> 8, header & 0xFF)
        offset = 0
        if count:
            offset = allocate(memory, new_class)
            for word in range(length):
                put(memory.pool, offset + word, get(words, at + 2 + word))
        put(row, tables.holdings_header, offset << 8 | new_class if count else 0)
        put(row, tables.holdings_header + 1, count)
        at += 2 + length
    return at
