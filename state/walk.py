"""Walks over the events of a step in processing order: adds each to its row, then tries the rules that it anchors.

What Python has to look at comes out as records (event, rule): events that change what Python keeps (rule −1), and
rules whose condition holds or may hold, with the values of all their features as of that event.
"""

from __future__ import annotations

from typing import NamedTuple

from state.cells import get, get_byte, get_double, put, put_double
from state.compiled import compiled
from state.log import (
    POOL_USED,
    TIME_SHIFT,
    Log,
    Memory,
    allocate,
    bounds,
    has_bit,
    is_full,
    log_of,
    make_room,
    open_place,
    release,
    set_bounds,
    size_class,
    stale_end,
)  # fmt: skip
from state.long_log import cut, drop_index, make_index, note_insertion, prepare, settle
from state.machine import ASKED, FALSE, HOLDING_AT, MAYBE, RISE_BEFORE, advance_run, holds, read
from state.numbers import REST_SCALE, add_128, add_double, multiply_128, multiply_doubles
from state.reads import WHOLE, Step, matches, row_address
from state.tables import (
    ADD_CONDITION,
    ADD_TOTALS,
    COUNT_RUN,
    HAS_PROFILE,
    MAY_HAVE_TICKETS,
    R_ARMED,
    R_FLAGS,
    SET_LATEST,
    STEP_SEQUENCE,
    T_DOUBLE_SQUARES,
    T_DOUBLES,
    T_FLOATS,
    T_HI,
    T_HIGHEST,
    T_LO,
    T_LOWEST,
    T_MATCHES,
    T_NUMBERS,
    T_REST,
    T_SQUARES_HI,
    T_SQUARES_LO,
    TOTALS_WITH_SQUARES_WORDS,
    TOTALS_WORDS,
    U_ARGUMENTS,
    U_COUNT,
    U_KIND,
    U_LENGTH,
    U_OFFSET,
    U_PERIOD,
    U_SLOT,
    UPDATE_COLUMNS,
    V_BIT,
    V_FLAG_BIT,
    V_FLAG_WORD,
    V_STREAM,
    V_VALUE,
    V_WORD,
    VALUES_COLUMNS,
    Tables,
)  # fmt: skip
from state.values import DECIMAL_WORD, OBJECT_WORD, is_less, is_number, number_of, rest_of

PROFILE, TICKET = 0, 1
"""Codes of the streams that change what Python keeps of a customer."""

SHARED_BIT = 1 << 61
"""The bit of all rules beyond the 61st that wait: it stays until the last deadline."""

ASKED_BIT = 1 << 62
"""Beside what the ``rises`` of a rule were before: Python has to remember what they are now."""

SURELY = 1 << 32
"""Beside the rule of a record: its condition holds, and Python need not evaluate it again."""

NO_ROOM = -2
_RECORDS, _CAPTURED = 0, 1


class Dispatch(NamedTuple):
    """What an event of some signature (a combination of matchers that match) sets off; addresses.

    ``bits``: ``bit_width`` words of bits of its record; ``logged``: bytes, 0 or 1; ``disarms``: the bits of the rules
    that it disarms; the updates and the rules of signature s are ``updates[update_starts[s]:update_starts[s + 1]]`` and
    likewise ``anchors``.
    """

    bits: int
    bit_width: int
    logged: int
    disarms: int
    update_starts: int
    updates: int
    anchor_starts: int
    anchors: int


class Records(NamedTuple):
    """What a walk hands to Python; addresses. Record r is about ``events[r]`` and ``rules[r]`` (−1: the event itself).

    The values of the rule's features, in the order of its captures, begin at ``starts[r]``. ``counters``: the numbers
    of records and of values; ``most_records`` and ``most_values``: the room for them.
    """

    events: int
    rules: int
    starts: int
    kinds: int
    integers: int
    doubles: int
    counters: int
    most_records: int
    most_values: int


