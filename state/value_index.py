"""The latest record of each value in a long log: for ``distinct`` and ``novel``.

One table of open addressing per series of values: pairs of a hash and 1 + the position of the latest matching record
that has it (0: no pair). ``latest`` below is the address of the series' words in the index.
"""

from __future__ import annotations

from state.cells import get, put
from state.compiled import compiled
from state.log import Log, Memory, allocate, has_bit, has_room, lower_bound, release, size_class, time_word
from state.tables import V_BIT, V_VALUE, V_WORD

S_BLOCK, S_MASK, S_COUNT, S_REPLACED = range(4)
"""Words of a series: ``offset << 8 | size class`` of its table, the number of pairs less one and of those in use, and
the position that the last inserted record replaced (−1: none)."""
FIRST_PAIRS = 16


@compiled
def table_class(memory: Memory, pairs: int) -> int:
    """The size class of a table."""
    return size_class(memory, 2 * pairs)


@compiled
def new_table(memory: Memory, latest: int, pairs: int) -> None:
    """Give a series an empty table; there must be room."""
    block_class = table_class(memory, pairs)
    offset = allocate(memory, block_class)
    for word in range(2 * pairs):
        put(memory.pool, offset + word, 0)
    put(latest, S_BLOCK, offset << 8 | block_class)
    put(latest, S_MASK, pairs - 1)
    put(latest, S_COUNT, 0)


@compiled
def table_address(memory: Memory, latest: int) -> int:
    """Where a series' table is."""
    return memory.pool + 8 * (get(latest, S_BLOCK) >> 8)


@compiled
def find(table: int, mask: int, hashed: int) -> int:
    """The pair of a hash, or the empty one where it belongs."""
    pair = hashed & mask
    while get(table, 2 * pair + 1) != 0 and get(table, 2 * pair) != hashed:
        pair = (pair + 1) & mask
    return pair


@compiled
def prepare_values(memory: Memory, latest: int) -> bool:
    """Make sure that one more value fits; false for want of room in the pool."""
    pairs = get(latest, S_MASK) + 1
    if 2 * (get(latest, S_COUNT) + 1) <= pairs:
        return True
    if not has_room(memory, table_class(memory, 2 * pairs)):
        return False
    old, block, count = table_address(memory, latest), get(latest, S_BLOCK), get(latest, S_COUNT)
    new_table(memory, latest, 2 * pairs)
    new, mask = table_address(memory, latest), get(latest, S_MASK)
    for pair in range(pairs):
        if get(old, 2 * pair + 1) != 0:
            place = find(new, mask, get(old, 2 * pair))
            put(new, 2 * place, get(old, 2 * pair))
            put(new, 2 * place + 1, get(old, 2 * pair + 1))
    put(latest, S_COUNT, count)
    release(memory, block >> 8, block & 0xFF)
    return True


@compiled
def value_of(log: Log, series: int, record: int) -> int:
    """The hash of a record's value, 0 where it does not match or has none; ``series``: its row of ``Tables.values``."""
    if not has_bit(log, record, get(series, V_WORD), get(series, V_BIT)):
        return 0
    return get(log.at, record * log.width + get(series, V_VALUE))


@compiled
def enter(memory: Memory, series: int, latest: int, log: Log, record: int) -> tuple[bool, int]:
    """Enter a new record: whether it is the latest with its value, and the position of the one before it or −1."""
    put(latest, S_REPLACED, -1)
    hashed = value_of(log, series, record)
    if hashed == 0:
        return False, -1
    table, position = table_address(memory, latest), log.base + record
    pair = find(table, get(latest, S_MASK), hashed)
    before = get(table, 2 * pair + 1) - 1
    if before > position:
        return False, -1
    if before < 0:
        put(table, 2 * pair, hashed)
        put(latest, S_COUNT, get(latest, S_COUNT) + 1)
    put(table, 2 * pair + 1, position + 1)
    put(latest, S_REPLACED, before)
    return True, before


@compiled
def shift_values(memory: Memory, series: int, latest: int, log: Log, place: int) -> None:
    """Note that the records after ``place`` have moved up by one."""
    table, mask = table_address(memory, latest), get(latest, S_MASK)
    for record in range(place + 1, log.end):
        hashed = value_of(log, series, record)
        if hashed != 0:
            pair = find(table, mask, hashed)
            if get(table, 2 * pair + 1) == log.base + record:  # 1 + where it was
                put(table, 2 * pair + 1, log.base + record + 1)


@compiled
def cut_values(memory: Memory, series: int, latest: int, log: Log, fresh: int) -> None:
    """Forget the records before ``fresh``, which are about to be dropped."""
    table, mask = table_address(memory, latest), get(latest, S_MASK)
    for record in range(log.first, fresh):
        hashed = value_of(log, series, record)
        if hashed != 0:
            pair = find(table, mask, hashed)
            if get(table, 2 * pair + 1) == log.base + record + 1:
                remove(table, mask, pair)
                put(latest, S_COUNT, get(latest, S_COUNT) - 1)


@compiled
def remove(table: int, mask: int, pair: int) -> None:
    """Remove a pair; those after it that were pushed on by it move back."""
    empty = pair
    while True:
        pair = (pair + 1) & mask
        if get(table, 2 * pair + 1) == 0:
            break
        home = get(table, 2 * pair) & mask
        if ((pair - home) & mask) >= ((pair - empty) & mask):
            put(table, 2 * empty, get(table, 2 * pair))
            put(table, 2 * empty + 1, get(table, 2 * pair + 1))
            empty = pair
    put(table, 2 * empty + 1, 0)


@compiled
def seen_in_index(memory: Memory, log: Log, latest: int, after_ms: int, skip: int, hashed: int) -> bool:
    """Whether a matching record above ``after_ms`` has a value, without record ``skip`` (the last inserted one)."""
    table = table_address(memory, latest)
    position = get(table, 2 * find(table, get(latest, S_MASK), hashed) + 1) - 1
    if skip >= 0 and position == log.base + skip:
        position = get(latest, S_REPLACED)
    return position >= log.base + log.first and time_word(log, position - log.base) >= lower_bound(after_ms)
