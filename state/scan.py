"""Reads windows by going through a log from its end: for short logs, and for what an index cannot tell."""

from __future__ import annotations

import numpy as np

from state.cells import get, get_byte, get_double
from state.compiled import compiled
from state.log import Log, Memory, has_bit, lower_bound, time_word
from state.numbers import (
    REST_SCALE, add_128, add_double, deviation_of_doubles, multiply_128, multiply_doubles, sum_value,
)  # fmt: skip
from state.tables import COUNT, F_BIT, F_FLAG_BIT, F_FLAG_WORD, F_OP, F_VALUE, F_WORD, MAX, MEAN, MIN, STD, SUM
from state.values import (
    DECIMAL_WORD, NULL, NUMBER, OBJECT_WORD, Value, is_less, is_number, number_of, sum_result, summary, word_value,
)  # fmt: skip


@compiled
def scan_count(feature: int, log: Log, after_ms: int, skip: int) -> int:
    """The records above ``after_ms`` that match (or are flagged, for ``distinct``), without record ``skip``."""
    counts = get(feature, F_OP) == COUNT
    word, bit = get(feature, F_WORD if counts else F_FLAG_WORD), get(feature, F_BIT if counts else F_FLAG_BIT)
    bound = lower_bound(after_ms)
    n = 0
    at = (log.end - 1) * log.width
    low = log.first * log.width
    while at >= low and get(log.at, at) >= bound:
        n += (get(log.at, at + word) >> bit) & 1
        at -= log.width
    if skip >= log.first and time_word(log, skip) >= bound:
        n -= has_bit(log, skip, word, bit)
    return n


@compiled
def scan_numbers(memory: Memory, feature: int, log: Log, after_ms: int, skip: int) -> Value:
    """``sum``, ``mean`` or ``std`` over the records above ``after_ms``."""
    word, bit, value, op = get(feature, F_WORD), get(feature, F_BIT), get(feature, F_VALUE), get(feature, F_OP)
    bound = lower_bound(after_ms)
    n, floats, hi, lo, q_hi, q_lo = 0, 0, 0, 0, 0, 0
    rest, rest_low = 0.0, 0.0
    doubles = False
    at = log.end * log.width
    low = log.first * log.width
    skipped = skip * log.width
    while at > low:
        at -= log.width
        if get(log.at, at) < bound:
            break
        if not (get(log.at, at + word) >> bit) & 1 or (skip >= 0 and at == skipped):
            continue
        x = get(log.at, at + value)
        if not is_number(memory, x):
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
    if not doubles:
        return summary(op, n, floats, hi, lo, q_hi, q_lo)
    if op == SUM:
        return sum_result(floats, hi, lo, rest, rest_low)
    if op == MEAN:
        mean = sum_value(hi, lo, rest, rest_low)
        return (NUMBER, 0, mean / n) if np.isfinite(mean) else (NULL, 0, 0.0)
    return spread_of_doubles(memory, feature, log, bound, skip)


@compiled
def spread_of_doubles(memory: Memory, feature: int, log: Log, bound: int, skip: int) -> Value:
    """``std`` where some numbers are no multiples of 1/10,000."""
    n = 0
    total, total_low, squares, squares_low = 0.0, 0.0, 0.0, 0.0
    for record in range(log.first, log.end):
        if time_word(log, record) < bound or record == skip:
            continue
        if not has_bit(log, record, get(feature, F_WORD), get(feature, F_BIT)):
            continue
        word = get(log.at, record * log.width + get(feature, F_VALUE))
        if not is_number(memory, word):
            continue
        x = number_of(memory, word)
        n += 1
        total, total_low = add_double(total, total_low, x)
        square, square_low = multiply_doubles(x, x)
        squares, squares_low = add_double(squares, squares_low, square)
        squares, squares_low = add_double(squares, squares_low, square_low)
    value = deviation_of_doubles(n, total, total_low, squares, squares_low)
    return (NUMBER, 0, value) if np.isfinite(value) else (NULL, 0, 0.0)


@compiled
def scan_extreme(memory: Memory, feature: int, log: Log, after_ms: int, skip: int) -> Value:
    """``min`` or ``max`` over the records above ``after_ms``; of equal numbers the earliest."""
    bound = lower_bound(after_ms)
    lowest = get(feature, F_OP) == MIN
    found, extreme = False, 0
    for record in range(log.end - 1, log.first - 1, -1):
        if time_word(log, record) < bound:
            break
        if record == skip or not has_bit(log, record, get(feature, F_WORD), get(feature, F_BIT)):
            continue
        x = get(log.at, record * log.width + get(feature, F_VALUE))
        if not is_number(memory, x):
            continue
        if not found or not (is_less(memory, extreme, x) if lowest else is_less(memory, x, extreme)):
            extreme = x
        found = True
    return word_value(memory, extreme) if found else (NULL, 0, 0.0)


@compiled
def scan_seen(feature: int, log: Log, after_ms: int, skip: int, hashed: int) -> bool:
    """Whether a matching record above ``after_ms`` has a value, without record ``skip``."""
    bound = lower_bound(after_ms)
    word, bit, value = get(feature, F_WORD), get(feature, F_BIT), get(feature, F_VALUE)
    for record in range(log.end - 1, log.first - 1, -1):
        if time_word(log, record) < bound:
            break
        if record != skip and get(log.at, record * log.width + value) == hashed and has_bit(log, record, word, bit):
            return True
    return False