@compiled
def walk(memory: Memory, tables: Tables, dispatch: Dispatch, step: Step, records: Records, start: int, stop: int,
         most_records: int, most_values: int) -> int:  # fmt: skip
    """Take events ``start`` to ``stop``; returns the first not taken, for want of room in the pool or the records.

    ``most_records``, ``most_values``: of any one event.
    """
    kept_profiles = PROFILE if tables.keeps_profiles else -1
    for i in range(start, stop):
        if (
            get(records.counters, _RECORDS) + most_records > records.most_records
            or get(records.counters, _CAPTURED) + most_values > records.most_values
        ):  # fmt: skip
            return i
        signature, stream = get(step.signature, i), get_byte(step.stream, i)
        row = row_address(memory, get(step.rows, i))
        own_record = -1
        if get_byte(dispatch.logged, signature):
            own_record = add_record(
                memory, tables, dispatch.bits + 8 * dispatch.bit_width * signature, step, i, row, stream
            )
            if own_record == NO_ROOM:
                return i
        for u in range(get(dispatch.update_starts, signature), get(dispatch.update_starts, signature + 1)):
            apply_update(memory, tables, get(dispatch.updates, u), step, i, row)
        flags = get(row, R_FLAGS)
        if stream == PROFILE:
            keep_profile(memory, tables, step, i, row)
        if (
            stream == kept_profiles
            or (stream == TICKET and flags & MAY_HAVE_TICKETS)
            or get(row, R_ARMED) & get(dispatch.disarms, signature)
        ):
            note(records, i, -1)
            put(row, R_ARMED, get(row, R_ARMED) & ~(get(dispatch.disarms, signature) & ~SHARED_BIT))
        for a in range(get(dispatch.anchor_starts, signature), get(dispatch.anchor_starts, signature + 1)):
            rule = get(dispatch.anchors, a)
            t_ms = get(step.effective_ms, i)
            truth = holds(memory, tables, rule, step, i, i, row, t_ms, own_record)
            if truth != FALSE:
                note(records, i, rule if truth == MAYBE else rule | SURELY)
                capture(memory, tables, rule, step, i, i, row, t_ms, own_record, records)
                put(row, R_FLAGS, get(row, R_FLAGS) | get(tables.rule_flags, rule))
                put(row, R_ARMED, get(row, R_ARMED) | get(tables.armed_bits, rule))
    return stop


@compiled
def tick(memory: Memory, tables: Tables, step: Step, records: Records, rule: int, each_holding: bool, t_ms: int,
         start: int, stop: int, most_values: int) -> int:  # fmt: skip
    """Try a date rule for the rows ``start`` to ``stop`` that have a profile; returns the first not tried.

    Records are about rows and, in ``rules``, holdings.
    """
    for number in range(start, stop):
        row = row_address(memory, number)
        if not get(row, R_FLAGS) & HAS_PROFILE:
            continue
        if get(records.counters, _RECORDS) == records.most_records:
            return number
        if get(records.counters, _CAPTURED) + most_values > records.most_values:
            return number
        stamp = -2 - number
        if not each_holding:
            if holds(memory, tables, rule, step, -1, stamp, row, t_ms, -1) != FALSE:
                note(records, number, 0)
                capture(memory, tables, rule, step, -1, stamp, row, t_ms, -1, records)
            continue
        block, count = get(row, tables.holdings_header) >> 8, get(row, tables.holdings_header + 1)
        if get(records.counters, _RECORDS) + count > records.most_records:
            return number
        if get(records.counters, _CAPTURED) + count * most_values > records.most_values:
            return number
        for holding in range(count):
            put(step.stack_kinds, HOLDING_AT, memory.pool + 8 * (block + holding * tables.holding_width))
            if holds(memory, tables, rule, step, -1, stamp, row, t_ms, -1) != FALSE:
                note(records, number, holding)
                capture(memory, tables, rule, step, -1, stamp, row, t_ms, -1, records)
    return stop


