"""What every aggregate of one customer is at a moment, read from a copy of their row."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators.tables import PlanTables
from state.dispatch import SignatureTable
from state.events import Events, moment, value_of
from state.row_snapshots import RowFrame, put_rows


def feature_values(tables: PlanTables, frame: RowFrame, row: int, t_ms: int) -> list[Any]:
    """The values of the customer's features, in the plan's order, as at a tick: there is no anchor.

    ``row``: its number in the frame, which is laid out by these tables.
    """
    count = len(tables.plan.customer.features)
    if not count:
        return []
    store = tables.customer.store()
    put_rows(store, frame, np.array([row], np.int64))
    nothing = moment(t_ms)
    masks = np.zeros((1, max(1, -(-len(tables.plan.matchers) // 64))), np.uint64)
    every_feature = SignatureTable(
        masks.shape[1], tables.customer.layout.record_bits, lambda _: range(count), lambda _: (), lambda _: 0
    )
    shape = 1, count
    event = Events(
        nothing.effective_ms, nothing.ts_ms, nothing.stream, every_feature.signatures(masks), masks, nothing.words,
        nothing.hashes, np.zeros(1, np.int64), (np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape)),
    )  # fmt: skip
    store.answer(every_feature, event)
    return [
        value_of(store.objects, *values)
        for values in zip(
            event.entity_kind[0].tolist(), event.entity_integer[0].tolist(), event.entity_double[0].tolist(),
            strict=True,
        )
    ]  # fmt: skip
