"""What the stages of a live process tell: event time for its reader, times and sizes for its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from flows.live.chores import Chores
from flows.live.health import Health
from flows.live.meters import Meters
from flows.live.watermarks import EngineClock
from operators.delivery import Delivery

TOPICS, BROKERS = "topics", "brokers"

SIZE_EVERY = 15
"""A shard is asked for its size at one of so many snapshots: adding up what Python holds takes a while."""


class Observing:
    """Implements ``flows.dataflow.Observer`` and ``flows.live.source.Meter``."""

    def __init__(self, engine: EngineClock, meters: Meters, health: Health, chores: Chores) -> None:
        self._engine, self._meters, self._health, self._chores = engine, meters, health, chores
        self._sizes: dict[tuple[str, int], tuple[int, int]] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._epoch_ended: float | None = None

    # --- of the dataflow ---------------------------------------------------------------------------

    def received(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries of sources came to a shard."""
        self._engine.received(deliveries)

    def stepped(self, stage: str, seconds: float) -> None:
        """A shard took a step."""
        self._meters.batch(stage, seconds)

    def kept(self, stage: str, number: int, shard: Any) -> None:
        """A shard's state is about to be written."""
        key = stage, number
        asked = self._asked.get(key, number % SIZE_EVERY)  # not all at once
        self._asked[key] = asked + 1
        if asked % SIZE_EVERY == 0 and hasattr(shard, "size"):
            self._sizes[key] = shard.size()
            sizes = self._sizes.values()
            self._meters.state(sum(size for size, _ in sizes), sum(customers for _, customers in sizes))

    # --- of the reader -----------------------------------------------------------------------------

    def turned(self) -> None:
        """The reader was asked for messages."""
        self._health.loop_turned()
        if self._epoch_ended is not None:
            self._meters.epoch(perf_counter() - self._epoch_ended)
            self._epoch_ended = None
        self._chores.do()

    def epoch_ends(self) -> None:
        """The reader was asked for its position."""
        self._epoch_ended = perf_counter()

    def lag(self, topic: str, partition: int, messages: int) -> None:
        """So many messages of a partition wait in Kafka."""
        self._meters.lag(topic, partition, messages)

    def watermark(self, delay_seconds: float) -> None:
        """The watermark is so far behind the clock."""
        self._meters.watermark(delay_seconds)

    def assigned(self, missing: Sequence[str], unreachable: Sequence[str]) -> None:
        """What of the topics cannot be read now."""
        self._health.ready(TOPICS, not missing, f"no such topics: {', '.join(missing)}" if missing else "")
        silent = [f"no broker answers at {address}" for address in unreachable if "/" not in address]
        leaderless = [partition for partition in unreachable if "/" in partition]
        why = [*silent, *([f"no leader: {', '.join(leaderless)}"] if leaderless else [])]
        self._health.ready(BROKERS, not why, "; ".join(why))
