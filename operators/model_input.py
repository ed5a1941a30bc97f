"""What travels from the customers' shards to a model: features of the events that it scores, and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.batch import EventBatch
from operators.split import merge_order
from state.log import Words
from state.model_rows import ModelRows
from state.texts import Texts

_TEXTS = ("event_id", "customer_id")


@dataclass(slots=True)
class ModelInput:
    """Rows of one model from one shard of customers, in processing order.

    ``sequences``, ``shards``: int64[n], whom to answer. The other columns are those of the events and of
    ``state.model_rows.ModelRows``.
    """

    effective_ms: Words
    stream: NDArray[np.uint8]
    event_id: Texts
    customer_id: Texts
    sequences: Words
    shards: Words
    is_label: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    labels: NDArray[np.bool_]
    features: NDArray[np.float64]

    @classmethod
    def of(cls, events: EventBatch, chosen: Words, **columns: Any) -> ModelInput:
        """Rows of some events, with columns as long as ``chosen``."""
        return cls(
            events.effective_ms[chosen], events.stream[chosen], events.event_id.take(chosen),
            events.customer_id.take(chosen), **columns,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.effective_ms)

    def slice(self, start: int, end: int) -> ModelInput:
        """Some consecutive rows, as views."""
        part = slice(start, end)
        return ModelInput(
            self.effective_ms[part], self.stream[part], self.event_id[part], self.customer_id[part],
            self.sequences[part], self.shards[part], self.is_label[part], self.keys[part], self.labels[part],
            self.features[part],
        )  # fmt: skip

    def take(self, order: Words) -> ModelInput:
        """The rows in another order, or some of them."""
        return ModelInput(
            self.effective_ms[order], self.stream[order], self.event_id.take(order), self.customer_id.take(order),
            self.sequences[order], self.shards[order], self.is_label[order], self.keys[order], self.labels[order],
            self.features[order],
        )  # fmt: skip

    @property
    def rows(self) -> ModelRows:
        """What the model learns from."""
        return ModelRows(self.effective_ms, self.is_label, self.keys, self.labels, self.features)


@dataclass(slots=True)
class ModelDelivery:
    """What one shard of customers sends to one model."""

    source: int
    watermark_ms: int
    end_ms: int
    rows: ModelInput | None


def in_order(parts: list[ModelInput]) -> ModelInput:
    """Rows of several shards as one, in the processing order over all customers."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ModelInput.__dataclass_fields__
        if name not in _TEXTS
    }
    columns |= {name: Texts.concat([getattr(part, name) for part in parts]) for name in _TEXTS}
    joined = ModelInput(**columns)
    # two rows of one time and id are one customer's, so their order is the sender's
    event_id, customer_id = joined.event_id, joined.customer_id
    return joined.take(merge_order(joined.effective_ms, joined.stream, event_id, customer_id, customer_id))
