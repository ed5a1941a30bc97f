"""Runs conditions as programs of a small stack machine, per event and rule, without Python.

A program finds out what surely does not hold; the few events for which a condition may hold go to Python, where it
is evaluated in full. Values are null, booleans and numbers as doubles; whatever a double may not show exactly, and
texts, are ``UNKNOWN``, and logic with unknowns is Kleene's (1938).
"""

from __future__ import annotations

import numpy as np

from state.cells import get, get_byte, get_double, put, put_double
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

(END, PUSH_NUMBER, PUSH_NULL, PUSH_BOOLEAN, PUSH_UNKNOWN, FEATURE, ENTITY, ANCHOR, PROFILE, MATCH, PROFILE_MATCH, TIME,
 CLOCK, ADD, SUBTRACT, MULTIPLY, DIVIDE, MODULO, NEGATE, ABSOLUTE, LOWER, HIGHER, LESS, LESS_EQUAL, EQUAL, NOT, AND,
 AND_JUMP, OR, OR_JUMP, TRUTH, COALESCE_JUMP, IS_NULL, PART, PROFILE_DAYS, HOLDING, HOLDING_DAYS, RISE,
 RISE_SET) = range(39)  # fmt: skip
"""Operations. The jumps go to their argument and keep the top of the stack: ``AND_JUMP`` where it is surely false,
``OR_JUMP`` where it is surely true, ``COALESCE_JUMP`` where it is not null (else it drops it)."""

STACK = 64
FALSE, TRUE, MAYBE = 0, 1, 2

RISEN = 2 * STACK
"""Where, beyond the two stacks, the values of ``rises`` are."""
ASKED, RISE_BEFORE, HOLDING_AT = RISEN + 32, RISEN + 33, RISEN + 34
"""Cells beside the stack: whether Python has to find out what a ``rises`` remembers, what all of them did before (two
bits each: none, false, true, unknown), the address of the holding."""
MACHINE_CELLS = RISEN + 35
_NONE, _WAS_FALSE, _WAS_TRUE, _WAS_UNKNOWN = range(4)

_EXACT = 9007199254740992.0  # 2**53: every integer up to here is a double


@compiled
def push(kinds: int, numbers: int, top: int, kind: int, number: float) -> None:
    """Set the top of the stack."""
    put(kinds, top, kind)
    put_double(numbers, top, number)


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
    kinds, numbers = step.stack_kinds + 8 * STACK, step.stack_numbers + 8 * STACK
    top = -1
    while get(tables.programs, 2 * pc) != END:
        operation, argument = get(tables.programs, 2 * pc), get(tables.programs, 2 * pc + 1)
        if operation == PART:
            at = get(update, U_OFFSET) + 2 + argument * TOTALS_WORDS
            op = get(tables.arguments, get(update, U_ARGUMENTS) + 3 * argument + 2)
            kind, _, number = read_totals(memory, row, at, op)
            top += 1
            push(kinds, numbers, top, (NUMBER if kind != NULL else NULL), number)
            pc += 1
        else:
            top, pc = operate(operation, argument, tables, kinds, numbers, top, pc, False)
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
def operate(operation: int, argument: int, tables: Tables, kinds: int, numbers: int, top: int, pc: int,
            strict: bool) -> tuple[int, int]:  # fmt: skip
    """One instruction that looks at the stack only; gives the new top and the next instruction."""
    pc += 1
    if operation <= PUSH_UNKNOWN:
        top += 1
        if operation == PUSH_NUMBER:
            push(kinds, numbers, top, NUMBER, get_double(tables.constants, argument))
        elif operation == PUSH_BOOLEAN:
            push(kinds, numbers, top, BOOLEAN, float(argument))
        else:
            push(kinds, numbers, top, (NULL if operation == PUSH_NULL else UNKNOWN), 0.0)
    elif operation == AND_JUMP:
        if get(kinds, top) == BOOLEAN and get_double(numbers, top) == 0.0:
            pc = argument
    elif operation == OR_JUMP:
        if get(kinds, top) == BOOLEAN and get_double(numbers, top) != 0.0:
            pc = argument
    elif operation == COALESCE_JUMP:
        if get(kinds, top) == UNKNOWN:
            pc = argument
        elif get(kinds, top) != NULL:
            pc = argument
        else:
            top -= 1
    elif operation == TRUTH or operation == NOT:
        if get(kinds, top) != UNKNOWN:
            holds = get(kinds, top) != NULL and get_double(numbers, top) != 0.0
            push(kinds, numbers, top, BOOLEAN, 1.0 if holds != (operation == NOT) else 0.0)
    elif operation == IS_NULL:
        if get(kinds, top) != UNKNOWN:
            push(kinds, numbers, top, BOOLEAN, 1.0 if get(kinds, top) == NULL else 0.0)
    elif operation == NEGATE or operation == ABSOLUTE:
        if get(kinds, top) == BOOLEAN:
            put(kinds, top, NULL)
        put_double(numbers, top, -get_double(numbers, top) if operation == NEGATE else abs(get_double(numbers, top)))
    else:
        top -= 1
        kind, number = combine(
            operation,
            get(kinds, top),
            get_double(numbers, top),
            get(kinds, top + 1),
            get_double(numbers, top + 1),
            strict,
        )
        push(kinds, numbers, top, kind, number)
    return top, pc


