"""How far event time has come in a live run.

A reader's watermark is a promise to all shards: none of its events takes effect before it any more. So a partition that
is left out of it, because nothing comes from there, cannot be overtaken: what comes from it later is late, and takes
effect at the watermark that was promised meanwhile.

- A partition with messages to read stands at its highest ``ts`` less the lateness.
- One that was read to its end stands at the wall clock less the lateness, as long as its broker answers: else nobody
  knows whether it was its end.
- One whose broker has not answered for ``idle``, while we asked, is left out: else there is more to come of it, however
  long that takes. A reader all of whose partitions are left out follows the others; if nobody can read anything, event
  time stands still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from operators.decode import PartitionClock
from operators.delivery import Delivery
from state.sequencer import BEFORE_ALL_MS


@dataclass(slots=True)
class Partition:
    """A Kafka partition as its reader follows it.

    Attributes
    ----------
    next_offset
        Of the message to be read next; null until the first one of a partition that was never read.
    at_end
        Whether it was read to its end when last heard of.
    reachable
        Whether its broker answers, as far as is known.
    heard_ms
        Wall clock when last something was known of it: a message came, or its end was its end still.
    ahead, messages_ahead
        Batches that wait for other partitions: the highest ``ts`` after each, and its messages; the sum of these.
    paused
        Whether reading waits for the others.
    topic_id
        Of the topic that ``next_offset`` is of; null as long as it is not known.
    """

    topic: str
    number: int
    clock: PartitionClock
    next_offset: int | None = None
    at_end: bool = False
    reachable: bool = True
    heard_ms: int | None = None
    ahead: deque[tuple[int, int]] = field(default_factory=deque)
    messages_ahead: int = 0
    paused: bool = False
    topic_id: str | None = None

    def note_read(self, messages: int) -> None:
        """Messages were read and became events that wait."""
        if self.clock.high_ms is not None:
            self.ahead.append((self.clock.high_ms, messages))
            self.messages_ahead += messages

    def waiting(self, engine_ms: int, lateness_ms: int) -> int:
        """How many messages wait until other partitions have come as far.

        Those of the last ``lateness_ms`` before its highest ``ts`` wait for itself: were they counted, it might wait
        for ever.
        """
        while self.ahead and self.ahead[0][0] - lateness_ms <= engine_ms:
            self.messages_ahead -= self.ahead.popleft()[1]
        return self.messages_ahead


class EngineClock:
    """The watermarks of all readers, as the shards of this process were told them."""

    def __init__(self, readers: int) -> None:
        self._watermarks = [BEFORE_ALL_MS] * readers
        self._idle = [False] * readers

    def received(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries came to a shard."""
        for delivery in deliveries:
            if delivery.watermark_ms >= self._watermarks[delivery.source]:
                self._watermarks[delivery.source] = delivery.watermark_ms
                self._idle[delivery.source] = delivery.idle

    @property
    def ms(self) -> int:
        """The engine's watermark."""
        return min(self._watermarks)

    def of_others_ms(self, reader: int) -> int | None:
        """The lowest watermark of other readers that are not idle; null if there are none."""
        return min(
            (ms for i, ms in enumerate(self._watermarks) if i != reader and not self._idle[i]),
            default=None,
        )


class ReaderClock:
    """The watermark that one reader has promised.

    ``promised_ms``: what it promised in the run before.
    """

    def __init__(self, lateness_ms: int, idle_ms: int, promised_ms: int) -> None:
        self._lateness_ms, self._idle_ms = lateness_ms, idle_ms
        self.promised_ms = promised_ms
        self.idle = False
        self._contact_ms: int | None = None

    def advance(
        self, partitions: Iterable[Partition], now_ms: int, others_ms: int | None, *, trust_ends: bool, known: bool
    ) -> int:
        """Promise what can be promised now; never less than before.

        ``others_ms``: how far the other readers are, where any is not idle; ``trust_ends``: whether what was last heard
        of ends is so recent that it holds; ``known``: whether it is known which partitions there are, without which
        nothing can be promised.
        """
        lowest = None if known else self.promised_ms
        self.idle = known
        for partition in partitions:
            if partition.heard_ms is not None and self._contact_ms is None:
                self._contact_ms = partition.heard_ms
            at_ms = self._watermark_ms(partition, now_ms, trust_ends)
            if at_ms is not None:
                self.idle = False
                lowest = at_ms if lowest is None else min(lowest, at_ms)
        if self.idle:
            lowest = others_ms
        if lowest is not None:
            self.promised_ms = max(self.promised_ms, lowest)
        return self.promised_ms

    def forgive(self, now_ms: int) -> None:
        """Nobody could be heard until now, for reasons of our own: silence counts from here on."""
        if self._contact_ms is not None:
            self._contact_ms = now_ms

    def _watermark_ms(self, partition: Partition, now_ms: int, trust_ends: bool) -> int | None:
        """Where a partition stands; null if it is left out."""
        high_ms = partition.clock.high_ms
        by_events_ms = self.promised_ms if high_ms is None else high_ms - self._lateness_ms
        if partition.reachable:  # then it was read to its end, or there is more to come
            if partition.heard_ms is not None:
                partition.heard_ms = now_ms
            if partition.at_end and trust_ends and not partition.paused:
                return max(by_events_ms, now_ms - self._lateness_ms)
            return by_events_ms
        if partition.paused or self._contact_ms is None:
            return by_events_ms
        silent_ms = now_ms - max(self._contact_ms, partition.heard_ms or self._contact_ms)
        return None if silent_ms >= self._idle_ms else by_events_ms
