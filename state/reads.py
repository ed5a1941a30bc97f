"""Reads a feature of one row, as of one event or tick.

The event has been added before: features that look at what came strictly before it skip its record, or read the
words that it replaced (``Step.undo``). A log of up to ``LONG_LOG`` records is scanned from its end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from state.cells import get, get_byte, get_double
from state.compiled import compiled
from state.log import TIME_SHIFT, Memory, bounds
from state.numbers import (
    REST_SCALE,
    add_128,
    add_double,
    deviation_of_doubles,
    deviation_of_units,
    multiply_128,
    multiply_doubles,
    sum_value,
)
from state.tables import (
    COUNT, DISTINCT, FEATURE_COLUMNS, F_BIT, F_FLAG_BIT, F_FLAG_WORD, F_HEADER, F_MATCH_BIT, F_MATCH_WORD, F_OP, F_PERIOD, F_SIZE_MS,
    F_SLOT, F_STREAM, F_VALUE, F_WINDOW, F_WORD, MAX, MEAN, MIN, NOVEL, PRIOR_WINDOW, STD, SUM, T_DOUBLE_SQUARES,
    T_DOUBLE_SQUARES_LOW, T_DOUBLES, T_DOUBLES_LOW, T_FLOATS, T_HI, T_HIGHEST, T_LO, T_LOWEST, T_MATCHES, T_NUMBERS,
    T_REST, T_REST_LOW, T_SQUARES_HI, T_SQUARES_LO, THIS_WINDOW, TOTAL_COUNT, TOTAL_MAX, TOTAL_MIN, TOTAL_STD,
    TOTAL_SUM, Tables,
)  # fmt: skip

NULL, WHOLE, NUMBER, BOOLEAN, OBJECT, BIG_WHOLE, UNKNOWN = range(7)
"""Kinds of values: an int64, a double, 0 or 1, the number of an object, an integer beyond int64 (a double and what it
lacks), and what the kernels cannot tell."""

NULL_WORD, WHOLE_WORD, DECIMAL_WORD, BOOLEAN_WORD, OBJECT_WORD = range(5)
"""Kinds of scalar words (``state.words``)."""

_SCALE = 10_000
_FLOATS = 0xFFFFFFFF
"""``T_FLOATS``: below 2**32 the number of floats, above the number of those that are no multiples of 1/10,000."""

Value = tuple[int, int, float]
"""Kind, integer, double: the double holds the value of every number."""


class Step(NamedTuple):
    """Addresses of the columns of some events of one shard, in processing order, and their widths.

    ``numbers`` and ``starts``: the number and the start of each kind of calendar period at the event's effective time.
    ``undo``, ``undone``: the fixed words that the event at hand has replaced, and by update the event that did.
    ``cached``, …: by feature, the event for which it was read last, and its value. ``stack_…``: room for
    ``state.machine``.
    """

    effective_ms: int
    ts_ms: int
    stream: int
    signature: int
    masks: int
    mask_width: int
    words: int
    word_width: int
    hashes: int
    hash_width: int
    rows: int
    numbers: int
    starts: int
    period_width: int
    undo: int
    undone: int
    cached: int
    cached_kind: int
    cached_integer: int
    cached_double: int
    entity_kind: int
    entity_integer: int
    entity_double: int
    entity_width: int
    stack_kinds: int
    stack_numbers: int


@compiled
def row_address(memory: Memory, row: int) -> int:
    """Where a row's fixed words begin."""
    return memory.fixed + 8 * row * memory.row_words


@compiled
def feature_address(tables: Tables, index: int) -> int:
    """Where a feature's columns begin."""
    return tables.features + 8 * FEATURE_COLUMNS * index


@compiled
def matches(step: Step, i: int, word: int, bit: int) -> int:
    """Whether an event matches a matcher, 0 or 1."""
    return (get(step.masks, i * step.mask_width + word) >> bit) & 1


@compiled
def word_value(memory: Memory, word: int) -> Value:
    """A scalar word as a value."""
    kind = word & 7
    payload = word >> 3
    if kind == WHOLE_WORD:
        integer = payload // _SCALE
        return WHOLE, integer, float(integer)
    if kind == DECIMAL_WORD:
        return NUMBER, 0, payload / _SCALE
    if kind == BOOLEAN_WORD:
        return BOOLEAN, payload, float(payload)
    if kind == OBJECT_WORD:
        return OBJECT, payload, get_double(memory.object_numbers, payload)
    return NULL, 0, 0.0


