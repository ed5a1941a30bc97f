"""Reads a feature of one row, as of one event or tick.

The event has been added before: features that look at what came strictly before it skip its record, or read the
words that it replaced (``Step.undo``). A short log is scanned from its end, a long one has an
index (``state.long_log``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from state.cells import get, get_byte, get_double
from state.compiled import compiled
from state.log import Log, Memory, has_bit, log_of, lower_bound, time_word
from state.long_log import read_indexed
from state.numbers import deviation_of_doubles, deviation_of_units, sum_value
from state.scan import scan_count, scan_extreme, scan_numbers, scan_seen
from state.tables import (
    COUNT,
    DISTINCT,
    F_BIT,
    F_HEADER,
    F_LATEST,
    F_MATCH_BIT,
    F_MATCH_WORD,
    F_OP,
    F_PERIOD,
    F_SIZE_MS,
    F_SLOT,
    F_STREAM,
    F_VALUE,
    F_WINDOW,
    F_WORD,
    MAX,
    MIN,
    NOVEL,
    PRIOR_WINDOW,
    T_DOUBLE_SQUARES,
    T_DOUBLE_SQUARES_LOW,
    T_DOUBLES,
    T_DOUBLES_LOW,
    T_FLOATS,
    T_HI,
    T_HIGHEST,
    T_LO,
    T_LOWEST,
    T_MATCHES,
    T_NUMBERS,
    T_REST,
    T_REST_LOW,
    T_SQUARES_HI,
    T_SQUARES_LO,
    THIS_WINDOW,
    TOTAL_COUNT,
    TOTAL_MAX,
    TOTAL_MIN,
    TOTAL_STD,
    TOTAL_SUM,
    Tables,
)  # fmt: skip
from state.value_index import seen_in_index
from state.values import (
    BIG_WHOLE,
    BOOLEAN,
    NULL,
    NUMBER,
    OBJECT,
    UNKNOWN,
    WHOLE,
    Value,
    feature_address,
    sum_result,
    word_value,
)  # fmt: skip

__all__ = [
    "BIG_WHOLE", "BOOLEAN", "NULL", "NUMBER", "OBJECT", "UNKNOWN", "WHOLE", "Step", "Value", "feature_address",
    "habit_value", "matches",
    "read_totals", "read_windowed", "row_address", "word_value",
]  # fmt: skip

_FLOATS = 0xFFFFFFFF
"""``T_FLOATS``: below 2**32 the number of floats, above the number of those that are no multiples of 1/10,000."""


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
def matches(step: Step, i: int, word: int, bit: int) -> int:
    """Whether an event matches a matcher, 0 or 1."""
    return (get(step.masks, i * step.mask_width + word) >> bit) & 1


@compiled
def window_start(feature: int, step: Step, i: int, t_ms: int) -> int:
    """The exclusive lower bound of a feature's window."""
    if get(feature, F_WINDOW) == THIS_WINDOW:
        return get(step.starts, max(i, 0) * step.period_width + get(feature, F_PERIOD)) - 1
    return t_ms - get(feature, F_SIZE_MS)


@compiled
def read_windowed(memory: Memory, tables: Tables, feature: int, step: Step, i: int, row: int, t_ms: int,
                  own_record: int) -> Value:  # fmt: skip
    """A feature over a log. ``own_record``: the record of the event at hand, −1 for none."""
    log = log_of(memory, row, get(feature, F_HEADER), get(tables.log_words, get(feature, F_STREAM)))
    after_ms = window_start(feature, step, i, t_ms)
    own = i >= 0 and get_byte(step.stream, i) == get(feature, F_STREAM)
    skip = own_record if own and get(feature, F_WINDOW) == PRIOR_WINDOW else -1
    op = get(feature, F_OP)
    if op == NOVEL:
        hashed = 0
        if i >= 0 and matches(step, i, get(feature, F_MATCH_WORD), get(feature, F_MATCH_BIT)):
            hashed = get(step.hashes, i * step.hash_width + get(feature, F_SLOT))
        novel = hashed != 0 and not seen(memory, feature, log, after_ms, skip, hashed)
        return BOOLEAN, 1 if novel else 0, 1.0 if novel else 0.0
    # as counts of flagged records are: one fewer where the event at hand alone has its value
    less = 1 if op == DISTINCT and skip >= 0 and is_only_one(memory, feature, log, after_ms, skip) else 0
    if op == DISTINCT:
        skip = -1
    if log.index_at:
        value = read_indexed(memory, feature, log, after_ms, skip)
        if value[0] != UNKNOWN:
            return value[0], value[1] - less, value[2] - less
    if op == COUNT or op == DISTINCT:
        n = scan_count(feature, log, after_ms, skip) - less
        return WHOLE, n, float(n)
    if op == MIN or op == MAX:
        return scan_extreme(memory, feature, log, after_ms, skip)
    return scan_numbers(memory, feature, log, after_ms, skip)


@compiled
def seen(memory: Memory, feature: int, log: Log, after_ms: int, skip: int, hashed: int) -> bool:
    """Whether a matching record above ``after_ms`` has a value, without record ``skip``."""
    if log.index_at:
        return seen_in_index(memory, log, log.index_at + 8 * get(feature, F_LATEST), after_ms, skip, hashed)
    return scan_seen(feature, log, after_ms, skip, hashed)


@compiled
def is_only_one(memory: Memory, feature: int, log: Log, after_ms: int, own: int) -> bool:
    """Whether a record above ``after_ms`` has a value that no other one has."""
    hashed = get(log.at, own * log.width + get(feature, F_VALUE))
    if time_word(log, own) < lower_bound(after_ms) or hashed == 0:
        return False
    return bool(has_bit(log, own, get(feature, F_WORD), get(feature, F_BIT))) and not seen(
        memory, feature, log, after_ms, own, hashed
    )


@compiled
def habit_value(step: Step, i: int, update: int, at: int) -> Value:
    """How unusual the event at hand was when it was learned from; null if it was not."""
    if i < 0 or get(step.undone, update) != i:
        return NULL, 0, 0.0
    value = get_double(step.undo, at)
    return (NUMBER, 0, value) if np.isfinite(value) else (NULL, 0, 0.0)


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
    hi, lo, rest, rest_low = (
        get(row, at + T_HI),
        get(row, at + T_LO),
        get_double(row, at + T_REST),
        get_double(row, at + T_REST_LOW),
    )
    if op == TOTAL_SUM:
        return sum_result(get(row, at + T_FLOATS) & _FLOATS, hi, lo, rest, rest_low)
    if op == TOTAL_STD:
        if get(row, at + T_FLOATS) <= _FLOATS:
            return NUMBER, 0, deviation_of_units(n, hi, lo, get(row, at + T_SQUARES_HI), get(row, at + T_SQUARES_LO))
        value = deviation_of_doubles(
            n, get_double(row, at + T_DOUBLES), get_double(row, at + T_DOUBLES_LOW), get_double(row,
                                                                                                at + T_DOUBLE_SQUARES),
            get_double(row, at + T_DOUBLE_SQUARES_LOW),
        )  # fmt: skip
    else:
        value = sum_value(hi, lo, rest, rest_low) / n
    return (NUMBER, 0, value) if np.isfinite(value) else (NULL, 0, 0.0)
