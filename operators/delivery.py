"""What travels between the keyed stages: events with the sender's watermark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

from state.event import Event

SHARDS = 64
"""Customers are spread over this many keys, whatever the number of workers."""

ENTITY_SHARDS = 16
"""Devices, terminals, … are spread over this many keys. Every customer shard sends its watermark to every entity
shard and back, so fewer than customer shards keep that traffic small."""


def shard_of(customer_id: str) -> int:
    """The customer's shard."""
    return crc32(customer_id.encode()) % SHARDS


@dataclass(slots=True)
class Delivery:
    """Events from one sender, which will send none below ``watermark_ms`` any more.

    ``end_ms`` is the latest effective time that the sender knows of, over everything it has seen. ``first_sequence``
    numbers the events consecutively where the sender numbers them.
    """

    source: int
    watermark_ms: int
    end_ms: int
    events: list[Event]
    first_sequence: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # Columns are a third of the size and time of one pickled tuple per event.
        columns = list(zip(*self.events, strict=True))
        return _rebuild, (self.source, self.watermark_ms, self.end_ms, self.first_sequence, columns)


def _rebuild(source: int, watermark_ms: int, end_ms: int, first_sequence: int, columns: list[Any]) -> Delivery:
    events = list(map(Event._make, zip(*columns, strict=True)))
    return Delivery(source, watermark_ms, end_ms, events, first_sequence)


@dataclass(slots=True)
class EntityRow:
    """An event on its way to the entities of one entity shard: ``keys`` are (``per=`` field, value key) pairs."""

    event: Event
    sequence: int
    keys: tuple[tuple[str, Any], ...]


@dataclass(slots=True)
class EntityDelivery:
    """Rows from one customer shard to one entity shard."""

    source: int
    watermark_ms: int
    end_ms: int
    rows: list[EntityRow]


@dataclass(slots=True)
class EntityAnswer:
    """Values of entity features for events of one customer shard, by the events' sequence numbers."""

    source: int
    watermark_ms: int
    end_ms: int
    values: list[tuple[int, dict[tuple[str, int], Any]]]
