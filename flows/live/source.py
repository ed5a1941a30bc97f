"""The live source: Kafka partitions dealt to readers, each of which is one partition of the dataflow's source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from flows.live.left_parts import READER, LeftReader
from flows.live.positions import Snapshot
from flows.source_batch import SourceBatch


class Meter(Protocol):
    """What a reader tells of itself."""

    def turned(self) -> None:
        """The reader was asked for messages."""

    def epoch_ends(self) -> None:
        """The reader was asked for its position; the other steps are next, and then it goes on."""

    def lag(self, topic: str, partition: int, messages: int) -> None:
        """So many messages of a partition wait in Kafka."""

    def watermark(self, delay_seconds: float) -> None:
        """The watermark is so far behind the clock."""

    def assigned(self, missing: Sequence[str], unreachable: Sequence[str]) -> None:
        """What of the topics cannot be read now; ``unreachable``: ``topic/partition``, or servers that are silent."""


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """What all readers have in common; durations and times in ms.

    ``topics``: streams by topic; ``max_ahead_ms``: 0 for no limit; ``start_latest``: partitions that were never read
    are read from their end on; ``on_lost_offset``: ``error``, ``earliest`` or ``latest``; ``archive``: events' messages
    are handed on.
    """

    bootstrap: str
    group: str
    options: Mapping[str, Any]
    topics: Mapping[str, str]
    readers: int
    lateness_ms: int
    idle_ms: int
    poll_ms: int
    max_ahead_ms: int
    start_latest: bool = False
    on_lost_offset: str = "error"
    archive: bool = False
    refresh_seconds: float = 10.0


Reader = StatefulSourcePartition[SourceBatch, Any]


class KafkaSource(FixedPartitionedSource[SourceBatch, Any]):
    """The reader of this process, of which there is one in each; ``make`` builds it. ``left``: see ``left_parts``."""

    def __init__(self, number: int, make: Callable[[], Reader], left: Sequence[str] = ()) -> None:
        self._name, self._make, self._left = READER.format(number), make, left

    def list_parts(self) -> list[str]:
        """This process's own one and those that it keeps for others."""
        return [self._name, *self._left]

    def build_part(self, step_id: str, for_part: str, resume_state: Snapshot | None) -> Reader:
        """A reader."""
        # What it left is known already, with what the others left: partitions are dealt anew at each start.
        return self._make() if for_part == self._name else LeftReader(resume_state)
