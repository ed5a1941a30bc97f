"""Walks over the events of a step in processing order: adds each to its row, then tries the rules that it anchors.

What Python has to look at comes out as records (event, rule): events that change what Python keeps (rule −1), and
rules whose condition holds or may hold, with the values of all their features as of that event.
"""

from __future__ import annotations

from typing import NamedTuple

from state.cells import get, get_byte, put, put_double
from state.compiled import compiled
from state.log import (
    Memory,
)  # fmt: skip
from state.machine import holds, read
from state.operations import ASKED, FALSE, HOLDING_AT, MAYBE, RISE_BEFORE
from state.profiles import keep_profile
from state.reads import WHOLE, Step, row_address
from state.records import NO_ROOM, add_record
from state.tables import (
    HAS_PROFILE,
    MAY_HAVE_TICKETS,
    R_ARMED,
    R_FLAGS,
    Tables,
)  # fmt: skip
from state.updates import apply_update

PROFILE, TICKET = 0, 1
"""Codes of the streams that change what Python keeps of a customer."""

SHARED_BIT = 1 << 61
"""The bit of all rules beyond the 61st that wait: it stays until the last deadline."""

ASKED_BIT = 1 << 62
"""Beside what the ``rises`` of a rule were before: Python has to remember what they are now."""

SURELY = 1 << 32
"""Beside the rule of a record: its condition holds, and Python need not evaluate it again."""

_RECORDS, _CAPTURED = 0, 1


class Dispatch(NamedTuple):
    """What an event of some signature (a combination of matchers that match) sets off; addresses.

    ``bits``: ``bit_width`` words of bits of its record; ``logged``: bytes, 0 or 1; ``disarms``: the bits of the rules
    that it disarms; the updates and the rules of signature s are ``updates[update_starts[s]:update_starts[s + 1]]`` and
    likewise ``anchors``.
    """

    bits: int
    bit_width: int
    logged: int
    disarms: int
    update_starts: int
    updates: int
    anchor_starts: int
    anchors: int


class Records(NamedTuple):
    """What a walk hands to Python; addresses. Record r is about ``events[r]`` and ``rules[r]`` (−1: the event itself).

    The values of the rule's features, in the order of its captures, begin at ``starts[r]``. ``counters``: the numbers
    of records and of values; ``most_records`` and ``most_values``: the room for them.
    """

    events: int
    rules: int
    starts: int
    kinds: int
    integers: int
    doubles: int
    counters: int
    most_records: int
    most_values: int


@compiled
def walk(memory: Memory, tables: Tables, dispatch: Dispatch, step: Step, records: Records, start: int, stop: int,
         most_records: int, most_values: int) -> int:  # fmt: skip
    """Take events ``start`` to ``stop``; returns the first not taken, for want of room in the pool or the records.

    ``most_records``, ``most_values``: of any one event.
    """
    kept_profiles = PROFILE if tables.keeps_profiles else -1
    for i in range(start, stop):
        if (
            get(records.counters, _RECORDS) + most_records > records.most_records
            or get(records.counters, _CAPTURED) + most_values > records.most_values
        ):  # fmt: skip
            return i
        signature, stream = get(step.signature, i), get_byte(step.stream, i)
        row = row_address(memory, get(step.rows, i))
        own_record = -1
        if get_byte(dispatch.logged, signature):
            own_record = add_record(
                memory, tables, dispatch.bits + 8 * dispatch.bit_width * signature, step, i, row, stream
            )
            if own_record == NO_ROOM:
                return i
        for u in range(get(dispatch.update_starts, signature), get(dispatch.update_starts, signature + 1)):
            apply_update(memory, tables, get(dispatch.updates, u), step, i, row)
        flags = get(row, R_FLAGS)
        if stream == PROFILE:
            keep_profile(memory, tables, step, i, row)
        if (
            stream == kept_profiles
            or (stream == TICKET and flags & MAY_HAVE_TICKETS)
            or get(row, R_ARMED) & get(dispatch.disarms, signature)
        ):
            note(records, i, -1)
            put(row, R_ARMED, get(row, R_ARMED) & ~(get(dispatch.disarms, signature) & ~SHARED_BIT))
        for a in range(get(dispatch.anchor_starts, signature), get(dispatch.anchor_starts, signature + 1)):
            rule = get(dispatch.anchors, a)
            t_ms = get(step.effective_ms, i)
            truth = holds(memory, tables, rule, step, i, i, row, t_ms, own_record)
            if truth != FALSE:
                note(records, i, rule if truth == MAYBE else rule | SURELY)
                capture(memory, tables, rule, step, i, i, row, t_ms, own_record, records)
                put(row, R_FLAGS, get(row, R_FLAGS) | get(tables.rule_flags, rule))
                put(row, R_ARMED, get(row, R_ARMED) | get(tables.armed_bits, rule))
    return stop


