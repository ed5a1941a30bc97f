"""How far the topics have been read, and who reads which partition."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from state.sequencer import BEFORE_ALL_MS

PartitionKey = tuple[str, int]
"""Topic and number."""

Snapshot = tuple[str, int, int, tuple[tuple[str, int, int, int | None, str | None], ...]]
"""What a reader leaves with the runtime: ``SNAPSHOT``, the number of the run, the watermark that it promised, and of
each partition topic, number, next offset, highest ``ts`` and the topic's id. Plain data, as other readers take it up
again."""

SNAPSHOT = "kafka-reader"


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on in a partition: the offset to read next, the highest ``ts`` so far, and the id that its topic had,
    null where the brokers give none."""

    next_offset: int
    high_ms: int | None
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class Positions:
    """What the readers of the run before left.

    Attributes
    ----------
    run
        The number of that run, 0 if there was none.
    promised_ms
        The engine's watermark then: partitions that are new go on from there.
    """

    run: int = 0
    promised_ms: int = BEFORE_ALL_MS
    partitions: Mapping[PartitionKey, Position] = field(default_factory=dict)

    def dealt_to(self, reader: int, readers: int) -> dict[PartitionKey, Position]:
        """Those that one of the readers has to keep, whether or not it can read there."""
        return {key: at for key, at in self.partitions.items() if reader_of(key, readers) == reader}


def merged(snapshots: Iterable[Any]) -> Positions:
    """All that readers left; of a partition that several have read, what the latest run knows."""
    found = sorted((s for s in snapshots if is_snapshot(s)), key=lambda snapshot: snapshot[1])
    if not found:
        return Positions()
    partitions: dict[PartitionKey, Position] = {}
    for _, _, _, rows in found:
        for topic, number, *position in rows:
            partitions[topic, number] = Position(*position)
    last = found[-1][1]
    return Positions(last, min(s[2] for s in found if s[1] == last), partitions)


def is_snapshot(value: Any) -> bool:
    """Whether a value that the runtime kept is a reader's."""
    return isinstance(value, tuple) and len(value) == 4 and value[0] == SNAPSHOT


def reader_of(partition: PartitionKey, readers: int) -> int:
    """Who reads a partition: each topic's partitions are dealt in turn, from a place of its own on.

    It does not depend on what else there is, so partitions that are added take none from their reader.
    """
    topic, number = partition
    return (zlib.crc32(topic.encode()) + number) % readers