@compiled
def is_number(memory: Memory, word: int) -> bool:
    """Whether a scalar word is a number."""
    kind = word & 7
    if kind == OBJECT_WORD:
        return not np.isnan(get_double(memory.object_numbers, word >> 3))
    return kind == WHOLE_WORD or kind == DECIMAL_WORD


@compiled
def number_of(memory: Memory, word: int) -> float:
    """The value of a number as a double."""
    return get_double(memory.object_numbers, word >> 3) if word & 7 == OBJECT_WORD else (word >> 3) / _SCALE


@compiled
def rest_of(memory: Memory, word: int) -> float:
    """What ``number_of`` lost."""
    return get_double(memory.object_rests, word >> 3) if word & 7 == OBJECT_WORD else 0.0


@compiled
def is_less(memory: Memory, a: int, b: int) -> bool:
    """``a < b`` of two words that are numbers."""
    if a & 7 != OBJECT_WORD and b & 7 != OBJECT_WORD:
        return (a >> 3) < (b >> 3)
    x, y = number_of(memory, a), number_of(memory, b)
    return x < y or (x == y and rest_of(memory, a) < rest_of(memory, b))


@compiled
def sum_result(floats: int, hi: int, lo: int, rest: float, rest_low: float) -> Value:
    """A sum, an integer where no float went in."""
    value = sum_value(hi, lo, rest, rest_low)
    if floats == 0:
        if rest == 0.0 and hi == lo >> 63:
            return WHOLE, lo // _SCALE, float(lo // _SCALE)
        if not np.isfinite(value):
            return NULL, 0, 0.0
        if hi != lo >> 63:
            return BIG_WHOLE, 0, value
        high, low = add_double(rest, rest_low, float(lo // _SCALE) * REST_SCALE)
        high, low = high / REST_SCALE, low / REST_SCALE
        if abs(high) < 9e18:
            whole = np.int64(high) + np.int64(low)
            return WHOLE, whole, float(whole)
        return BIG_WHOLE, np.int64(low) if abs(low) < 9e18 else 0, high
    return (NUMBER, 0, value) if np.isfinite(value) else (NULL, 0, 0.0)


@compiled
def window_start(feature: int, step: Step, i: int, t_ms: int) -> int:
    """The exclusive lower bound of a feature's window."""
    if get(feature, F_WINDOW) == THIS_WINDOW:
        return get(step.starts, max(i, 0) * step.period_width + get(feature, F_PERIOD)) - 1
    return t_ms - get(feature, F_SIZE_MS)


@compiled
def read_count(memory: Memory, offset: int, first: int, end: int, width: int, word: int, bit: int, after_ms: int,
               skip: int) -> int:  # fmt: skip
    """The number of records above ``after_ms`` that have a bit, without record ``skip``."""
    pool = memory.pool
    bound = (after_ms + 1) << TIME_SHIFT
    n = 0
    at = offset + (end - 1) * width
    low = offset + first * width
    if word == 0:
        while at >= low and get(pool, at) >= bound:
            n += (get(pool, at) >> bit) & 1
            at -= width
    else:
        while at >= low and get(pool, at) >= bound:
            n += (get(pool, at + word) >> bit) & 1
            at -= width
    if skip >= first and get(pool, offset + skip * width) >= bound:
        n -= (get(pool, offset + skip * width + word) >> bit) & 1
    return n


@compiled
def read_numbers(memory: Memory, feature: int, offset: int, first: int, end: int, width: int, after_ms: int,
                 skip: int) -> Value:  # fmt: skip
    """``sum``, ``mean``, ``std``, ``min`` or ``max`` over the records above ``after_ms``."""
    pool = memory.pool
    word, bit, value, op = get(feature, F_WORD), get(feature, F_BIT), get(feature, F_VALUE), get(feature, F_OP)
    bound = (after_ms + 1) << TIME_SHIFT
    n, floats, hi, lo, q_hi, q_lo = 0, 0, 0, 0, 0, 0
    rest, rest_low = 0.0, 0.0
    doubles = False
    extreme = 0
    at = offset + end * width
    low = offset + first * width
    skipped = offset + skip * width
    while at > low:
        at -= width
        if get(pool, at) < bound:
            break
        if not (get(pool, at + word) >> bit) & 1 or (skip >= 0 and at == skipped):
            continue
        x = get(pool, at + value)
        if not is_number(memory, x):
            continue
        if op == MIN or op == MAX:
            # going backwards, the earliest of equal ones stays
            if n == 0 or not (is_less(memory, extreme, x) if op == MIN else is_less(memory, x, extreme)):
                extreme = x
            n += 1
            continue
        n += 1
        if x & 7 == OBJECT_WORD:
            doubles = True
            floats += 0 if get_byte(memory.object_whole, x >> 3) else 1
            rest, rest_low = add_double(rest, rest_low, get_double(memory.object_numbers, x >> 3) * REST_SCALE)
            rest, rest_low = add_double(rest, rest_low, get_double(memory.object_rests, x >> 3) * REST_SCALE)
            continue
        units = x >> 3
        floats += 1 if x & 7 == DECIMAL_WORD else 0
        hi, lo = add_128(hi, lo, units >> 63, units)
        if op == STD:
            u_hi, u_lo = multiply_128(units, units)
            q_hi, q_lo = add_128(q_hi, q_lo, u_hi, u_lo)
    if op == MIN or op == MAX:
        if n == 0:
            return NULL, 0, 0.0
        return word_value(memory, extreme)
    if n == 0:
        return (WHOLE, 0, 0.0) if op == SUM else (NULL, 0, 0.0)
    if op == SUM:
        return sum_result(floats, hi, lo, rest, rest_low)
    if op == MEAN:
        mean = sum_value(hi, lo, rest, rest_low)
        return (NUMBER, 0, mean / n) if np.isfinite(mean) else (NULL, 0, 0.0)
    if doubles:
        return spread_of_doubles(memory, feature, offset, first, end, width, bound, skip)
    return NUMBER, 0, deviation_of_units(n, hi, lo, q_hi, q_lo)


@compiled
def spread_of_doubles(memory: Memory, feature: int, offset: int, first: int, end: int, width: int, bound: int,
                      skip: int) -> Value:  # fmt: skip
    """``std`` where some numbers are no multiples of 1/10,000."""
    pool = memory.pool
    n = 0
    total, total_low, squares, squares_low = 0.0, 0.0, 0.0, 0.0
    for record in range(first, end):
        at = offset + record * width
        if get(pool, at) < bound or record == skip or not (get(pool, at + get(feature, F_WORD)) >> get(feature, F_BIT)) & 1:
            continue
        if not is_number(memory, get(pool, at + get(feature, F_VALUE))):
            continue
        x = number_of(memory, get(pool, at + get(feature, F_VALUE)))
        n += 1
        total, total_low = add_double(total, total_low, x)
        square, square_low = multiply_doubles(x, x)
        squares, squares_low = add_double(squares, squares_low, square)
        squares, squares_low = add_double(squares, squares_low, square_low)
    value = deviation_of_doubles(n, total, total_low, squares, squares_low)
    return (NUMBER, 0, value) if np.isfinite(value) else (NULL, 0, 0.0)


@compiled
def is_novel(memory: Memory, feature: int, step: Step, i: int, offset: int, first: int, end: int, width: int,
             after_ms: int, skip: int) -> bool:  # fmt: skip
    """Whether the event matches and no other record above ``after_ms`` has its value."""
    if i < 0 or not matches(step, i, get(feature, F_MATCH_WORD), get(feature, F_MATCH_BIT)):
        return False
    hashed = get(step.hashes, i * step.hash_width + get(feature, F_SLOT))
    if hashed == 0:
        return False
    pool = memory.pool
    bound = (after_ms + 1) << TIME_SHIFT
    for record in range(end - 1, first - 1, -1):
        at = offset + record * width
        if get(pool, at) < bound:
            break
        if get(pool, at + get(feature, F_VALUE)) == hashed and (get(pool, at + get(feature, F_WORD)) >> get(feature, F_BIT)) & 1 and record != skip:
            return False
    return True


@compiled
def read_windowed(memory: Memory, tables: Tables, feature: int, step: Step, i: int, row: int, t_ms: int,
                  own_record: int) -> Value:  # fmt: skip
    """A feature over a log. ``own_record``: the record of the event at hand, −1 for none."""
    offset, first, end = bounds(memory, row, get(feature, F_HEADER))
    width = get(tables.log_words, get(feature, F_STREAM))
    after_ms = window_start(feature, step, i, t_ms)
    own = i >= 0 and get_byte(step.stream, i) == get(feature, F_STREAM)
    skip = own_record if own and get(feature, F_WINDOW) == PRIOR_WINDOW else -1
    op = get(feature, F_OP)
    if op == COUNT:
        n = read_count(memory, offset, first, end, width, get(feature, F_WORD), get(feature, F_BIT), after_ms, skip)
        return WHOLE, n, float(n)
    if op == NOVEL:
        novel = is_novel(memory, feature, step, i, offset, first, end, width, after_ms, skip)
        return BOOLEAN, 1 if novel else 0, 1.0 if novel else 0.0
    if op == DISTINCT:
        n = read_count(memory, offset, first, end, width, get(feature, F_FLAG_WORD), get(feature, F_FLAG_BIT), after_ms, -1)
        if skip >= 0 and is_only_one(memory, feature, offset, first, end, width, after_ms, skip):
            n -= 1
        return WHOLE, n, float(n)
    return read_numbers(memory, feature, offset, first, end, width, after_ms, skip)


@compiled
def is_only_one(memory: Memory, feature: int, offset: int, first: int, end: int, width: int, after_ms: int,
                own: int) -> bool:  # fmt: skip
    """Whether a record has a value that no other record above ``after_ms`` has."""
    pool = memory.pool
    bound = (after_ms + 1) << TIME_SHIFT
    at = offset + own * width
    hashed = get(pool, at + get(feature, F_VALUE))
    if get(pool, at) < bound or hashed == 0 or not (get(pool, at + get(feature, F_WORD)) >> get(feature, F_BIT)) & 1:
        return False
    for record in range(end - 1, first - 1, -1):
        at = offset + record * width
        if get(pool, at) < bound:
            break
        if record != own and get(pool, at + get(feature, F_VALUE)) == hashed and (get(pool, at + get(feature, F_WORD)) >> get(feature, F_BIT)) & 1:
            return False
    return True


@compiled
def read_totals(memory: Memory, row: int, at: int, op: int) -> Value:
    """An aggregate without a window."""
    if op == TOTAL_COUNT:
        return WHOLE, get(row, at + T_MATCHES), float(get(row, at + T_MATCHES))
    if op == TOTAL_MIN:
        return word_value(memory, get(row, at + T_LOWEST))
    if op == TOTAL_MAX:
        return word_value(memory, get(row, at + T_HIGHEST))
    n = get(row, at + T_NUMBERS)
    if n == 0:
        return (WHOLE, 0, 0.0) if op == TOTAL_SUM else (NULL, 0, 0.0)
    hi, lo, rest, rest_low = get(row, at + T_HI), get(row, at + T_LO), get_double(row, at + T_REST), get_double(row, at + T_REST_LOW)
    if op == TOTAL_SUM:
        return sum_result(get(row, at + T_FLOATS) & _FLOATS, hi, lo, rest, rest_low)
    if op == TOTAL_STD:
        if get(row, at + T_FLOATS) <= _FLOATS:
            return NUMBER, 0, deviation_of_units(n, hi, lo, get(row, at + T_SQUARES_HI), get(row, at + T_SQUARES_LO))
        value = deviation_of_doubles(
            n, get_double(row, at + T_DOUBLES), get_double(row, at + T_DOUBLES_LOW), get_double(row, at + T_DOUBLE_SQUARES),
            get_double(row, at + T_DOUBLE_SQUARES_LOW),
        )  # fmt: skip
    else:
        value = sum_value(hi, lo, rest, rest_low) / n
    return (NUMBER, 0, value) if np.isfinite(value) else (NULL, 0, 0.0)
