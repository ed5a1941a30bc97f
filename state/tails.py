"""Running values over a window of a long log: counts, exact sums and sums of squares.

A tail covers the records from ``L_FROM`` to ``L_TO``, which are positions (``state.log.Log``). Reading moves both ends:
it adds what has come and subtracts what the window has left behind, so that every record is added and subtracted once.
"""

from __future__ import annotations

from state.cells import get, put
from state.compiled import compiled
from state.log import Log, Memory, has_bit, lower_bound, time_word
from state.numbers import add_128, multiply_128, negate_128
from state.tables import COUNT, DISTINCT, F_BIT, F_FLAG_BIT, F_FLAG_WORD, F_OP, F_VALUE, F_WORD, STD
from state.values import DECIMAL_WORD, OBJECT_WORD, UNKNOWN, WHOLE, Value, is_number, summary

L_FROM, L_TO, L_COUNT, L_FLOATS, L_HI, L_LO, L_SQUARES_HI, L_SQUARES_LO = range(8)
"""Words of a tail. ``L_FLOATS``: below 2**32 the number of floats, above that of numbers not in the sums."""
_OTHERS = 1 << 32


@compiled
def add_to_tail(memory: Memory, feature: int, tail: int, log: Log, record: int, sign: int) -> None:
    """Add a record to the running values (``sign`` 1) or subtract it (−1)."""
    op = get(feature, F_OP)
    if op == DISTINCT:
        flagged = has_bit(log, record, get(feature, F_FLAG_WORD), get(feature, F_FLAG_BIT))
        put(tail, L_COUNT, get(tail, L_COUNT) + sign * flagged)
        return
    matched = has_bit(log, record, get(feature, F_WORD), get(feature, F_BIT))
    if op == COUNT:
        put(tail, L_COUNT, get(tail, L_COUNT) + sign * matched)
        return
    word = get(log.at, record * log.width + get(feature, F_VALUE))
    if not matched or not is_number(memory, word):
        return
    put(tail, L_COUNT, get(tail, L_COUNT) + sign)
    if word & 7 == OBJECT_WORD:
        put(tail, L_FLOATS, get(tail, L_FLOATS) + sign * _OTHERS)
        return
    if word & 7 == DECIMAL_WORD:
        put(tail, L_FLOATS, get(tail, L_FLOATS) + sign)
    units = sign * (word >> 3)
    hi, lo = add_128(get(tail, L_HI), get(tail, L_LO), units >> 63, units)
    put(tail, L_HI, hi)
    put(tail, L_LO, lo)
    if op == STD:
        hi, lo = multiply_128(units, units)
        if sign < 0:
            hi, lo = negate_128(hi, lo)
        hi, lo = add_128(get(tail, L_SQUARES_HI), get(tail, L_SQUARES_LO), hi, lo)
        put(tail, L_SQUARES_HI, hi)
        put(tail, L_SQUARES_LO, lo)


@compiled
def move_tail(memory: Memory, feature: int, tail: int, log: Log, after_ms: int) -> None:
    """Make a tail cover exactly the records above ``after_ms``."""
    bound = lower_bound(after_ms)
    begin, to = get(tail, L_FROM) - log.base, get(tail, L_TO) - log.base
    while begin < to and time_word(log, begin) < bound:
        add_to_tail(memory, feature, tail, log, begin, -1)
        begin += 1
    if begin == to:
        while begin < log.end and time_word(log, begin) < bound:
            begin += 1
        to = begin
    while to < log.end:
        add_to_tail(memory, feature, tail, log, to, 1)
        to += 1
    while begin > log.first and time_word(log, begin - 1) >= bound:
        begin -= 1
        add_to_tail(memory, feature, tail, log, begin, 1)
    put(tail, L_FROM, begin + log.base)
    put(tail, L_TO, to + log.base)


@compiled
def cut_tail(memory: Memory, feature: int, tail: int, log: Log, fresh: int) -> None:
    """Forget the records before ``fresh``, which are about to be dropped."""
    begin, to = get(tail, L_FROM) - log.base, get(tail, L_TO) - log.base
    while begin < min(to, fresh):
        add_to_tail(memory, feature, tail, log, begin, -1)
        begin += 1
    put(tail, L_FROM, max(begin, fresh) + log.base)
    put(tail, L_TO, max(to, fresh) + log.base)


@compiled
def read_tail(memory: Memory, feature: int, tail: int, log: Log, after_ms: int, skip: int) -> Value:
    """A feature above ``after_ms`` without record ``skip``; ``UNKNOWN`` where some numbers are not in the sums."""
    move_tail(memory, feature, tail, log, after_ms)
    own = skip >= 0 and skip + log.base >= get(tail, L_FROM)
    if own:
        add_to_tail(memory, feature, tail, log, skip, -1)
    n, floats, op = get(tail, L_COUNT), get(tail, L_FLOATS), get(feature, F_OP)
    if op == COUNT or op == DISTINCT:
        value = WHOLE, n, float(n)
    elif floats >= _OTHERS:
        value = UNKNOWN, 0, 0.0
    else:
        value = summary(
            op, n, floats, get(tail, L_HI), get(tail, L_LO), get(tail, L_SQUARES_HI), get(tail, L_SQUARES_LO)
        )
    if own:
        add_to_tail(memory, feature, tail, log, skip, 1)
    return value
