"""The events of one micro-batch as columns."""

from __future__ import annotations

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
