"""Adds an event to the log of its row."""

from __future__ import annotations

from state.cells import get, put
from state.compiled import compiled
from state.log import (
    POOL_USED,
    TIME_SHIFT,
    Log,
    Memory,
    bounds,
    has_bit,
    is_full,
    log_class,
    log_of,
    make_room,
    open_place,
    set_bounds,
    stale_end,
)  # fmt: skip
from state.long_log import cut, drop_index, make_index, note_insertion, prepare, settle
from state.reads import Step
from state.tables import (
    V_BIT,
    V_FLAG_BIT,
    V_FLAG_WORD,
    V_STREAM,
    V_VALUE,
    V_WORD,
    VALUES_COLUMNS,
    Tables,
)  # fmt: skip

NO_ROOM = -2


@compiled
def add_record(memory: Memory, tables: Tables, bits: int, step: Step, i: int, row: int, stream: int) -> int:
    """Insert an event into its row's log: its record, −1 if no window reaches it any more, or ``NO_ROOM``."""
    header, width = get(tables.log_header, stream), get(tables.log_words, stream)
    after_ms = get(step.effective_ms, i) - get(tables.retention_ms, stream)
    ts_ms = get(step.ts_ms, i)
    if ts_ms <= after_ms:
        return -1
    if not make_place(memory, tables, row, stream, after_ms):
        return NO_ROOM
    offset, first, end = bounds(memory, row, header)
    pool = memory.pool
    record = open_place(pool, offset, first, end, width, ts_ms)
    at = offset + record * width
    put(pool, at, ts_ms << TIME_SHIFT | get(bits, 0))
    at += 1
    for word in range(get(tables.log_extra, stream)):
        put(pool, at, get(bits, 1 + word))
        at += 1
    for k in range(tables.log_slot_width):
        slot = get(tables.log_slots, stream * tables.log_slot_width + k)
        if slot < 0:
            break
        put(pool, at, get(step.words, i * step.word_width + slot))
        at += 1
    for k in range(tables.log_slot_width):
        slot = get(tables.log_hashes, stream * tables.log_slot_width + k)
        if slot < 0:
            break
        put(pool, at, get(step.hashes, i * step.hash_width + slot))
        at += 1
    set_bounds(row, header, first, end + 1)
    log = log_of(memory, row, header, width)
    if log.index_at:
        note_insertion(memory, tables, stream, log, record)
        return record
    for k in range(tables.value_count):
        series = tables.values + 8 * VALUES_COLUMNS * k
        if get(series, V_STREAM) == stream and get(series, V_FLAG_WORD) >= 0:
            set_flag(series, log, record)
    return record


@compiled
def make_place(memory: Memory, tables: Tables, row: int, stream: int, after_ms: int) -> bool:
    """Make room for one more record in a log and, if it is or gets long, in its index; false for want of room in the
    pool.

    Records up to ``after_ms`` are dropped where the log has to move anyway.
    """
    header, width = get(tables.log_header, stream), get(tables.log_words, stream)
    log = log_of(memory, row, header, width)
    is_long = log.index_at != 0 or log.end - log.first >= tables.long_log
    if log.index_at:
        settle(memory, tables, stream, log)
    if is_full(memory, row, header, width, 1 if is_long else 0):
        needed = get(memory.sizes, log_class(memory, log.end, width, 1))
        if get(memory.counters, POOL_USED) + needed > memory.pool_words:
            return False
        fresh = stale_end(log, after_ms)
        is_long = is_long and log.end - fresh > tables.long_log >> 1
        if log.index_at and not is_long:
            drop_index(memory, tables, row, stream)
        elif log.index_at:
            cut(memory, tables, stream, log, fresh)
        make_room(memory, row, header, width, fresh, 1 if is_long else 0)
        log = log_of(memory, row, header, width)
    if not is_long:
        return True
    if log.index_at == 0:
        if not make_index(memory, tables, row, stream):
            return False
        log = log_of(memory, row, header, width)
    return prepare(memory, tables, stream, log)


@compiled
def set_flag(series: int, log: Log, own: int) -> None:
    """Flag the last record with the new record's value, and only that."""
    flag_word, bit, place = get(series, V_FLAG_WORD), 1 << get(series, V_FLAG_BIT), get(series, V_VALUE)
    at = own * log.width
    hashed = get(log.at, at + place)
    if hashed == 0 or not has_bit(log, own, get(series, V_WORD), get(series, V_BIT)):
        return
    for record in range(log.end - 1, log.first - 1, -1):
        other = record * log.width
        if record != own and get(log.at, other + place) == hashed and get(log.at, other + flag_word) & bit:
            if record > own:
                return
            put(log.at, other + flag_word, get(log.at, other + flag_word) & ~bit)
            break
    put(log.at, at + flag_word, get(log.at, at + flag_word) | bit)
