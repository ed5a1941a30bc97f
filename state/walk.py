"""Walks over the events of a step in processing order: adds each to its row, then tries the rules that it anchors.

What Python has to look at comes out as records (event, rule): events that change what Python keeps (rule −1), and
rules whose condition holds or may hold, with the values of all their features as of that event.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.log import POOL_USED, TIME_SHIFT, Memory, Words, bounds, make_room, open_place, size_class
from state.machine import FALSE, advance_run, holds, read
from state.numbers import REST_SCALE, add_128, add_double, multiply_128, multiply_doubles
from state.reads import OBJECT_WORD, DECIMAL_WORD, Step, is_less, is_number, number_of, rest_of
from state.tables import (
    ADD_CONDITION, ADD_TOTALS, COUNT_RUN, HAS_PROFILE, MAY_BE_ARMED, MAY_HAVE_TICKETS, R_FLAGS, SET_LATEST,
    STEP_SEQUENCE, T_DOUBLE_SQUARES, T_DOUBLE_SQUARES_LOW, T_DOUBLES, T_DOUBLES_LOW, T_FLOATS, T_HI, T_HIGHEST, T_LO,
    T_LOWEST, T_MATCHES, T_NUMBERS, T_REST, T_REST_LOW, T_SQUARES_HI, T_SQUARES_LO, TOTALS_WITH_SQUARES_WORDS,
    TOTALS_WORDS, U_ARGUMENTS, U_COUNT, U_KIND, U_LENGTH, U_OFFSET, U_PERIOD, U_SLOT, Tables,
)  # fmt: skip

PROFILE, TICKET = 0, 1
"""Codes of the streams that change what Python keeps of a customer."""

RULE_ARMS, RULE_OPENS_TICKETS = 1, 2
"""Flags of rules."""

NO_ROOM = -2
_RECORDS, _CAPTURED = 0, 1


class Dispatch(NamedTuple):
    """What an event of some signature (a combination of matchers that match) sets off.

    ``bits``: int64[signatures, words of bits in a record]; ``logged``, ``disarms``: bool[signatures]; the updates and the
    rules of signature s are ``updates[update_starts[s]:update_starts[s + 1]]`` and likewise ``anchors``.
    """

    bits: Words
    logged: NDArray[np.bool_]
    disarms: NDArray[np.bool_]
    update_starts: Words
    updates: Words
    anchor_starts: Words
    anchors: Words


class Records(NamedTuple):
    """What a walk hands to Python: record r is about ``events[r]`` and ``rules[r]`` (−1: the event itself).

    The values of the rule's features, in the order of its captures, begin at ``starts[r]``. ``counters``: the numbers
    of records and of values.
    """

    events: Words
    rules: Words
    starts: Words
    kinds: NDArray[np.int8]
    integers: Words
    doubles: NDArray[np.float64]
    counters: Words


@compiled
def walk(memory: Memory, tables: Tables, dispatch: Dispatch, step: Step, records: Records, start: int, stop: int,
         most_records: int, most_values: int) -> int:  # fmt: skip
    """Take events ``start`` to ``stop``; returns the first not taken, for want of room in the pool or the records.

    ``most_records``, ``most_values``: of any one event.
    """
    for i in range(start, stop):
        if (
            records.counters[_RECORDS] + most_records > len(records.events)
            or records.counters[_CAPTURED] + most_values > len(records.kinds)
        ):  # fmt: skip
            return i
        signature, row, stream = step.signature[i], step.rows[i], step.stream[i]
        own_record = -1
        if dispatch.logged[signature]:
            own_record = add_record(memory, tables, dispatch.bits[signature], step, i, row, stream)
            if own_record == NO_ROOM:
                return i
        for u in range(dispatch.update_starts[signature], dispatch.update_starts[signature + 1]):
            apply_update(memory, tables, dispatch.updates[u], step, i, row)
        flags = memory.fixed[row, R_FLAGS]
        if stream == PROFILE:
            keep_profile(memory, tables, step, i, row)
        if (
            stream == PROFILE
            or (stream == TICKET and flags & MAY_HAVE_TICKETS)
            or (flags & MAY_BE_ARMED and dispatch.disarms[signature])
        ):
            note(records, i, -1)
        for a in range(dispatch.anchor_starts[signature], dispatch.anchor_starts[signature + 1]):
            rule = dispatch.anchors[a]
            t_ms = step.effective_ms[i]
            if holds(memory, tables, rule, step, i, i, row, t_ms, own_record) != FALSE:
                note(records, i, rule)
                capture(memory, tables, rule, step, i, i, row, t_ms, own_record, records)
                memory.fixed[row, R_FLAGS] |= tables.rule_flags[rule] << 1
    return stop


@compiled
def tick(memory: Memory, tables: Tables, step: Step, records: Records, rule: int, t_ms: int, start: int, stop: int,
         most_values: int) -> int:  # fmt: skip
    """Try a date rule for the rows ``start`` to ``stop`` that have a profile; returns the first not tried."""
    for row in range(start, stop):
        if not memory.fixed[row, R_FLAGS] & HAS_PROFILE:
            continue
        if records.counters[_RECORDS] == len(records.events):
            return row
        if records.counters[_CAPTURED] + most_values > len(records.kinds):
            return row
        stamp = -2 - row
        if holds(memory, tables, rule, step, -1, stamp, row, t_ms, -1) != FALSE:
            note(records, row, rule)
            capture(memory, tables, rule, step, -1, stamp, row, t_ms, -1, records)
    return stop


@compiled
def answer(memory: Memory, tables: Tables, dispatch: Dispatch, step: Step, start: int) -> int:
    """Add events to entities' rows and read features after each, into ``Step.entity_…``; returns the first not taken.

    Here ``dispatch.updates`` are the features to read.
    """
    for i in range(start, len(step.rows)):
        signature, row, stream = step.signature[i], step.rows[i], step.stream[i]
        own_record = -1
        if dispatch.logged[signature]:
            own_record = add_record(memory, tables, dispatch.bits[signature], step, i, row, stream)
            if own_record == NO_ROOM:
                return i
        for u in range(dispatch.update_starts[signature], dispatch.update_starts[signature + 1]):
            index = dispatch.updates[u]
            value = read(memory, tables, index, step, i, i, row, step.effective_ms[i], own_record)
            step.entity_kind[i, index], step.entity_integer[i, index], step.entity_double[i, index] = value
    return len(step.rows)


@compiled
def note(records: Records, event: int, rule: int) -> None:
    """One more record."""
    r = records.counters[_RECORDS]
    records.events[r], records.rules[r], records.starts[r] = event, rule, records.counters[_CAPTURED]
    records.counters[_RECORDS] = r + 1


@compiled
def capture(memory: Memory, tables: Tables, rule: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
            own_record: int, records: Records) -> None:  # fmt: skip
    """The values of a rule's features."""
    at = records.counters[_CAPTURED]
    for c in range(tables.capture_starts[rule], tables.capture_starts[rule + 1]):
        kind, integer, double = read(
            memory, tables, tables.captures[c], step, i, stamp, row, t_ms, own_record
        )
        records.kinds[at], records.integers[at], records.doubles[at] = kind, integer, double
        at += 1
    records.counters[_CAPTURED] = at