@compiled
def combine(operation: int, a_kind: int, a: float, b_kind: int, b: float, strict: bool) -> tuple[int, float]:
    """An operation on two values."""
    if operation == AND or operation == OR:
        settles = 1.0 if operation == OR else 0.0
        if (a_kind == BOOLEAN and a == settles) or (b_kind == BOOLEAN and b == settles):
            return BOOLEAN, settles
        return (UNKNOWN, 0.0) if a_kind == UNKNOWN or b_kind == UNKNOWN else (BOOLEAN, 1.0 - settles)
    comparison = operation == LESS or operation == LESS_EQUAL or operation == EQUAL
    if a_kind == NULL or b_kind == NULL:
        return (BOOLEAN, 0.0) if comparison else (NULL, 0.0)
    if a_kind == UNKNOWN or b_kind == UNKNOWN:
        return UNKNOWN, 0.0
    if comparison:
        if a_kind != b_kind:
            return BOOLEAN, 0.0
        if strict and a_kind == NUMBER and (abs(a) > _EXACT or abs(b) > _EXACT):
            return UNKNOWN, 0.0
        holds = a < b if operation == LESS else (a <= b if operation == LESS_EQUAL else a == b)
        return BOOLEAN, 1.0 if holds else 0.0
    if a_kind == BOOLEAN or b_kind == BOOLEAN:
        return NULL, 0.0
    if operation == ADD:
        value = a + b
    elif operation == SUBTRACT:
        value = a - b
    elif operation == MULTIPLY:
        value = a * b
    elif operation == LOWER:
        value = min(a, b)
    elif operation == HIGHER:
        value = max(a, b)
    elif b == 0.0:
        return NULL, 0.0
    else:
        value = a / b if operation == DIVIDE else a % b
    if strict and not abs(value) <= _EXACT:
        return UNKNOWN, 0.0
    return (NUMBER, value) if np.isfinite(value) else (NULL, 0.0)


@compiled
def to_operand(value: Value) -> tuple[int, float]:
    """A value as the machine holds it."""
    kind, _, number = value
    if kind == WHOLE or kind == NUMBER:
        return (NUMBER, number) if abs(number) <= _EXACT else (UNKNOWN, 0.0)
    if kind == NULL or kind == BOOLEAN:
        return kind, number
    return UNKNOWN, 0.0


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
    kinds, numbers = step.stack_kinds, step.stack_numbers
    pc = get(tables.starts, program)
    top = -1
    put(kinds, ASKED, 0)
    put(kinds, RISE_BEFORE, 0)
    while True:
        operation, argument = get(tables.programs, 2 * pc), get(tables.programs, 2 * pc + 1)
        if operation == FEATURE:
            top += 1
            kind, number = to_operand(read(memory, tables, argument, step, i, stamp, row, t_ms, own_record))
            push(kinds, numbers, top, kind, number)
            pc += 1
        elif operation == MATCH:
            top += 1
            match = tables.matches + 32 * argument
            if i >= 0 and get_byte(step.stream, i) == get(match, 0):
                bit = matches(step, i, get(match, 1), get(match, 2))
                put_double(numbers, top, 1.0 if bit else 0.0)
            else:
                put_double(numbers, top, float(get(match, 3)))
            put(kinds, top, BOOLEAN)
            pc += 1
        elif operation == END:
            break
        elif operation == RISE_SET:
            remember_rise(tables, argument, kinds, numbers, top, row)
            top -= 1
            pc += 1
        elif operation == RISE:
            top += 1
            push(kinds, numbers, top, get(kinds, RISEN + argument), get_double(numbers, RISEN + argument))
            pc += 1
        elif PROFILE_DAYS <= operation <= HOLDING_DAYS:
            top += 1
            kind, number = dated(memory, tables, operation, argument, step, i, row)
            push(kinds, numbers, top, kind, number)
            pc += 1
        elif operation >= ENTITY and operation <= CLOCK:
            top += 1
            kind, number = to_operand(look_up(memory, tables, operation, argument, step, i, row, t_ms))
            push(kinds, numbers, top, kind, number)
            pc += 1
        else:
            top, pc = operate(operation, argument, tables, kinds, numbers, top, pc, True)
    if get(kinds, 0) == UNKNOWN or get(kinds, ASKED):
        return MAYBE
    return TRUE if get(kinds, 0) != NULL and get_double(numbers, 0) != 0.0 else FALSE


