"""One customer of a deciding shard, restored by themselves: to ask the engine about them, never to go on from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from operators.decider import Decider
from operators.decider_state import Sections, restore_decider
from operators.survey import CUSTOMERS, KeptCustomer, read_rows
from operators.tables import PlanTables
from rules.policy import Policy
from state.json_values import from_json, to_json
from state.packing import Packer
from state.row_snapshots import RowFrame


def restore_one(
    tables: PlanTables, policy: Policy, frames: Sequence[Sections], found: KeptCustomer, now_ms: int
) -> Decider:
    """A decider with nobody but a customer, who has the row 0, as a run under these tables would restore them.

    ``frames``: the files of their shard, the oldest first; ``found``: the customer, as ``find_customer`` finds them
    there; ``now_ms``: up to when events have been taken.
    """
    decider = Decider(tables, policy, _no_events)
    restore_decider(decider, [_sections_of_one(frames, found)], now_ms)
    return decider


def _no_events(_message: bytes) -> NoReturn:
    raise AssertionError("one who is restored by themselves takes no events")


def _sections_of_one(frames: Sequence[Sections], found: KeptCustomer) -> dict[str, Any]:
    """A file of the shard, as of its newest one, if nobody else were in it."""
    assert found.frame is not None
    rows = read_rows(frames[found.frame], CUSTOMERS)
    own = np.array([found.row], np.int64)
    nobody = np.empty(0, np.int64)
    frame = RowFrame(
        rows.hashes[own], rows.ids.take(own), rows.hashes[nobody], rows.ids.take(nobody), rows.fixed[own], rows.pool,
        rows.objects,
    )  # fmt: skip
    packer = Packer()
    packed = b"" if found.profile is None else packer.pack(found.profile)
    head = from_json(frames[-1]["decider"]) | {"shapes": packer.shapes}
    return frame.sections(CUSTOMERS) | {
        "customers.places": np.zeros(1, np.int64),
        "customers.records": to_json([found.record]),
        "customers.profile_lengths": np.array([-1 if found.profile is None else len(packed)], np.int64),
        "customers.profiles": packed,
        "decider": to_json(head),
    }