@compiled
def answer(memory: Memory, tables: Tables, dispatch: Dispatch, step: Step, start: int, stop: int) -> int:
    """Add events to entities' rows and read features after each, into ``Step.entity_…``; returns the first not taken.

    Here ``dispatch.updates`` are the features to read.
    """
    for i in range(start, stop):
        signature, stream = get(step.signature, i), get_byte(step.stream, i)
        row = row_address(memory, get(step.rows, i))
        own_record = -1
        if get_byte(dispatch.logged, signature):
            own_record = add_record(
                memory, tables, dispatch.bits + 8 * dispatch.bit_width * signature, step, i, row, stream
            )
            if own_record == NO_ROOM:
                return i
        for u in range(get(dispatch.update_starts, signature), get(dispatch.update_starts, signature + 1)):
            index = get(dispatch.updates, u)
            value = read(memory, tables, index, step, i, i, row, get(step.effective_ms, i), own_record)
            at = i * step.entity_width + index
            put(step.entity_kind, at, value[0])
            put(step.entity_integer, at, value[1])
            put_double(step.entity_double, at, value[2])
    return stop


@compiled
def keep_holdings(memory: Memory, tables: Tables, row_number: int, words: int, count: int) -> bool:
    """Put a row's holdings in the place of those before; false for want of room in the pool."""
    row = row_address(memory, row_number)
    length = count * tables.holding_width
    new_class = size_class(memory, max(1, length))
    if get(memory.counters, POOL_USED) + get(memory.sizes, new_class) > memory.pool_words:
        return False
    header = get(row, tables.holdings_header)
    if header:
        release(memory, header >> 8, header & 0xFF)
    offset = 0
    if count:
        offset = allocate(memory, new_class)
        for word in range(length):
            put(memory.pool, offset + word, get(words, word))
    put(row, tables.holdings_header, offset << 8 | new_class if count else 0)
    put(row, tables.holdings_header + 1, count)
    return True


@compiled
def note(records: Records, event: int, rule: int) -> None:
    """One more record."""
    r = get(records.counters, _RECORDS)
    put(records.events, r, event)
    put(records.rules, r, rule)
    put(records.starts, r, get(records.counters, _CAPTURED))
    put(records.counters, _RECORDS, r + 1)


@compiled
def capture(memory: Memory, tables: Tables, rule: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
            own_record: int, records: Records) -> None:  # fmt: skip
    """The values of a rule's features."""
    at = get(records.counters, _CAPTURED)
    for c in range(get(tables.capture_starts, rule), get(tables.capture_starts, rule + 1)):
        kind, integer, double = read(memory, tables, get(tables.captures, c), step, i, stamp, row, t_ms, own_record)
        put(records.kinds, at, kind)
        put(records.integers, at, integer)
        put_double(records.doubles, at, double)
        at += 1
    if get(tables.rise_counts, rule):
        asked = ASKED_BIT if get(step.stack_kinds, ASKED) else 0
        put(records.kinds, at, WHOLE)
        put(records.integers, at, get(step.stack_kinds, RISE_BEFORE) | asked)
        put_double(records.doubles, at, 0.0)
        at += 1
    put(records.counters, _CAPTURED, at)


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
        needed = get(memory.sizes, size_class(memory, (log.end + 1) * width + 1))
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
def apply_update(memory: Memory, tables: Tables, index: int, step: Step, i: int, row: int) -> None:
    """Change the fixed words of a row for an event."""
    update = tables.updates + 8 * UPDATE_COLUMNS * index
    at, kind, slot = get(update, U_OFFSET), get(update, U_KIND), get(update, U_SLOT)
    if kind == SET_LATEST or kind == STEP_SEQUENCE:
        for word in range(at, at + get(update, U_LENGTH)):
            put(step.undo, word, get(row, word))
        put(step.undone, index, i)
    if kind == SET_LATEST:
        latest = get(step.words, i * step.word_width + slot) if slot >= 0 else get(step.effective_ms, i) + 1
        put(row, at, latest)
    elif kind == STEP_SEQUENCE:
        # downwards, as one event is used for one step; words hold 1 + the highest possible start, 0 for none
        for j in range(get(update, U_COUNT) - 1, -1, -1):
            matcher = get(tables.arguments, get(update, U_ARGUMENTS) + j)
            if matches(step, i, matcher >> 6, matcher & 63):
                start = get(step.ts_ms, i) + 1
                if j > 0:
                    start = min(start, get(row, at + j - 1))
                put(row, at + j, max(get(row, at + j), start))
    elif kind == COUNT_RUN:
        period = get(step.numbers, i * step.period_width + get(update, U_PERIOD))
        run = get(row, at + 1)
        if run == 0 or get(row, at) != period:
            put(row, at + 1, run + 1 if run > 0 and get(row, at) == period - 1 else 1)
            put(row, at, period)
    elif kind == ADD_TOTALS:
        word = get(step.words, i * step.word_width + slot) if slot >= 0 else 0
        add_to_totals(memory, row, at, word, get(update, U_LENGTH))
    elif kind == ADD_CONDITION:
        advance_run(memory, tables, update, step, row, get(step.numbers, i * step.period_width + get(update, U_PERIOD)))
        for part in range(get(update, U_COUNT)):
            argument = get(update, U_ARGUMENTS) + 3 * part
            matcher, slot = get(tables.arguments, argument), get(tables.arguments, argument + 1)
            if matches(step, i, matcher >> 6, matcher & 63):
                word = get(step.words, i * step.word_width + slot) if slot >= 0 else 0
                add_to_totals(memory, row, at + 2 + part * TOTALS_WORDS, word, TOTALS_WORDS)


