"""Runs conditions as programs of a small stack machine, per event and rule, without Python.

A program finds out what surely does not hold; the few events for which a condition may hold go to Python, where it
is evaluated in full. Values are null, booleans and numbers as doubles; whatever a double may not show exactly, and
texts, are ``UNKNOWN``, and logic with unknowns is Kleene's (1938).
"""

from __future__ import annotations

import numpy as np

from state import operations as o
from state.cells import get, get_byte, get_double, put, put_double
from state.civil import days_to_recurrence
from state.compiled import compiled
from state.log import Memory
from state.reads import (
    BOOLEAN,
    NULL,
    NUMBER,
    UNKNOWN,
    WHOLE,
    Step,
    Value,
    feature_address,
    habit_value,
    matches,
    read_totals,
    read_windowed,
    word_value,
)  # fmt: skip
from state.tables import (
    AGE,
    CONDITION_RUN,
    F_MATCH_BIT,
    F_MATCH_WORD,
    F_OFFSET,
    F_OP,
    F_PARTS,
    F_PERIOD,
    F_SIZE_MS,
    F_UPDATE,
    HABIT,
    HAS_PROFILE,
    LAST,
    PREV,
    R_FLAGS,
    RUN,
    SEQUENCE,
    TOTALS_WORDS,
    U_ARGUMENTS,
    U_COUNT,
    U_OFFSET,
    U_PROGRAM,
    UPDATE_COLUMNS,
    Tables,
)  # fmt: skip
from state.values import OBJECT_WORD


@compiled
def before_word(memory: Memory, step: Step, i: int, row: int, update: int, word: int) -> int:
    """A fixed word as it was before the event at hand."""
    if i >= 0 and get(step.undone, update) == i:
        return get(step.undo, word)
    return get(row, word)


@compiled
def read_kept(memory: Memory, tables: Tables, feature: int, step: Step, i: int, row: int, t_ms: int) -> Value:
    """A feature over a row's fixed words: the latest event, a sequence, a streak or totals."""
    op, at = get(feature, F_OP), get(feature, F_OFFSET)
    if op == LAST:
        return word_value(memory, get(row, at))
    if op == PREV:
        return word_value(memory, before_word(memory, step, i, row, get(feature, F_UPDATE), at))
    if op == AGE:
        latest = before_word(memory, step, i, row, get(feature, F_UPDATE), at)
        return (NULL, 0, 0.0) if latest == 0 else (NUMBER, 0, (t_ms - (latest - 1)) / 1000)
    if op == SEQUENCE:
        holds = False
        if i >= 0 and matches(step, i, get(feature, F_MATCH_WORD), get(feature, F_MATCH_BIT)):
            start = before_word(memory, step, i, row, get(feature, F_UPDATE), at + get(feature, F_PARTS) - 2)
            holds = start != 0 and min(start - 1, get(step.ts_ms, i)) > t_ms - get(feature, F_SIZE_MS)
        return BOOLEAN, 1 if holds else 0, 1.0 if holds else 0.0
    if op == HABIT:
        return habit_value(step, i, get(feature, F_UPDATE), at)
    if op == RUN:
        period = get(step.numbers, max(i, 0) * step.period_width + get(feature, F_PERIOD))
        n = get(row, at + 1) if get(row, at + 1) > 0 and get(row, at) == period else 0
        return WHOLE, n, float(n)
    if op == CONDITION_RUN:
        update = tables.updates + 8 * UPDATE_COLUMNS * get(feature, F_UPDATE)
        if get(row, at + 1) == 0:
            return WHOLE, 0, 0.0
        advance_run(
            memory, tables, update, step, row, get(step.numbers, max(i, 0) * step.period_width + get(feature, F_PERIOD))
        )
        n = get(row, at + 1) if condition_holds(memory, tables, update, step, row) else 0
        return WHOLE, n, float(n)
    return read_totals(memory, row, at, op)


@compiled
def condition_holds(memory: Memory, tables: Tables, update: int, step: Step, row: int) -> bool:
    """Whether a streak's condition holds for the totals of the current period."""
    pc = get(tables.starts, get(update, U_PROGRAM))
    # above the stack of the condition that asks for the streak
    kinds, numbers = step.stack_kinds + 8 * o.STACK, step.stack_numbers + 8 * o.STACK
    top = -1
    while get(tables.programs, 2 * pc) != o.END:
        operation, argument = get(tables.programs, 2 * pc), get(tables.programs, 2 * pc + 1)
        if operation == o.PART:
            at = get(update, U_OFFSET) + 2 + argument * TOTALS_WORDS
            op = get(tables.arguments, get(update, U_ARGUMENTS) + 3 * argument + 2)
            kind, _, number = read_totals(memory, row, at, op)
            top += 1
            o.push(kinds, numbers, top, (NUMBER if kind != NULL else NULL), number)
            pc += 1
        else:
            top, pc = o.operate(operation, argument, tables, kinds, numbers, top, pc, False)
    return get(kinds, 0) != NULL and get_double(numbers, 0) != 0.0


