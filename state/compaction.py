"""Gives back the memory of what no rule can see any more.

``compact`` writes a pool anew: without the records that no window reaches, and each log in a block that fits.
``find_idle`` finds rows that are as good as new. Both look at a time that every later event and timer is at or after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from state.cells import get, get_byte, put, put_byte
from state.compiled import compiled
from state.log import POOL_FREE, POOL_USED, Memory, Words, bounds, log_of, size_class, stale_end
from state.machine import advance_run, condition_holds
from state.reads import Step, row_address
from state.tables import (
    ADD_CONDITION,
    ADD_TOTALS,
    COUNT_RUN,
    F_SIZE_MS,
    F_UPDATE,
    FRONT_WORDS,
    HAS_PROFILE,
    R_FLAGS,
    SET_LATEST,
    STEP_SEQUENCE,
    STREAMS,
    T_HIGHEST,
    T_LOWEST,
    TOTALS_WORDS,
    U_KIND,
    U_LENGTH,
    U_OFFSET,
    U_PERIOD,
    U_SLOT,
    UPDATE_COLUMNS,
    Tables,
)  # fmt: skip
from state.words import KIND_BITS, KIND_MASK, OBJECT

DAY_MS = 86_400_000
_FEW_WORDS = 16_384
"""A pool of at most so many words is not worth the trouble before its time."""


class CompactionClock:
    """Says when a pool is to be compacted.

    Parameters
    ----------
    after_ms
        At the latest when event time has gone on by this; 0 for at every opportunity.
    """

    def __init__(self, after_ms: int) -> None:
        self._after_ms = after_ms
        self._last_ms: int | None = None
        self.words_left = 0
        """Words in use after the last compaction; the caller notes them."""

    def is_due(self, now_ms: int, pool_counters: Words) -> bool:
        """Whether it is time; if so, the caller has to do it."""
        if self._last_ms is None:
            self._last_ms = now_ms
        used, free = int(pool_counters[POOL_USED]), int(pool_counters[POOL_FREE])
        # a pool that one long log fills is a quarter free again as soon as that log grows
        worth_it = used > max(_FEW_WORDS, 2 * self.words_left) and 4 * free > used
        if not worth_it and now_ms < self._last_ms + self._after_ms:
            return False
        self._last_ms = now_ms
        return True


def sequence_reach(features: Words, updates: Words) -> Words:
    """By update, the longest time that a sequence may take; 0 for other updates."""
    reach = np.zeros(max(1, len(updates)), np.int64)
    for feature in features:
        if feature[F_UPDATE] >= 0 and updates[feature[F_UPDATE], U_KIND] == STEP_SEQUENCE:
            reach[feature[F_UPDATE]] = max(reach[feature[F_UPDATE]], feature[F_SIZE_MS])
    return reach


def scalar_words(updates: Words, profile: Sequence[int]) -> Words:
    """The fixed words of a row that hold scalars. ``profile``: the table of what is kept of profiles."""
    places = [profile[0] + (profile[1] + 63 >> 6) + slot for slot in range(profile[2])]
    for update in updates.tolist():
        kind, at, length = update[U_KIND], update[U_OFFSET], update[U_LENGTH]
        if kind == SET_LATEST and update[U_SLOT] >= 0:
            places.append(at)
        elif kind == ADD_TOTALS and length > 1:
            places += [at + T_LOWEST, at + T_HIGHEST]
        elif kind == ADD_CONDITION:
            totals = range(at + 2, at + length, TOTALS_WORDS)
            places += [first + word for first in totals for word in (T_LOWEST, T_HIGHEST)]
    return np.array([len(places), *places], np.int64)


@compiled
def renumber_objects(memory: Memory, tables: Tables, rows: int, scalars: int, dated: int, numbers: int,
                     used: int) -> None:  # fmt: skip
    """Note which objects the scalars of all rows hold, or give them new numbers.

    ``scalars``: their number and the fixed words. ``dated``: a byte by column of holdings, other than 0 for a date.
    ``numbers``: by object the new number; 0 for none of this, but to set the bytes ``used`` of the objects.
    """
    for number in range(rows):
        row = row_address(memory, number)
        for scalar in range(1, 1 + get(scalars, 0)):
            renumber_object(row, get(scalars, scalar), numbers, used)
        for stream in range(STREAMS):
            width = get(tables.log_words, stream)
            if width == 0:
                continue
            offset, first, end = bounds(memory, row, get(tables.log_header, stream))
            for column in range(tables.log_slot_width):
                if get(tables.log_slots, stream * tables.log_slot_width + column) < 0:
                    break
                at = offset + 1 + get(tables.log_extra, stream) + column
                for record in range(first, end):
                    renumber_object(memory.pool, at + record * width, numbers, used)
        if tables.holding_width:
            at = get(row, tables.holdings_header) >> 8
            for word in range(get(row, tables.holdings_header + 1) * tables.holding_width):
                if not get_byte(dated, word % tables.holding_width):
                    renumber_object(memory.pool, at + word, numbers, used)


@compiled
def renumber_object(base: int, at: int, numbers: int, used: int) -> None:
    """Note the object of one scalar word, if it is one, or renumber it."""
    word = get(base, at)
    if word & KIND_MASK != OBJECT:
        return
    if numbers == 0:
        put_byte(used, word >> KIND_BITS, 1)
    else:
        put(base, at, get(numbers, word >> KIND_BITS) << KIND_BITS | OBJECT)


@compiled
def compact(memory: Memory, tables: Tables, rows: int, now_ms: int, to: int) -> int:
    """Move the logs and holdings of all rows to a pool at address ``to``; returns the words used there.

    There must be room for as many words as are in use and not free.
    """
    used = 1  # offset 0 stands for no block
    for number in range(rows):
        row = row_address(memory, number)
        for stream in range(STREAMS):
            width, header = get(tables.log_words, stream), get(tables.log_header, stream)
            if width == 0 or get(row, header) == 0:
                continue
            offset, _, end = bounds(memory, row, header)
            first = stale_end(log_of(memory, row, header, width), now_ms - get(tables.retention_ms, stream))
            used = move_block(memory, row, header, offset + first * width, (end - first) * width, to, used)
            put(row, header + 1, end - first)  # without its index, which the next insertion makes anew
        if tables.holding_width and get(row, tables.holdings_header):
            header = tables.holdings_header
            length = get(row, header + 1) * tables.holding_width
            used = move_block(memory, row, header, get(row, header) >> 8, length, to, used)
    return used


@compiled
def move_block(memory: Memory, row: int, header: int, offset: int, length: int, to: int, used: int) -> int:
    """Move words of the pool to a block of their own at the end of another; returns the new end."""
    if length == 0:
        put(row, header, 0)
        return used
    new_class = size_class(memory, length)
    for word in range(length):
        put(to, used + word, get(memory.pool, offset + word))
    put(row, header, used << 8 | new_class)
    return used + get(memory.sizes, new_class)


@compiled
def find_idle(memory: Memory, tables: Tables, step: Step, rows: int, updates: int, reach: int, now_ms: int,
              places: int, found: int) -> int:  # fmt: skip
    """The rows that read as new ones do, but for flags about what Python remembers; returns their number.

    ``step``: one event at ``now_ms``. ``reach``: by update, of sequences. ``places``: by row, −1 for one that is
    free.
    """
    count = 0
    for number in range(rows):
        row = row_address(memory, number)
        if get(places, number) < 0 or get(row, R_FLAGS) & HAS_PROFILE or has_logs(tables, row):
            continue
        for update in range(updates):
            at = tables.updates + 8 * UPDATE_COLUMNS * update
            forget_update(step, at, row, now_ms - get(reach, update))
        if not is_zero(row, memory.row_words):
            for update in range(updates):
                at = tables.updates + 8 * UPDATE_COLUMNS * update
                if get(at, U_KIND) == ADD_CONDITION:
                    forget_condition(memory, tables, step, at, row)
            if not is_zero(row, memory.row_words):
                continue
        put(found, count, number)
        count += 1
    return count


@compiled
def has_logs(tables: Tables, row: int) -> bool:
    """Whether a row has any record."""
    for stream in range(STREAMS):
        if get(tables.log_words, stream) and get(row, get(tables.log_header, stream)):
            return True
    return False


@compiled
def is_zero(row: int, words: int) -> bool:
    """Whether all words of a row but those at the front are zero."""
    for word in range(FRONT_WORDS, words):
        if get(row, word):
            return False
    return True


@compiled
def forget_update(step: Step, update: int, row: int, reached_ms: int) -> None:
    """Clear what a sequence or a streak of periods with an event remembers, if it is over."""
    at = get(update, U_OFFSET)
    if get(update, U_KIND) == STEP_SEQUENCE:
        for word in range(at, at + get(update, U_LENGTH)):
            if get(row, word) - 1 <= reached_ms:
                put(row, word, 0)
    elif get(update, U_KIND) == COUNT_RUN and get(row, at) < get(step.numbers, get(update, U_PERIOD)) - 1:
        put(row, at, 0)
        put(row, at + 1, 0)


@compiled
def forget_condition(memory: Memory, tables: Tables, step: Step, update: int, row: int) -> None:
    """Clear what a streak of periods with a condition remembers, if that is no more than of a new row."""
    at = get(update, U_OFFSET)
    if get(row, at + 1) == 0:
        return
    advance_run(memory, tables, update, step, row, get(step.numbers, get(update, U_PERIOD)))
    if get(row, at + 1) != 1 or condition_holds(memory, tables, update, step, row):
        return
    for word in range(at + 2, at + get(update, U_LENGTH)):
        if get(row, word):
            return
    put(row, at, 0)
    put(row, at + 1, 0)