@compiled
def add_record(memory: Memory, tables: Tables, bits: Words, step: Step, i: int, row: int, stream: int) -> int:
    """Insert an event into its row's log: its record, −1 if no window reaches it any more, or ``NO_ROOM``."""
    header, width = tables.log_header[stream], tables.log_words[stream]
    after_ms = step.effective_ms[i] - tables.retention_ms[stream]
    ts_ms = step.ts_ms[i]
    if ts_ms <= after_ms:
        return -1
    _, _, end = bounds(memory, row, header)
    needed = memory.sizes[size_class(memory.sizes, (end + 1) * width)]
    if memory.counters[POOL_USED] + needed > len(memory.pool):
        return NO_ROOM
    offset, first, end = make_room(memory, row, header, width, after_ms)
    pool = memory.pool
    record = open_place(pool, offset, first, end, width, ts_ms)
    at = offset + record * width
    pool[at] = ts_ms << TIME_SHIFT | bits[0]
    at += 1
    for word in range(tables.log_extra[stream]):
        pool[at] = bits[1 + word]
        at += 1
    for slot in tables.log_slots[stream]:
        if slot < 0:
            break
        pool[at] = step.words[i, slot]
        at += 1
    for slot in tables.log_hashes[stream]:
        if slot < 0:
            break
        pool[at] = np.int64(step.hashes[i, slot])
        at += 1
    memory.fixed[row, header + 1] = first << 32 | (end + 1)
    for flag in tables.flags:
        if flag[0] == stream:
            set_flag(pool, flag, offset, first, end + 1, width, record)
    return record


@compiled
def set_flag(pool: Words, flag: Words, offset: int, first: int, end: int, width: int, own: int) -> None:
    """Flag the last record with the new record's value, and only that."""
    at = offset + own * width
    hashed = pool[at + flag[5]]
    if hashed == 0 or not (pool[at + flag[3]] >> flag[4]) & 1:
        return
    bit = 1 << flag[2]
    for record in range(end - 1, first - 1, -1):
        other = offset + record * width
        if record != own and pool[other + flag[5]] == hashed and pool[other + flag[1]] & bit:
            if record > own:
                return
            pool[other + flag[1]] &= ~bit
            break
    pool[at + flag[1]] |= bit


@compiled
def keep_profile(memory: Memory, tables: Tables, step: Step, i: int, row: int) -> None:
    """Keep of a profile event what conditions look at."""
    profile = tables.profile
    at, matchers = profile[0], profile[1]
    fixed = memory.fixed[row]
    for word in range((matchers + 63) >> 6):
        fixed[at + word] = 0
    for j in range(matchers):
        matcher = profile[3 + j]
        if (step.masks[i, matcher >> 6] >> np.uint64(matcher & 63)) & np.uint64(1):
            fixed[at + (j >> 6)] |= 1 << (j & 63)
    at += (matchers + 63) >> 6
    for j in range(profile[2]):
        fixed[at + j] = step.words[i, profile[3 + matchers + j]]
    fixed[R_FLAGS] |= HAS_PROFILE


