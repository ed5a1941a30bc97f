"""Runs conditions as programs of a small stack machine, per event and rule, without Python.

A program finds out what surely does not hold; the few events for which a condition may hold go to Python, where it
is evaluated in full. Values are null, booleans and numbers as doubles; whatever a double may not show exactly, and
texts, are ``UNKNOWN``, and logic with unknowns is Kleene's (1938).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.log import Memory, Words
from state.reads import (
    BOOLEAN, NULL, NUMBER, UNKNOWN, WHOLE, Step, Value, read_totals, read_windowed, word_value,
)  # fmt: skip
from state.tables import (
    AGE, CONDITION_RUN, F_MATCH_BIT, F_MATCH_WORD, F_OFFSET, F_OP, F_PARTS, F_PERIOD, F_SIZE_MS, F_STREAM, F_UPDATE,
    HAS_PROFILE, LAST, PREV, R_FLAGS, RUN, SEQUENCE, TOTALS_WORDS, U_ARGUMENTS, U_COUNT, U_OFFSET, U_PROGRAM, Tables,
)  # fmt: skip

(END, PUSH_NUMBER, PUSH_NULL, PUSH_BOOLEAN, PUSH_UNKNOWN, FEATURE, ENTITY, ANCHOR, PROFILE, MATCH, PROFILE_MATCH, TIME,
 CLOCK, ADD, SUBTRACT, MULTIPLY, DIVIDE, MODULO, NEGATE, ABSOLUTE, LOWER, HIGHER, LESS, LESS_EQUAL, EQUAL, NOT, AND,
 AND_JUMP, OR, OR_JUMP, TRUTH, COALESCE_JUMP, IS_NULL, PART) = range(34)  # fmt: skip
"""Operations. The jumps go to their argument and keep the top of the stack: ``AND_JUMP`` where it is surely false,
``OR_JUMP`` where it is surely true, ``COALESCE_JUMP`` where it is not null (else it drops it)."""

STACK = 64
FALSE, TRUE, MAYBE = 0, 1, 2

_EXACT = 9007199254740992.0  # 2**53: every integer up to here is a double


@compiled
def before_word(memory: Memory, step: Step, i: int, row: int, update: int, word: int) -> int:
    """A fixed word as it was before the event at hand."""
    if i >= 0 and step.undone[update] == i:
        return step.undo[word]
    return memory.fixed[row, word]


@compiled
def read_kept(memory: Memory, tables: Tables, feature: Words, step: Step, i: int, row: int, t_ms: int) -> Value:
    """A feature over a row's fixed words: the latest event, a sequence, a streak or totals."""
    op, at = feature[F_OP], feature[F_OFFSET]
    fixed = memory.fixed[row]
    if op == LAST:
        return word_value(memory, fixed[at + 1])
    if op == PREV:
        return word_value(memory, before_word(memory, step, i, row, feature[F_UPDATE], at + 1))
    if op == AGE:
        latest = before_word(memory, step, i, row, feature[F_UPDATE], at)
        return (NULL, 0, 0.0) if latest == 0 else (NUMBER, 0, (t_ms - (latest - 1)) / 1000)
    if op == SEQUENCE:
        holds = False
        if i >= 0 and (step.masks[i, feature[F_MATCH_WORD]] >> np.uint64(feature[F_MATCH_BIT])) & np.uint64(1):
            start = before_word(memory, step, i, row, feature[F_UPDATE], at + feature[F_PARTS] - 2)
            holds = start != 0 and min(start - 1, step.ts_ms[i]) > t_ms - feature[F_SIZE_MS]
        return BOOLEAN, 1 if holds else 0, 1.0 if holds else 0.0
    if op == RUN:
        period = step.numbers[max(i, 0), feature[F_PERIOD]]
        n = fixed[at + 1] if fixed[at + 1] > 0 and fixed[at] == period else 0
        return WHOLE, n, float(n)
    if op == CONDITION_RUN:
        update = tables.updates[feature[F_UPDATE]]
        if fixed[at + 1] == 0:
            return WHOLE, 0, 0.0
        advance_run(memory, tables, update, row, step.numbers[max(i, 0), feature[F_PERIOD]])
        n = fixed[at + 1] if condition_holds(memory, tables, update, row) else 0
        return WHOLE, n, float(n)
    return read_totals(memory, row, at, op)


