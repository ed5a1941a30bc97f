"""The index of a long log, with which every windowed feature is read in constant time, amortised.

It is a block of the pool: ``INDEX_FRONT_WORDS`` (``I_BASE``: the position of the block's first record; ``I_OWN``: the
position of the last inserted record; ``I_PENDING``: how many stacks leave that one out), then of each series of values
``LATEST_WORDS`` (``state.value_index``) and of each windowed feature ``TAIL_WORDS`` (``state.tails`` or
``state.extremes``).
All it knows it has from the log, so it may be dropped at any time; the next insertion makes it anew.
"""

from __future__ import annotations

from state.cells import get, put
from state.compiled import compiled
from state.extremes import (
    FIRST_CLASS_WORDS, X_BLOCK, drop_before, new_stack, prepare_stack, read_extreme, shift_stack, stack_address,
    take_pending,
)  # fmt: skip
from state.log import Log, Memory, allocate, has_room, index_of, log_of, release, set_index, size_class
from state.tables import (
    DISTINCT, F_FLAG_BIT, F_FLAG_WORD, F_OP, F_TAIL, I_BASE, I_OWN, I_PENDING, MAX, MIN, V_FLAG_BIT, V_FLAG_WORD,
    V_LATEST, V_STREAM, VALUES_COLUMNS, Tables,
)  # fmt: skip
from state.tails import L_COUNT, L_FROM, L_TO, add_to_tail, cut_tail, read_tail
from state.value_index import (
    FIRST_PAIRS, S_BLOCK, cut_values, enter, new_table, prepare_values, shift_values, table_class,
)  # fmt: skip
from state.values import Value, feature_address


@compiled
def tail_feature(tables: Tables, k: int) -> int:
    """The address of the k-th feature that has words in an index."""
    return feature_address(tables, get(tables.tails, k))


@compiled
def is_extreme(feature: int) -> bool:
    """Whether a feature is a ``min`` or a ``max``."""
    op = get(feature, F_OP)
    return op == MIN or op == MAX


@compiled
def series_of(tables: Tables, k: int) -> int:
    """The address of the row of the k-th series of values."""
    return tables.values + 8 * VALUES_COLUMNS * k


@compiled
def read_indexed(memory: Memory, feature: int, log: Log, after_ms: int, skip: int) -> Value:
    """A windowed feature but ``novel``; ``UNKNOWN`` where the log must be scanned."""
    tail = log.index_at + 8 * get(feature, F_TAIL)
    if is_extreme(feature):
        return read_extreme(memory, feature, tail, log, after_ms, skip)
    return read_tail(memory, feature, tail, log, after_ms, skip)


@compiled
def settle(memory: Memory, tables: Tables, stream: int, log: Log) -> None:
    """Take the record that stacks have left out, before positions change."""
    if get(log.index_at, I_PENDING):
        for k in range(get(tables.tail_starts, stream), get(tables.tail_starts, stream + 1)):
            feature = tail_feature(tables, k)
            if is_extreme(feature):
                take_pending(memory, feature, log.index_at + 8 * get(feature, F_TAIL), log)


@compiled
def prepare(memory: Memory, tables: Tables, stream: int, log: Log) -> bool:
    """Make sure that the index can take one more record; false for want of room in the pool, nothing is lost then."""
    for k in range(get(tables.tail_starts, stream), get(tables.tail_starts, stream + 1)):
        feature = tail_feature(tables, k)
        if is_extreme(feature) and not prepare_stack(memory, feature, log.index_at + 8 * get(feature, F_TAIL), log):
            return False
    for k in range(tables.value_count):
        series = series_of(tables, k)
        if get(series, V_STREAM) == stream and not prepare_values(memory, log.index_at + 8 * get(series, V_LATEST)):
            return False
    return True


@compiled
def note_insertion(memory: Memory, tables: Tables, stream: int, log: Log, record: int) -> None:
    """Take a record that has just been inserted, and flag it and not the one before it with its value."""
    position = log.base + record
    late = record < log.end - 1
    put(log.index_at, I_OWN, position)
    if late:
        for k in range(get(tables.tail_starts, stream), get(tables.tail_starts, stream + 1)):
            feature = tail_feature(tables, k)
            tail = log.index_at + 8 * get(feature, F_TAIL)
            if is_extreme(feature):
                shift_stack(memory, tail, log, position)
            else:
                shift_tail(memory, feature, tail, log, record)
    for k in range(tables.value_count):
        series = series_of(tables, k)
        if get(series, V_STREAM) == stream:
            latest = log.index_at + 8 * get(series, V_LATEST)
            if late:
                shift_values(memory, series, latest, log, record)
            is_latest, before = enter(memory, series, latest, log, record)
            if is_latest and get(series, V_FLAG_WORD) >= 0:
                if before >= 0:
                    flag(tables, stream, series, log, before - log.base, -1)
                flag(tables, stream, series, log, record, 1)


@compiled
def shift_tail(memory: Memory, feature: int, tail: int, log: Log, record: int) -> None:
    """Note that the records from one on have moved up by one for a new one, which the tail takes if it lies within."""
    position = log.base + record
    if position < get(tail, L_FROM):
        put(tail, L_FROM, get(tail, L_FROM) + 1)
        put(tail, L_TO, get(tail, L_TO) + 1)
    elif position < get(tail, L_TO):
        put(tail, L_TO, get(tail, L_TO) + 1)
        add_to_tail(memory, feature, tail, log, record, 1)


