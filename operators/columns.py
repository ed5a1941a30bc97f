"""The events of one micro-batch as columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class EventColumns:
    """Events in arrival order; every column has one entry per event.

    Attributes
    ----------
    stream
        Index into ``rules.model.STREAMS``.
    event_id, customer_id
        As the event gives them.
    ts_ms, effective_ms
        The event's own time and the time at which it takes effect, in ms since 1970-01-01T00:00:00Z.
    late
        Whether the event was below its partition's watermark when it was read; only then do the times differ.
    raw
        The message as it was read.
    values
        The fields that the rules read, in the order that the decoder was given for the event's stream.
    """

    stream: list[int] = field(default_factory=list)
    event_id: list[str] = field(default_factory=list)
    customer_id: list[str] = field(default_factory=list)
    ts_ms: list[int] = field(default_factory=list)
    effective_ms: list[int] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    values: list[tuple[Any, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, indices: Iterable[int]) -> EventColumns:
        """New columns with the events at ``indices``, in that order."""
        wanted = list(indices)
        return EventColumns(
            stream=[self.stream[i] for i in wanted],
            event_id=[self.event_id[i] for i in wanted],
            customer_id=[self.customer_id[i] for i in wanted],
            ts_ms=[self.ts_ms[i] for i in wanted],
            effective_ms=[self.effective_ms[i] for i in wanted],
            late=[self.late[i] for i in wanted],
            raw=[self.raw[i] for i in wanted],
            values=[self.values[i] for i in wanted],
        )

    def extend(self, other: EventColumns) -> None:
        """Append the events of ``other``."""
        self.stream.extend(other.stream)
        self.event_id.extend(other.event_id)
        self.customer_id.extend(other.customer_id)
        self.ts_ms.extend(other.ts_ms)
        self.effective_ms.extend(other.effective_ms)
        self.late.extend(other.late)
        self.raw.extend(other.raw)
        self.values.extend(other.values)