@compiled
def condition_holds(memory: Memory, tables: Tables, update: Words, row: int) -> bool:
    """Whether a streak's condition holds for the totals of the current period."""
    pc = tables.starts[update[U_PROGRAM]]
    kinds = np.empty(STACK, np.int64)
    numbers = np.empty(STACK, np.float64)
    top = -1
    while tables.programs[pc, 0] != END:
        operation, argument = tables.programs[pc, 0], tables.programs[pc, 1]
        if operation == PART:
            at = update[U_OFFSET] + 2 + argument * TOTALS_WORDS
            op = tables.arguments[update[U_ARGUMENTS] + 3 * argument + 2]
            kind, _, number = read_totals(memory, row, at, op)
            top += 1
            kinds[top], numbers[top] = (NUMBER if kind != NULL else NULL), number
            pc += 1
        else:
            top, pc = operate(operation, argument, tables, kinds, numbers, top, pc, False)
    return kinds[0] != NULL and numbers[0] != 0.0


@compiled
def advance_run(memory: Memory, tables: Tables, update: Words, row: int, period: int) -> None:
    """Close every period before this one. Words: the current period, 1 + the run before it (0: none yet), totals."""
    fixed = memory.fixed[row]
    at = update[U_OFFSET]
    if fixed[at + 1] == 0:
        fixed[at], fixed[at + 1] = period, 1
        return
    if fixed[at] == period:
        return
    run = fixed[at + 1] if condition_holds(memory, tables, update, row) else 0
    for word in range(at + 2, at + 2 + update[U_COUNT] * TOTALS_WORDS):
        fixed[word] = 0
    empty_periods = period - fixed[at] - 1
    if empty_periods > 0:
        run = run + empty_periods if condition_holds(memory, tables, update, row) else 0
    fixed[at], fixed[at + 1] = period, 1 + run


@compiled
def operate(operation: int, argument: int, tables: Tables, kinds: Words, numbers: NDArray[np.float64], top: int, pc: int,
            strict: bool) -> tuple[int, int]:  # fmt: skip
    """One instruction that looks at the stack only; gives the new top and the next instruction."""
    pc += 1
    if operation <= PUSH_UNKNOWN:
        top += 1
        if operation == PUSH_NUMBER:
            kinds[top], numbers[top] = NUMBER, tables.constants[argument]
        elif operation == PUSH_BOOLEAN:
            kinds[top], numbers[top] = BOOLEAN, float(argument)
        else:
            kinds[top], numbers[top] = (NULL if operation == PUSH_NULL else UNKNOWN), 0.0
    elif operation == AND_JUMP:
        if kinds[top] == BOOLEAN and numbers[top] == 0.0:
            pc = argument
    elif operation == OR_JUMP:
        if kinds[top] == BOOLEAN and numbers[top] != 0.0:
            pc = argument
    elif operation == COALESCE_JUMP:
        if kinds[top] == UNKNOWN:
            pc = argument
        elif kinds[top] != NULL:
            pc = argument
        else:
            top -= 1
    elif operation == TRUTH or operation == NOT:
        if kinds[top] != UNKNOWN:
            holds = kinds[top] != NULL and numbers[top] != 0.0
            kinds[top], numbers[top] = BOOLEAN, 1.0 if holds != (operation == NOT) else 0.0
    elif operation == IS_NULL:
        if kinds[top] != UNKNOWN:
            kinds[top], numbers[top] = BOOLEAN, 1.0 if kinds[top] == NULL else 0.0
    elif operation == NEGATE or operation == ABSOLUTE:
        if kinds[top] == BOOLEAN:
            kinds[top] = NULL
        numbers[top] = -numbers[top] if operation == NEGATE else abs(numbers[top])
    else:
        top -= 1
        kinds[top], numbers[top] = combine(
            operation, kinds[top], numbers[top], kinds[top + 1], numbers[top + 1], strict
        )
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
    if step.cached[index] == stamp:
        return step.cached_kind[index], step.cached_integer[index], step.cached_double[index]
    feature = tables.features[index]
    if feature[F_UPDATE] >= 0:
        value = read_kept(memory, tables, feature, step, i, row, t_ms)
    else:
        value = read_windowed(memory, tables, feature, step, i, row, t_ms, own_record)
    step.cached[index] = stamp
    step.cached_kind[index], step.cached_integer[index], step.cached_double[index] = value
    return value