@compiled
def add_to_totals(memory: Memory, row: int, at: int, word: int, length: int) -> None:
    """One more matching event, with its field's scalar. ``length``: of the totals; 1 if only matches are counted."""
    put(row, at + T_MATCHES, get(row, at + T_MATCHES) + 1)
    if length == 1 or not is_number(memory, word):
        return
    n = get(row, at + T_NUMBERS)
    if n == 0 or is_less(memory, word, get(row, at + T_LOWEST)):
        put(row, at + T_LOWEST, word)
    if n == 0 or is_less(memory, get(row, at + T_HIGHEST), word):
        put(row, at + T_HIGHEST, word)
    put(row, at + T_NUMBERS, n + 1)
    x = number_of(memory, word)
    if word & 7 == OBJECT_WORD:
        floats = (1 << 32) + (0 if get_byte(memory.object_whole, word >> 3) else 1)
        put(row, at + T_FLOATS, get(row, at + T_FLOATS) + floats)
        add_to_pair(row, at + T_REST, x * REST_SCALE)
        add_to_pair(row, at + T_REST, rest_of(memory, word) * REST_SCALE)
    else:
        units = word >> 3
        put(row, at + T_FLOATS, get(row, at + T_FLOATS) + (1 if word & 7 == DECIMAL_WORD else 0))
        hi, lo = add_128(get(row, at + T_HI), get(row, at + T_LO), units >> 63, units)
        put(row, at + T_HI, hi)
        put(row, at + T_LO, lo)
        if length == TOTALS_WITH_SQUARES_WORDS:
            hi, lo = multiply_128(units, units)
            hi, lo = add_128(get(row, at + T_SQUARES_HI), get(row, at + T_SQUARES_LO), hi, lo)
            put(row, at + T_SQUARES_HI, hi)
            put(row, at + T_SQUARES_LO, lo)
    if length == TOTALS_WITH_SQUARES_WORDS:
        add_to_pair(row, at + T_DOUBLES, x)
        square, square_low = multiply_doubles(x, x)
        add_to_pair(row, at + T_DOUBLE_SQUARES, square)
        add_to_pair(row, at + T_DOUBLE_SQUARES, square_low)


@compiled
def add_to_pair(row: int, at: int, x: float) -> None:
    """Add to a sum that is two doubles in a row's words."""
    high, low = add_double(get_double(row, at), get_double(row, at + 1), x)
    put_double(row, at, high)
    put_double(row, at + 1, low)
