"""A decider's state as sections of files, and back: the customers touched since the last file, or all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from operators.decider import Decider
from state.customer_records import customer_of, timers_of, to_record
from state.json_values import from_json, to_json
from state.packing import Packer
from state.row_snapshots import Newest, RowFrame, put_rows
from state.timers import TICK

Sections = Mapping[str, Any]


def note_changes(decider: Decider) -> None:
    """From now on know what changes."""
    decider.store.note_changes()
    decider.customers.changed = set()


def decider_sections(decider: Decider, now_ms: int, *, everything: bool) -> dict[str, Any]:
    """What changed since the last call, or all; without what matters no more at ``now_ms``."""
    customers, store = decider.customers, decider.store
    changed = customers.changed
    assert changed is not None
    noted = np.fromiter(changed, np.int64, len(changed))
    store.changes_in(noted)
    rows, removed = store.take_changes(everything=everything)
    noted = rows if everything else np.intersect1d(rows, noted)
    customers.changed = set()
    numbers = noted.tolist()
    timers = decider.timers.by_row(set(numbers))
    rules = [planned.rule.id for planned in decider.plan.rules]
    records = [
        to_record(customers.by_row.get(row), [(rules[timer.rule], timer) for timer in timers.get(row, ())])
        for row in numbers
    ]
    profiles = [customers.profiles[row] for row in numbers]
    head = {
        "ticking": decider.ticking,
        "ticks": [[timer.at_ms, rules[timer.rule], timer.date] for timer in decider.timers.ticks()],
        "shapes": customers.packer.shapes,
    }
    lengths = np.array([-1 if profile is None else len(profile) for profile in profiles], np.int64)
    return RowFrame.of(store, rows, removed, now_ms).sections("rows") | {
        "customers.places": np.searchsorted(rows, noted),
        "customers.records": to_json(records),
        "customers.profile_lengths": lengths,
        "customers.profiles": b"".join([profile for profile in profiles if profile is not None]),
        "decider": to_json(head),
    }


def restore_decider(decider: Decider, frames: Sequence[Sections]) -> None:
    """Take the state from files, the oldest first and all of them: a base and what changed after it."""
    newest = Newest()
    timers: list[tuple[int, list[tuple[str, dict[str, Any]]]]] = []
    for sections in reversed(frames):
        frame = RowFrame.from_sections("rows", sections, decider.store.row_words)
        rows, unnoted = newest.rows(frame)
        put_rows(decider.store, frame, rows)
        decider.customers.make_room(len(decider.store))
        places = np.frombuffer(sections["customers.places"], np.int64)
        chosen = np.flatnonzero(unnoted[places])
        newest.note(places[chosen])
        numbers = decider.store.rows(frame.hashes[places[chosen]], frame.ids.take(places[chosen]))
        timers += _restore_customers(decider, sections, chosen.tolist(), numbers.tolist())
    if frames:
        head = from_json(frames[-1]["decider"])
        decider.ticking = head["ticking"]
        _restore_timers(decider, timers, head["ticks"])


def _restore_customers(
    decider: Decider, sections: Sections, chosen: Sequence[int], rows: Sequence[int]
) -> list[tuple[int, list[tuple[str, dict[str, Any]]]]]:
    """Take what Python remembers; the timers by row."""
    customers = decider.customers
    packer = Packer(from_json(sections["decider"])["shapes"])
    same = packer.shapes == customers.packer.shapes[: len(packer.shapes)]
    if not customers.packer.shapes:
        customers.packer, same = Packer(packer.shapes), True
    records = from_json(sections["customers.records"])
    lengths = np.frombuffer(sections["customers.profile_lengths"], np.int64)
    ends = np.cumsum(np.maximum(lengths, 0)).tolist()
    profiles = bytes(sections["customers.profiles"])
    timers = []
    for place, row in zip(chosen, rows, strict=True):
        if lengths[place] >= 0:
            packed = profiles[ends[place] - int(lengths[place]) : ends[place]]
            customers.profiles[row] = packed if same else customers.packer.pack(packer.unpack(packed))
        customer = customer_of(records[place])
        if customer is not None:
            customers.by_row[row] = customer
        if records[place]["timers"]:
            timers.append((row, timers_of(records[place])))
    return timers


def _restore_timers(
    decider: Decider, timers: Sequence[tuple[int, list[tuple[str, dict[str, Any]]]]], ticks: Sequence[Sequence[Any]]
) -> None:
    numbers = {planned.rule.id: number for number, planned in enumerate(decider.plan.rules)}
    for row, of_row in timers:
        for rule_id, timer in of_row:
            decider.timers.set(rule=numbers[rule_id], row=row, **timer)
    for at_ms, rule_id, date in ticks:
        decider.timers.set(at_ms, TICK, numbers[rule_id], date=date)