@compiled
def look_up(memory: Memory, tables: Tables, operation: int, argument: int, step: Step, i: int, row: int,
            t_ms: int) -> Value:  # fmt: skip
    """A value that is no feature of the row: of the event, an entity, the profile or the clock."""
    if operation == TIME:
        return WHOLE, t_ms, float(t_ms)
    if operation == CLOCK:
        number = get(step.numbers, max(i, 0) * step.period_width + argument)
        return (WHOLE, number, float(number)) if number >= 0 else (UNKNOWN, 0, 0.0)
    if operation == ENTITY:
        if i < 0:
            return UNKNOWN, 0, 0.0
        at = i * step.entity_width + argument
        return get(step.entity_kind, at), get(step.entity_integer, at), get_double(step.entity_double, at)
    if operation == ANCHOR:
        if i < 0 or get_byte(step.stream, i) != argument >> 16:
            return NULL, 0, 0.0
        return word_value(memory, get(step.words, i * step.word_width + (argument & 0xFFFF)))
    at = get(tables.profile, 0)
    has_profile = get(row, R_FLAGS) & HAS_PROFILE
    if operation == PROFILE:
        bit_words = (get(tables.profile, 1) + 63) >> 6
        return word_value(memory, get(row, at + bit_words + argument)) if has_profile else (NULL, 0, 0.0)
    bit = (get(row, at + (argument >> 7)) >> ((argument >> 1) & 63)) & 1 if has_profile else argument & 1
    return BOOLEAN, bit, float(bit)


@compiled
def remember_rise(tables: Tables, argument: int, kinds: int, numbers: int, top: int, row: int) -> None:
    """Take a condition of ``rises`` from the stack: note whether it has risen, and what it is now."""
    slot, own = argument >> 8, argument & 0xFF
    if get(kinds, top) == UNKNOWN:
        now = _WAS_UNKNOWN
        put(kinds, ASKED, 1)
    else:
        now = _WAS_TRUE if get(kinds, top) != NULL and get_double(numbers, top) != 0.0 else _WAS_FALSE
    at, shift = tables.rise_offset + (slot >> 5), 2 * (slot & 31)
    word = get(row, at)
    before = (word >> shift) & 3
    put(row, at, (word & ~(3 << shift)) | now << shift)
    put(kinds, RISE_BEFORE, get(kinds, RISE_BEFORE) | before << 2 * own)
    settled = now == _WAS_FALSE or before == _NONE or before == _WAS_TRUE
    if settled:
        push(kinds, numbers, RISEN + own, BOOLEAN, 0.0)
    else:
        known = now == _WAS_TRUE and before == _WAS_FALSE
        push(kinds, numbers, RISEN + own, BOOLEAN if known else UNKNOWN, 1.0)


@compiled
def dated(
    memory: Memory, tables: Tables, operation: int, argument: int, step: Step, i: int, row: int
) -> tuple[int, float]:
    """A holding's field, or the days until a date of the profile or of a holding."""
    if operation == HOLDING:
        return to_operand(word_value(memory, get(get(step.stack_kinds, HOLDING_AT), argument)))
    column = (argument & 0xFFFFFFFF) >> 1
    if operation == HOLDING_DAYS:
        date = get(get(step.stack_kinds, HOLDING_AT), column)
    else:
        if not get(row, R_FLAGS) & HAS_PROFILE:
            return NULL, 0.0
        word = get(row, get(tables.profile, 0) + ((get(tables.profile, 1) + 63) >> 6) + column)
        date = get(memory.object_dates, word >> 3) if word & 7 == OBJECT_WORD else 0
    if date == 0:
        return NULL, 0.0
    today = get(step.numbers, max(i, 0) * step.period_width + (argument >> 32)) + 1
    return NUMBER, float(days_to_recurrence(date, today) if argument & 1 else date - today)


@compiled
def civil(ordinal: int) -> tuple[int, int, int]:
    """Year, month and day of a date by its ordinal (1 is the first day of the year 1); proleptic Gregorian.

    Source: Hinnant, "chrono-compatible low-level date algorithms".
    """
    days = ordinal + 305  # since 1 March of the year 0
    era = days // 146_097
    of_era = days - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (1 if month <= 2 else 0), month, day


@compiled
def ordinal_of(year: int, month: int, day: int) -> int:
    """The ordinal of a date."""
    year -= 1 if month <= 2 else 0
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 305


@compiled
def days_to_recurrence(date: int, today: int) -> int:
    """Days to the next yearly recurrence of a date; 29 February recurs on 28 February in other years."""
    _, month, day = civil(date)
    year = civil(today)[0]
    for of in range(year, year + 2):
        leap = of % 4 == 0 and (of % 100 != 0 or of % 400 == 0)
        recurrence = ordinal_of(of, month, 28 if month == 2 and day == 29 and not leap else day)
        if recurrence >= today:
            return recurrence - today
    return 0