@compiled
def flag(tables: Tables, stream: int, series: int, log: Log, record: int, sign: int) -> None:
    """Flag a record as the last with its value (``sign`` 1) or take its flag (−1), and count it in the tails."""
    word, bit = get(series, V_FLAG_WORD), get(series, V_FLAG_BIT)
    at = record * log.width + word
    bits = get(log.at, at)
    changed = bits | 1 << bit if sign > 0 else bits & ~(1 << bit)
    if changed == bits:
        return
    put(log.at, at, changed)
    position = log.base + record
    for k in range(get(tables.tail_starts, stream), get(tables.tail_starts, stream + 1)):
        feature = tail_feature(tables, k)
        if get(feature, F_OP) == DISTINCT and get(feature, F_FLAG_WORD) == word and get(feature, F_FLAG_BIT) == bit:
            tail = log.index_at + 8 * get(feature, F_TAIL)
            if get(tail, L_FROM) <= position < get(tail, L_TO):
                put(tail, L_COUNT, get(tail, L_COUNT) + sign)


@compiled
def cut(memory: Memory, tables: Tables, stream: int, log: Log, fresh: int) -> None:
    """Forget the records before ``fresh``, which are dropped right after: the next one becomes the block's first."""
    for k in range(get(tables.tail_starts, stream), get(tables.tail_starts, stream + 1)):
        feature = tail_feature(tables, k)
        tail = log.index_at + 8 * get(feature, F_TAIL)
        if is_extreme(feature):
            drop_before(tail, stack_address(memory, tail), log.base + fresh)
        else:
            cut_tail(memory, feature, tail, log, fresh)
    for k in range(tables.value_count):
        series = series_of(tables, k)
        if get(series, V_STREAM) == stream:
            cut_values(memory, series, log.index_at + 8 * get(series, V_LATEST), log, fresh)
    put(log.index_at, I_BASE, log.base + fresh)


@compiled
def drop_index(memory: Memory, tables: Tables, row: int, stream: int) -> None:
    """Give the blocks of a log's index back, if it has one."""
    header = get(tables.log_header, stream)
    offset = index_of(memory, row, header)
    if offset == 0:
        return
    index = memory.pool + 8 * offset
    for k in range(get(tables.tail_starts, stream), get(tables.tail_starts, stream + 1)):
        feature = tail_feature(tables, k)
        if is_extreme(feature):
            give_back(memory, get(index, get(feature, F_TAIL) + X_BLOCK))
    for k in range(tables.value_count):
        series = series_of(tables, k)
        if get(series, V_STREAM) == stream:
            give_back(memory, get(index, get(series, V_LATEST) + S_BLOCK))
    give_back(memory, offset << 8 | size_class(memory, get(tables.index_words, stream)))
    set_index(memory, row, header, 0)


@compiled
def give_back(memory: Memory, block: int) -> None:
    """Release a block unless there is none."""
    if block:
        release(memory, block >> 8, block & 0xFF)


@compiled
def make_index(memory: Memory, tables: Tables, row: int, stream: int) -> bool:
    """Make the index of a log; false for want of room in the pool. The last word of the log's block must be free."""
    header = get(tables.log_header, stream)
    words = get(tables.index_words, stream)
    if not has_room(memory, size_class(memory, words)):
        return False
    offset = allocate(memory, size_class(memory, words))
    for word in range(words):
        put(memory.pool, offset + word, 0)
    set_index(memory, row, header, offset)
    log = log_of(memory, row, header, get(tables.log_words, stream))
    put(log.index_at, I_OWN, -1)
    made = True
    for k in range(get(tables.tail_starts, stream), get(tables.tail_starts, stream + 1)):
        feature = tail_feature(tables, k)
        tail = log.index_at + 8 * get(feature, F_TAIL)
        put(tail, L_FROM, log.first)
        put(tail, L_TO, log.first)
        if is_extreme(feature) and made:
            made = has_room(memory, size_class(memory, FIRST_CLASS_WORDS))
            if made:
                new_stack(memory, tail, FIRST_CLASS_WORDS)
    for k in range(tables.value_count):
        series = series_of(tables, k)
        if get(series, V_STREAM) == stream and made:
            made = has_room(memory, table_class(memory, FIRST_PAIRS))
            if made:
                new_table(memory, log.index_at + 8 * get(series, V_LATEST), FIRST_PAIRS)
    if made:
        made = take_all(memory, tables, stream, log)
    if not made:
        drop_index(memory, tables, row, stream)
    return made


@compiled
def take_all(memory: Memory, tables: Tables, stream: int, log: Log) -> bool:
    """Take the records of a log one after the other; false for want of room in the pool."""
    for record in range(log.first, log.end):
        if not prepare(memory, tables, stream, Log(log.at, log.first, record, log.width, log.index_at, log.base)):
            return False
        for k in range(tables.value_count):
            series = series_of(tables, k)
            if get(series, V_STREAM) == stream:
                enter(memory, series, log.index_at + 8 * get(series, V_LATEST), log, record)
    return True
