"""What aggregates of customers are at a moment, as at a tick: there is no anchor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from operators.outcome import Entities
from operators.tables import PlanTables
from state.dispatch import SignatureTable
from state.events import Events, value_of
from state.log import Words
from state.row_snapshots import RowFrame, put_rows
from state.store import RowStore


class FeatureReader:
    """Reads some of the features of customers, of many customers at once.

    Parameters
    ----------
    tables
        Of the plan by which the rows are laid out.
    wanted
        Numbers of features in the plan.
    scored
        They are those of the models.
    """

    def __init__(self, tables: PlanTables, wanted: Iterable[int], *, scored: bool = False) -> None:
        plan = tables.plan
        features, rows = (plan.scored.customer, tables.scored) if scored else (plan.customer, tables.customer)
        assert rows is not None
        chosen = sorted(wanted)
        self._wanted = np.array(chosen, np.int64)
        self._features = len(features.features)
        self._mask_words = max(1, -(-len(plan.matchers) // 64))
        self._signatures = SignatureTable(
            self._mask_words, rows.layout.record_bits, lambda _: chosen, lambda _: (), lambda _: 0
        )

    def read(self, store: RowStore, rows: Words, t_ms: int) -> list[list[Any]]:
        """By row the values of the plan's features; null where a feature is not wanted. The rows stay as they are.

        ``t_ms``: not below the time of any event that the rows have taken.
        """
        count = len(rows)
        times = np.full(count, t_ms, np.int64)
        masks = np.zeros((count, self._mask_words), np.uint64)
        shape = count, self._features
        answers: Entities = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape)
        events = Events(
            times, times, np.zeros(count, np.uint8), self._signatures.signatures(masks), masks,
            np.empty((count, 0), np.int64), np.empty((count, 0), np.uint64), rows, answers,
        )  # fmt: skip
        store.answer(self._signatures, events, changing=False)
        columns = [of[:, self._wanted].tolist() for of in answers]
        wanted, objects = self._wanted.tolist(), store.objects
        found = []
        for row_kinds, row_integers, row_doubles in zip(*columns, strict=True):
            values: list[Any] = [None] * self._features
            for number, *value in zip(wanted, row_kinds, row_integers, row_doubles, strict=True):
                values[number] = value_of(objects, *value)
            found.append(values)
        return found


def feature_values(tables: PlanTables, frame: RowFrame, row: int, t_ms: int, *, scored: bool = False) -> Sequence[Any]:
    """The values of a customer's features, in the plan's order, from a copy of their row.

    ``row``: its number in the frame, which is laid out by these tables. ``scored``: it is the row that models have, and
    the features are theirs.
    """
    features, of = (tables.plan.scored.customer, tables.scored) if scored else (tables.plan.customer, tables.customer)
    count = len(features.features)
    if not count or of is None:
        return []
    store = of.store()
    put_rows(store, frame, np.array([row], np.int64))
    return FeatureReader(tables, range(count), scored=scored).read(store, np.zeros(1, np.int64), t_ms)[0]
