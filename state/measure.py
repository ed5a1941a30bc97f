"""Adds events to customers' rows and works out the models' features at those that they score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from state.cells import address, get, get_byte, put_double
from state.compiled import compiled
from state.dispatch import SignatureTable
from state.events import Events
from state.log import Memory, Words
from state.machine import number_of
from state.profiles import keep_profile
from state.reads import Step, row_address
from state.records import NO_ROOM, add_record
from state.tables import Tables
from state.updates import apply_update
from state.walk import PROFILE, Dispatch

if TYPE_CHECKING:
    from state.store import RowStore


def measured(store: RowStore, table: SignatureTable, events: Events, first_programs: Words) -> list[NDArray[Any]]:
    """Take events, and give for each model a table of doubles [n, features]: NaN for null and where it does not score.

    ``first_programs``: int64[m + 1], by model the first of the programs of its features, and one beyond the last.
    """
    store.changes_in(events.rows)
    tables = [np.full((len(events), width), np.nan) for width in np.diff(first_programs).tolist()]
    outs = np.array([address(one) for one in tables], np.int64)
    step, _kept = store.prepared(events)
    start = 0
    while start < len(events):
        start = measure(
            store.memory, store.tables, table.dispatch, step, address(first_programs), address(outs), start, len(events)
        )
        if start < len(events):
            store.grow_pool()
    return tables


@compiled
def measure(memory: Memory, tables: Tables, dispatch: Dispatch, step: Step, first_programs: int, outs: int, start: int,
            stop: int) -> int:  # fmt: skip
    """Take events ``start`` to ``stop``; returns the first not taken, for want of room in the pool.

    Here an event's ``dispatch.anchors`` are the models that score it. ``first_programs``: by model, the first of the
    programs of its features, which are consecutive; ``outs``: by model, the address of a table of doubles with a row
    for each event and a column for each feature.
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
            apply_update(memory, tables, get(dispatch.updates, u), step, i, row)
        if stream == PROFILE:
            keep_profile(memory, tables, step, i, row)
        t_ms = get(step.effective_ms, i)
        for a in range(get(dispatch.anchor_starts, signature), get(dispatch.anchor_starts, signature + 1)):
            model = get(dispatch.anchors, a)
            first, end = get(first_programs, model), get(first_programs, model + 1)
            to = get(outs, model) + 8 * (end - first) * i
            for program in range(first, end):
                value = number_of(memory, tables, program, step, i, i, row, t_ms, own_record)
                put_double(to, program - first, value)
    return stop