@compiled
def apply_update(memory: Memory, tables: Tables, index: int, step: Step, i: int, row: int) -> None:
    """Change the fixed words of a row for an event."""
    update = tables.updates[index]
    fixed = memory.fixed[row]
    at, kind = update[U_OFFSET], update[U_KIND]
    if kind == SET_LATEST or kind == STEP_SEQUENCE:
        for word in range(at, at + update[U_LENGTH]):
            step.undo[word] = fixed[word]
        step.undone[index] = i
    if kind == SET_LATEST:
        fixed[at] = step.effective_ms[i] + 1
        if update[U_SLOT] >= 0:
            fixed[at + 1] = step.words[i, update[U_SLOT]]
    elif kind == STEP_SEQUENCE:
        # downwards, as one event is used for one step; words hold 1 + the highest possible start, 0 for none
        for j in range(update[U_COUNT] - 1, -1, -1):
            matcher = tables.arguments[update[U_ARGUMENTS] + j]
            if (step.masks[i, matcher >> 6] >> np.uint64(matcher & 63)) & np.uint64(1):
                start = step.ts_ms[i] + 1
                if j > 0:
                    start = min(start, fixed[at + j - 1])
                fixed[at + j] = max(fixed[at + j], start)
    elif kind == COUNT_RUN:
        period = step.numbers[i, update[U_PERIOD]]
        if fixed[at + 1] == 0 or fixed[at] != period:
            fixed[at + 1] = fixed[at + 1] + 1 if fixed[at + 1] > 0 and fixed[at] == period - 1 else 1
            fixed[at] = period
    elif kind == ADD_TOTALS:
        word = step.words[i, update[U_SLOT]] if update[U_SLOT] >= 0 else 0
        add_to_totals(memory, row, at, word, update[U_LENGTH])
    elif kind == ADD_CONDITION:
        advance_run(memory, tables, update, row, step.numbers[i, update[U_PERIOD]])
        for part in range(update[U_COUNT]):
            argument = update[U_ARGUMENTS] + 3 * part
            matcher, slot = tables.arguments[argument], tables.arguments[argument + 1]
            if (step.masks[i, matcher >> 6] >> np.uint64(matcher & 63)) & np.uint64(1):
                word = step.words[i, slot] if slot >= 0 else 0
                add_to_totals(memory, row, at + 2 + part * TOTALS_WORDS, word, TOTALS_WORDS)


@compiled
def add_to_totals(memory: Memory, row: int, at: int, word: int, length: int) -> None:
    """One more matching event, with its field's scalar. ``length``: of the totals; 1 if only matches are counted."""
    fixed, doubles = memory.fixed[row], memory.doubles[row]
    fixed[at + T_MATCHES] += 1
    if length == 1 or not is_number(memory, word):
        return
    if fixed[at + T_NUMBERS] == 0 or is_less(memory, word, fixed[at + T_LOWEST]):
        fixed[at + T_LOWEST] = word
    if fixed[at + T_NUMBERS] == 0 or is_less(memory, fixed[at + T_HIGHEST], word):
        fixed[at + T_HIGHEST] = word
    fixed[at + T_NUMBERS] += 1
    x = number_of(memory, word)
    if word & 7 == OBJECT_WORD:
        fixed[at + T_FLOATS] += (1 << 32) + (0 if memory.object_whole[word >> 3] else 1)
        doubles[at + T_REST], doubles[at + T_REST_LOW] = add_double(
            doubles[at + T_REST], doubles[at + T_REST_LOW], x * REST_SCALE
        )
        doubles[at + T_REST], doubles[at + T_REST_LOW] = add_double(
            doubles[at + T_REST], doubles[at + T_REST_LOW], rest_of(memory, word) * REST_SCALE
        )
    else:
        units = word >> 3
        fixed[at + T_FLOATS] += 1 if word & 7 == DECIMAL_WORD else 0
        fixed[at + T_HI], fixed[at + T_LO] = add_128(fixed[at + T_HI], fixed[at + T_LO], units >> 63, units)
        if length == TOTALS_WITH_SQUARES_WORDS:
            hi, lo = multiply_128(units, units)
            fixed[at + T_SQUARES_HI], fixed[at + T_SQUARES_LO] = add_128(
                fixed[at + T_SQUARES_HI], fixed[at + T_SQUARES_LO], hi, lo
            )
    if length == TOTALS_WITH_SQUARES_WORDS:
        doubles[at + T_DOUBLES], doubles[at + T_DOUBLES_LOW] = add_double(
            doubles[at + T_DOUBLES], doubles[at + T_DOUBLES_LOW], x
        )
        square, square_low = multiply_doubles(x, x)
        high, low = add_double(doubles[at + T_DOUBLE_SQUARES], doubles[at + T_DOUBLE_SQUARES_LOW], square)
        doubles[at + T_DOUBLE_SQUARES], doubles[at + T_DOUBLE_SQUARES_LOW] = add_double(high, low, square_low)