@compiled
def holds(memory: Memory, tables: Tables, program: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
          own_record: int) -> int:  # fmt: skip
    """Whether a condition holds: ``FALSE``, ``TRUE`` or ``MAYBE``. ``i`` is −1 at a tick."""
    kinds, numbers = step.stack_kinds, step.stack_numbers
    pc = tables.starts[program]
    top = -1
    while True:
        operation, argument = tables.programs[pc, 0], tables.programs[pc, 1]
        if operation == FEATURE:
            top += 1
            kinds[top], numbers[top] = to_operand(
                read(memory, tables, argument, step, i, stamp, row, t_ms, own_record)
            )
            pc += 1
        elif operation == MATCH:
            top += 1
            match = tables.matches[argument]
            if i >= 0 and step.stream[i] == match[0]:
                bit = (step.masks[i, match[1]] >> np.uint64(match[2])) & np.uint64(1)
                numbers[top] = 1.0 if bit else 0.0
            else:
                numbers[top] = float(match[3])
            kinds[top] = BOOLEAN
            pc += 1
        elif operation == END:
            break
        elif operation >= ENTITY and operation <= CLOCK:
            top += 1
            kinds[top], numbers[top] = to_operand(look_up(memory, tables, operation, argument, step, i, row, t_ms))
            pc += 1
        else:
            top, pc = operate(operation, argument, tables, kinds, numbers, top, pc, True)
    if kinds[0] == UNKNOWN:
        return MAYBE
    return TRUE if kinds[0] != NULL and numbers[0] != 0.0 else FALSE


@compiled
def look_up(memory: Memory, tables: Tables, operation: int, argument: int, step: Step, i: int, row: int,
            t_ms: int) -> Value:  # fmt: skip
    """A value that is no feature of the row: of the event, an entity, the profile or the clock."""
    if operation == TIME:
        return WHOLE, t_ms, float(t_ms)
    if operation == CLOCK:
        number = step.numbers[max(i, 0), argument]
        return (WHOLE, number, float(number)) if number >= 0 else (UNKNOWN, 0, 0.0)
    if operation == ENTITY:
        if i < 0:
            return UNKNOWN, 0, 0.0
        return step.entity_kind[i, argument], step.entity_integer[i, argument], step.entity_double[i, argument]
    if operation == ANCHOR:
        if i < 0 or step.stream[i] != argument >> 16:
            return NULL, 0, 0.0
        return word_value(memory, step.words[i, argument & 0xFFFF])
    at = tables.profile[0]
    has_profile = memory.fixed[row, R_FLAGS] & HAS_PROFILE
    if operation == PROFILE:
        bit_words = (tables.profile[1] + 63) >> 6
        return word_value(memory, memory.fixed[row, at + bit_words + argument]) if has_profile else (NULL, 0, 0.0)
    bit = (memory.fixed[row, at + (argument >> 7)] >> ((argument >> 1) & 63)) & 1 if has_profile else argument & 1
    return BOOLEAN, bit, float(bit)
