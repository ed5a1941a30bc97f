"""The stack machine's operations on values: what of a program needs no event."""

from __future__ import annotations

import numpy as np

from state.cells import get, get_double, put, put_double
from state.compiled import compiled
from state.reads import (
    BIG_WHOLE,
    BOOLEAN,
    NULL,
    NUMBER,
    OBJECT,
    UNKNOWN,
    WHOLE,
    Value,
)  # fmt: skip
from state.tables import (
    Tables,
)  # fmt: skip

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
def to_operand(value: Value, tables: Tables) -> tuple[int, float]:
    """A value as the machine holds it."""
    kind, _, number = value
    if kind == WHOLE or kind == NUMBER:
        return (NUMBER, number) if abs(number) <= _EXACT or tables.approximate else (UNKNOWN, 0.0)
    if kind == NULL or kind == BOOLEAN:
        return kind, number
    if tables.approximate and (kind == OBJECT or kind == BIG_WHOLE) and np.isfinite(number):
        return NUMBER, number
    return UNKNOWN, 0.0
