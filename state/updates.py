"""What an event does to the fixed words of its row: latest values, sequences, streaks and totals."""

from __future__ import annotations

import numpy as np

from state.cells import get, get_byte, get_double, put, put_double
from state.compiled import compiled
from state.habits import unusual_amount, unusual_hour, unusual_pace, unusual_value
from state.log import (
    Memory,
)  # fmt: skip
from state.machine import advance_run
from state.numbers import REST_SCALE, add_128, add_double, multiply_128, multiply_doubles
from state.reads import Step, matches
from state.tables import (
    ADD_CONDITION,
    ADD_TOTALS,
    COUNT_RUN,
    LEARN_AMOUNT,
    LEARN_HOUR,
    LEARN_VALUE,
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
    Tables,
)  # fmt: skip
from state.values import DECIMAL_WORD, OBJECT_WORD, is_less, is_number, number_of, rest_of


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
    elif kind >= LEARN_AMOUNT:
        # nothing reads what was before: instead of the replaced words it is the answer that is kept
        put(step.undone, index, i)
        put_double(step.undo, at, learn_habit(memory, update, step, i, row))
    elif kind == ADD_CONDITION:
        advance_run(memory, tables, update, step, row, get(step.numbers, i * step.period_width + get(update, U_PERIOD)))
        for part in range(get(update, U_COUNT)):
            argument = get(update, U_ARGUMENTS) + 3 * part
            matcher, slot = get(tables.arguments, argument), get(tables.arguments, argument + 1)
            if matches(step, i, matcher >> 6, matcher & 63):
                word = get(step.words, i * step.word_width + slot) if slot >= 0 else 0
                add_to_totals(memory, row, at + 2 + part * TOTALS_WORDS, word, TOTALS_WORDS)


@compiled
def learn_habit(memory: Memory, update: int, step: Step, i: int, row: int) -> float:
    """How unusual an event is for the customer; afterwards the habit knows it. NaN where nothing can be said."""
    at, kind, slot = get(update, U_OFFSET), get(update, U_KIND), get(update, U_SLOT)
    if kind == LEARN_AMOUNT:
        word = get(step.words, i * step.word_width + slot)
        return unusual_amount(row, at, number_of(memory, word) if is_number(memory, word) else np.nan)
    if kind == LEARN_HOUR:
        return unusual_hour(row, at, get(step.numbers, i * step.period_width + get(update, U_PERIOD)))
    if kind == LEARN_VALUE:
        return unusual_value(row, at, get(step.hashes, i * step.hash_width + slot))
    return unusual_pace(row, at, get(step.effective_ms, i))


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