@compiled
def advance_run(memory: Memory, tables: Tables, update: int, step: Step, row: int, period: int) -> None:
    """Close every period before this one. Words: the current period, 1 + the run before it (0: none yet), totals."""
    at = get(update, U_OFFSET)
    if get(row, at + 1) == 0:
        put(row, at, period)
        put(row, at + 1, 1)
        return
    if get(row, at) == period:
        return
    run = get(row, at + 1) if condition_holds(memory, tables, update, step, row) else 0
    for word in range(at + 2, at + 2 + get(update, U_COUNT) * TOTALS_WORDS):
        put(row, word, 0)
    empty_periods = period - get(row, at) - 1
    if empty_periods > 0:
        run = run + empty_periods if condition_holds(memory, tables, update, step, row) else 0
    put(row, at, period)
    put(row, at + 1, 1 + run)


@compiled
def read(memory: Memory, tables: Tables, index: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
         own_record: int) -> Value:  # fmt: skip
    """A feature's value; each is read once for an event (``stamp``)."""
    if get(step.cached, index) == stamp:
        return get(step.cached_kind, index), get(step.cached_integer, index), get_double(step.cached_double, index)
    feature = feature_address(tables, index)
    if get(feature, F_UPDATE) >= 0:
        value = read_kept(memory, tables, feature, step, i, row, t_ms)
    else:
        value = read_windowed(memory, tables, feature, step, i, row, t_ms, own_record)
    put(step.cached, index, stamp)
    put(step.cached_kind, index, value[0])
    put(step.cached_integer, index, value[1])
    put_double(step.cached_double, index, value[2])
    return value


@compiled
def holds(memory: Memory, tables: Tables, program: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
          own_record: int) -> int:  # fmt: skip
    """Whether a condition holds: ``FALSE``, ``TRUE`` or ``MAYBE``. ``i`` is −1 at a tick."""
    run(memory, tables, program, step, i, stamp, row, t_ms, own_record)
    kinds = step.stack_kinds
    if get(kinds, 0) == UNKNOWN or get(kinds, o.ASKED):
        return o.MAYBE
    return o.TRUE if get(kinds, 0) != NULL and get_double(step.stack_numbers, 0) != 0.0 else o.FALSE


@compiled
def number_of(memory: Memory, tables: Tables, program: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
              own_record: int) -> float:  # fmt: skip
    """An expression's value as a number (1 and 0 for a test); NaN for null and what a double may not show exactly."""
    run(memory, tables, program, step, i, stamp, row, t_ms, own_record)
    kind = get(step.stack_kinds, 0)
    return get_double(step.stack_numbers, 0) if kind == NUMBER or kind == BOOLEAN else np.nan


@compiled
def run(memory: Memory, tables: Tables, program: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
        own_record: int) -> None:  # fmt: skip
    """Run a program: its value is left at the bottom of the stack."""
    kinds, numbers = step.stack_kinds, step.stack_numbers
    pc = get(tables.starts, program)
    top = -1
    put(kinds, o.ASKED, 0)
    put(kinds, o.RISE_BEFORE, 0)
    while True:
        operation, argument = get(tables.programs, 2 * pc), get(tables.programs, 2 * pc + 1)
        if operation == o.FEATURE:
            top += 1
            kind, number = o.to_operand(read(memory, tables, argument, step, i, stamp, row, t_ms, own_record), tables)
            o.push(kinds, numbers, top, kind, number)
            pc += 1
        elif operation == o.MATCH:
            top += 1
            match = tables.matches + 32 * argument
            if i >= 0 and get_byte(step.stream, i) == get(match, 0):
                bit = matches(step, i, get(match, 1), get(match, 2))
                put_double(numbers, top, 1.0 if bit else 0.0)
            else:
                put_double(numbers, top, float(get(match, 3)))
            put(kinds, top, BOOLEAN)
            pc += 1
        elif operation == o.END:
            break
        elif operation == o.RISE_SET:
            remember_rise(tables, argument, kinds, numbers, top, row)
            top -= 1
            pc += 1
        elif operation == o.RISE:
            top += 1
            o.push(kinds, numbers, top, get(kinds, o.RISEN + argument), get_double(numbers, o.RISEN + argument))
            pc += 1
        elif o.PROFILE_DAYS <= operation <= o.HOLDING_DAYS:
            top += 1
            kind, number = dated(memory, tables, operation, argument, step, i, row)
            o.push(kinds, numbers, top, kind, number)
            pc += 1
        elif operation >= o.ENTITY and operation <= o.CLOCK:
            top += 1
            kind, number = o.to_operand(look_up(memory, tables, operation, argument, step, i, row, t_ms), tables)
            o.push(kinds, numbers, top, kind, number)
            pc += 1
        else:
            top, pc = o.operate(operation, argument, tables, kinds, numbers, top, pc, True)