@compiled
def tick(memory: Memory, tables: Tables, step: Step, records: Records, rule: int, each_holding: bool, t_ms: int,
         start: int, stop: int, most_values: int) -> int:  # fmt: skip
    """Try a date rule for the rows ``start`` to ``stop`` that have a profile; returns the first not tried.

    Records are about rows and, in ``rules``, holdings.
    """
    for number in range(start, stop):
        row = row_address(memory, number)
        if not get(row, R_FLAGS) & HAS_PROFILE:
            continue
        if get(records.counters, _RECORDS) == records.most_records:
            return number
        if get(records.counters, _CAPTURED) + most_values > records.most_values:
            return number
        stamp = -2 - number
        if not each_holding:
            if holds(memory, tables, rule, step, -1, stamp, row, t_ms, -1) != FALSE:
                note(records, number, 0)
                capture(memory, tables, rule, step, -1, stamp, row, t_ms, -1, records)
            continue
        block, count = get(row, tables.holdings_header) >> 8, get(row, tables.holdings_header + 1)
        if get(records.counters, _RECORDS) + count > records.most_records:
            return number
        if get(records.counters, _CAPTURED) + count * most_values > records.most_values:
            return number
        for holding in range(count):
            put(step.stack_kinds, HOLDING_AT, memory.pool + 8 * (block + holding * tables.holding_width))
            if holds(memory, tables, rule, step, -1, stamp, row, t_ms, -1) != FALSE:
                note(records, number, holding)
                capture(memory, tables, rule, step, -1, stamp, row, t_ms, -1, records)
    return stop


@compiled
def answer(memory: Memory, tables: Tables, dispatch: Dispatch, step: Step, start: int, stop: int) -> int:
    """Add events to entities' rows and read features after each, into ``Step.entity_…``; returns the first not taken.

    Here ``dispatch.updates`` are the features to read.
    """
    for i in range(start, stop):
        signature, stream = get(step.signature, i), get_byte(step.stream, i)
        row = row_address(memory, get(step.rows, i))
        own_record = -1
        if get_byte(dispatch.logged, signature):
            own_record = add_record(
                memory, tables, dispatch.bits + 8 * dispatch.bit_width * signature, step, i, row, stream
            )
            if own_record == NO_ROOM:
                return i
        for u in range(get(dispatch.update_starts, signature), get(dispatch.update_starts, signature + 1)):
            index = get(dispatch.updates, u)
            value = read(memory, tables, index, step, i, i, row, get(step.effective_ms, i), own_record)
            at = i * step.entity_width + index
            put(step.entity_kind, at, value[0])
            put(step.entity_integer, at, value[1])
            put_double(step.entity_double, at, value[2])
    return stop


@compiled
def note(records: Records, event: int, rule: int) -> None:
    """One more record."""
    r = get(records.counters, _RECORDS)
    put(records.events, r, event)
    put(records.rules, r, rule)
    put(records.starts, r, get(records.counters, _CAPTURED))
    put(records.counters, _RECORDS, r + 1)


@compiled
def capture(memory: Memory, tables: Tables, rule: int, step: Step, i: int, stamp: int, row: int, t_ms: int,
            own_record: int, records: Records) -> None:  # fmt: skip
    """The values of a rule's features."""
    at = get(records.counters, _CAPTURED)
    for c in range(get(tables.capture_starts, rule), get(tables.capture_starts, rule + 1)):
        kind, integer, double = read(memory, tables, get(tables.captures, c), step, i, stamp, row, t_ms, own_record)
        put(records.kinds, at, kind)
        put(records.integers, at, integer)
        put_double(records.doubles, at, double)
        at += 1
    if get(tables.rise_counts, rule):
        asked = ASKED_BIT if get(step.stack_kinds, ASKED) else 0
        put(records.kinds, at, WHOLE)
        put(records.integers, at, get(step.stack_kinds, RISE_BEFORE) | asked)
        put_double(records.doubles, at, 0.0)
        at += 1
    put(records.counters, _CAPTURED, at)
