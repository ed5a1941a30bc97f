"""Scalar words and results as the kernels see them: kinds, order, and sums as values."""

from __future__ import annotations

import numpy as np

from state.cells import get_double
from state.compiled import compiled
from state.log import Memory
from state.numbers import REST_SCALE, add_double, deviation_of_units, divide_128, negate_128, sum_value
from state.tables import FEATURE_COLUMNS, MEAN, SUM, Tables

NULL, WHOLE, NUMBER, BOOLEAN, OBJECT, BIG_WHOLE, UNKNOWN = range(7)
"""Kinds of values: an int64, a double, 0 or 1, the number of an object, an integer beyond int64 (a double and what it
lacks), and what the kernels cannot tell."""

NULL_WORD, WHOLE_WORD, DECIMAL_WORD, BOOLEAN_WORD, OBJECT_WORD = range(5)
"""Kinds of scalar words (``state.words``)."""

_SCALE = 10_000

Value = tuple[int, int, float]
"""Kind, integer, double: the double holds the value of every number."""


@compiled
def feature_address(tables: Tables, index: int) -> int:
    """Where a feature's columns begin."""
    return tables.features + 8 * FEATURE_COLUMNS * index


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
        if rest == 0.0:
            a_hi, a_lo = negate_128(hi, lo) if hi < 0 else (hi, lo)
            whole_hi, whole, _ = divide_128(a_hi, a_lo)
            if whole_hi == 0 and whole >= 0:
                return WHOLE, -whole if hi < 0 else whole, value
        if not np.isfinite(value):
            return NULL, 0, 0.0
        if hi != lo >> 63:
            return BIG_WHOLE, 0, value
        high, low = add_double(rest, rest_low, float(lo // _SCALE) * REST_SCALE)
        high, low = high / REST_SCALE, low / REST_SCALE
        if abs(high) < 9e18:
            whole = int(high) + int(low)
            return WHOLE, whole, float(whole)
        return BIG_WHOLE, int(low) if abs(low) < 9e18 else 0, high
    return (NUMBER, 0, value) if np.isfinite(value) else (NULL, 0, 0.0)


@compiled
def summary(op: int, n: int, floats: int, hi: int, lo: int, squares_hi: int, squares_lo: int) -> Value:
    """``sum``, ``mean`` or ``std`` of ``n`` multiples of 1/10,000 from their exact sums."""
    if n == 0:
        return (WHOLE, 0, 0.0) if op == SUM else (NULL, 0, 0.0)
    if op == SUM:
        return sum_result(floats, hi, lo, 0.0, 0.0)
    if op == MEAN:
        return NUMBER, 0, sum_value(hi, lo, 0.0, 0.0) / n
    return NUMBER, 0, deviation_of_units(n, hi, lo, squares_hi, squares_lo)
