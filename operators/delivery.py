"""What travels between the keyed stages: events with the sender's watermark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.batch import EventBatch
from state.log import Words

SHARDS = 16
"""Customers are spread over this many keys, whatever the number of workers. Every batch goes to every shard in a part
of its own, so more shards are more work: 64 instead of 16 cost half as much again, measured with thirty rules."""

ENTITY_SHARDS = 4
"""Devices, terminals, … are spread over this many keys. Every customer shard sends a part to every entity shard."""


@dataclass(slots=True)
class Delivery:
    """Events from one sender, in processing order; it will send none below ``watermark_ms`` any more.

    ``end_ms`` is the latest effective time that the sender knows of, over everything it has seen. ``first_sequence``
    numbers the events consecutively where the sender numbers them. ``idle``: in a live run, that the sender has nothing
    to say about event time and only follows the others.
    """

    source: int
    watermark_ms: int
    end_ms: int
    events: EventBatch | None
    first_sequence: int = 0
    idle: bool = False


@dataclass(slots=True)
class EntityRows:
    """Events in processing order on their way to the entities of one ``per=`` field, in one entity shard.

    ``keys``: uint64[n], the hashes of the field's values; ``sequences``, ``shards``: int64[n], whom to answer (the
    shards are known to the receiver from the sender). The events come without their messages: two of one time and id
    are one customer's, so their order is the sender's.
    """

    events: EventBatch
    keys: NDArray[np.uint64]
    sequences: Words
    shards: Words

    def take(self, order: Any) -> EntityRows:
        """The rows in another order, or some of them."""
        return EntityRows(self.events.take(order), self.keys[order], self.sequences[order], self.shards[order])

    def slice(self, start: int, end: int) -> EntityRows:
        """Some consecutive rows, as views."""
        part = slice(start, end)
        return EntityRows(self.events.slice(start, end), self.keys[part], self.sequences[part], self.shards[part])

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self.events, self.keys.tobytes(), self.sequences.tobytes(), self.shards[:1].tobytes())

    @classmethod
    def concat(cls, parts: list[EntityRows]) -> EntityRows:
        """At least one, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            EventBatch.concat([part.events for part in parts]), np.concatenate([part.keys for part in parts]),
            np.concatenate([part.sequences for part in parts]), np.concatenate([part.shards for part in parts]),
        )  # fmt: skip


def _received(events: EventBatch, keys: bytes, sequences: bytes, shard: bytes) -> EntityRows:
    """Rows of one sender."""
    count = len(events)
    shards = np.full(count, np.frombuffer(shard, np.int64)[0] if count else 0)
    return EntityRows(
        events, np.frombuffer(bytearray(keys), np.uint64), np.frombuffer(bytearray(sequences), np.int64), shards
    )


@dataclass(slots=True)
class EntityDelivery:
    """Rows from one customer shard to one entity shard, by ``per=`` field."""

    source: int
    watermark_ms: int
    end_ms: int
    rows: dict[str, EntityRows]


@dataclass(slots=True)
class EntityValues:
    """Values of one ``per=`` field's features at some events of one customer shard, by their sequence numbers.

    ``kinds``, ``integers``, ``doubles``: [n, features of the field], as ``state.reads`` has them, objects excepted.
    """

    name: str
    sequences: Words
    kinds: Words
    integers: Words
    doubles: NDArray[np.float64]


@dataclass(slots=True)
class EntityAnswer:
    """What one entity shard has to say to one customer shard.

    ``used_bytes``: of what it remembers of the entities; at the end it tells one of the customer shards.
    """

    source: int
    watermark_ms: int
    end_ms: int
    values: list[EntityValues]
    used_bytes: int = 0
