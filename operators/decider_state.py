"""A decider's state as sections of files, and back: the customers touched since the last file, or all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from operators.customer_taker import CustomerTaker
from operators.decider import Decider
from state.customer_records import to_record
from state.json_values import from_json, to_json
from state.row_mapping import read_rows
from state.row_snapshots import Newest, RowFrame, put_rows
from state.tables import HAS_PROFILE, R_FLAGS

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
        "rules": decider.tables.rules_id,
        "since": decider.since,
    }
    lengths = np.array([-1 if profile is None else len(profile) for profile in profiles], np.int64)
    return RowFrame.of(store, rows, removed, now_ms).sections("rows") | {
        "customers.places": np.searchsorted(rows, noted),
        "customers.records": to_json(records),
        "customers.profile_lengths": lengths,
        "customers.profiles": b"".join([profile for profile in profiles if profile is not None]),
        "decider": to_json(head),
    }


def restore_decider(decider: Decider, frames: Sequence[Sections], now_ms: int) -> bool:
    """Take the state from files, the oldest first and all of them: a base and what changed after it.

    ``now_ms``: up to when events have been taken. Returns whether it was written under other rules.
    """
    head = from_json(frames[-1]["decider"])
    carried = decider.tables.carried_from(head.get("rules", ""))
    mapping = None if carried is None else carried.customer
    taker = CustomerTaker(decider, None if carried is None else carried.change)
    newest = Newest()
    for sections in reversed(frames):
        frame = read_rows("rows", sections, decider.store, mapping)
        rows, unnoted = newest.rows(frame)
        put_rows(decider.store, frame, rows)
        decider.customers.make_room(len(decider.store))
        places = np.frombuffer(sections["customers.places"], np.int64)
        chosen = np.flatnonzero(unnoted[places])
        newest.note(places[chosen])
        numbers = decider.store.rows(frame.hashes[places[chosen]], frame.ids.take(places[chosen]))
        taker.take(sections, chosen.tolist(), numbers.tolist())
    since = head.get("since", {})
    decider.keep_since(since if carried is None else carried.change.since(since, now_ms))
    decider.ticking = head["ticking"]
    if carried is not None:  # other rules may have looked at no profile, so that none of theirs began the days
        decider.ticking |= bool((decider.store.fixed[: len(decider.store), R_FLAGS] & HAS_PROFILE).any())
    taker.set_ticks(head["ticks"], now_ms)
    return carried is not None