@compiled
def look_up(memory: Memory, tables: Tables, operation: int, argument: int, step: Step, i: int, row: int,
            t_ms: int) -> Value:  # fmt: skip
    """A value that is no feature of the row: of the event, an entity, the profile or the clock."""
    if operation == o.TIME:
        return WHOLE, t_ms, float(t_ms)
    if operation == o.CLOCK:
        number = get(step.numbers, max(i, 0) * step.period_width + argument)
        return (WHOLE, number, float(number)) if number >= 0 else (UNKNOWN, 0, 0.0)
    if operation == o.ENTITY:
        if i < 0:
            return UNKNOWN, 0, 0.0
        at = i * step.entity_width + argument
        return get(step.entity_kind, at), get(step.entity_integer, at), get_double(step.entity_double, at)
    if operation == o.ANCHOR:
        if i < 0 or get_byte(step.stream, i) != argument >> 16:
            return NULL, 0, 0.0
        return word_value(memory, get(step.words, i * step.word_width + (argument & 0xFFFF)))
    at = get(tables.profile, 0)
    has_profile = get(row, R_FLAGS) & HAS_PROFILE
    if operation == o.PROFILE:
        bit_words = (get(tables.profile, 1) + 63) >> 6
        return word_value(memory, get(row, at + bit_words + argument)) if has_profile else (NULL, 0, 0.0)
    bit = (get(row, at + (argument >> 7)) >> ((argument >> 1) & 63)) & 1 if has_profile else argument & 1
    return BOOLEAN, bit, float(bit)


@compiled
def remember_rise(tables: Tables, argument: int, kinds: int, numbers: int, top: int, row: int) -> None:
    """Take a condition of ``rises`` from the stack: note whether it has risen, and what it is now."""
    slot, own = argument >> 8, argument & 0xFF
    if get(kinds, top) == UNKNOWN:
        now = o._WAS_UNKNOWN
        put(kinds, o.ASKED, 1)
    else:
        now = o._WAS_TRUE if get(kinds, top) != NULL and get_double(numbers, top) != 0.0 else o._WAS_FALSE
    at, shift = tables.rise_offset + (slot >> 5), 2 * (slot & 31)
    word = get(row, at)
    before = (word >> shift) & 3
    put(row, at, (word & ~(3 << shift)) | now << shift)
    put(kinds, o.RISE_BEFORE, get(kinds, o.RISE_BEFORE) | before << 2 * own)
    settled = now == o._WAS_FALSE or before == o._NONE or before == o._WAS_TRUE
    if settled:
        o.push(kinds, numbers, o.RISEN + own, BOOLEAN, 0.0)
    else:
        known = now == o._WAS_TRUE and before == o._WAS_FALSE
        o.push(kinds, numbers, o.RISEN + own, BOOLEAN if known else UNKNOWN, 1.0)


@compiled
def dated(
    memory: Memory, tables: Tables, operation: int, argument: int, step: Step, i: int, row: int
) -> tuple[int, float]:
    """A holding's field, or the days until a date of the profile or of a holding."""
    if operation == o.HOLDING:
        return o.to_operand(word_value(memory, get(get(step.stack_kinds, o.HOLDING_AT), argument)), tables)
    column = (argument & 0xFFFFFFFF) >> 1
    if operation == o.HOLDING_DAYS:
        date = get(get(step.stack_kinds, o.HOLDING_AT), column)
    else:
        if not get(row, R_FLAGS) & HAS_PROFILE:
            return NULL, 0.0
        word = get(row, get(tables.profile, 0) + ((get(tables.profile, 1) + 63) >> 6) + column)
        date = get(memory.object_dates, word >> 3) if word & 7 == OBJECT_WORD else 0
    if date == 0:
        return NULL, 0.0
    today = get(step.numbers, max(i, 0) * step.period_width + (argument >> 32)) + 1
    return NUMBER, float(days_to_recurrence(date, today) if argument & 1 else date - today)
