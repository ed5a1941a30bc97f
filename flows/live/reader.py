"""Reads Kafka partitions as one Bytewax source partition: messages of all of them in micro-batches of columns."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any, cast

from bytewax.inputs import StatefulSourcePartition
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, Message, TopicPartition

from flows.lines import SourceError
from flows.live.consumer import BrokerView, Commits, Topology, consumer_config, lost_offset, make_consumer, refusal
from flows.live.messages import Headers, line_of, message_of, place_of
from flows.live.positions import SNAPSHOT, PartitionKey, Position, Positions, Snapshot, reader_of
from flows.live.source import Meter, ReaderSettings
from flows.live.topic_ids import TopicIds
from flows.live.watermarks import EngineClock, Partition, ReaderClock
from flows.source_batch import SourceBatch, counts_of
from operators.decode import PartitionClock
from operators.read_columns import ColumnReader, Run
from operators.scan import NO_CEILING
from operators.split import split
from state.sequencer import BEFORE_ALL_MS

_LOG = logging.getLogger(__name__)

MAX_MESSAGES = 20_000
"""Of one micro-batch."""
MAX_WAITING = 200_000
"""A partition with so many messages beyond where the others are is paused until they have caught up."""
TICK_MS = 100
"""How often a watermark alone is sent on."""

STALL_MS, SETTLE_MS = 500, 500
"""After a pause in reading as long as the first (a sink was away), ends seen before it count only after the second."""


class KafkaReader(StatefulSourcePartition[SourceBatch, Snapshot]):
    """One reader.

    Parameters
    ----------
    number, positions
        Of this one among ``settings.readers``; where the run before ended.
    now_ms
        The wall clock.
    """

    def __init__(
        self, number: int, settings: ReaderSettings, columns: ColumnReader, positions: Positions,
        engine: EngineClock, meter: Meter, stop: threading.Event, now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._number, self._settings, self._columns, self._run = number, settings, columns, positions.run + 1
        self._kept = positions.dealt_to(number, settings.readers)
        self._engine, self._meter, self._stop, self._now_ms = engine, meter, stop, now_ms
        self._partitions: dict[PartitionKey, Partition] = {}
        self._clock = ReaderClock(settings.lateness_ms, settings.idle_ms, positions.promised_ms)
        self._end_ms = positions.promised_ms
        self._refused: SourceError | None = None
        self._view = BrokerView()
        self._commits = Commits()
        config = consumer_config(
            settings.bootstrap, settings.group, settings.options, self._view, self._commits, self._note_error
        )
        self._consumer: Consumer = make_consumer(config)
        identify = TopicIds(settings.bootstrap, settings.options)
        self._topology = Topology(settings.topics, settings.refresh_seconds, self._kept, identify)
        self._ids: Mapping[str, str] = {}
        self._topology.start(self._consumer)
        self._assigned: frozenset[PartitionKey] = frozenset()
        self._turned_ms = self._sent_ms = now_ms()
        self._trust_ends_from_ms = 0
        self._sent: tuple[int, bool] = (BEFORE_ALL_MS, False)
        self._hurry = False

    # --- the runtime's side ------------------------------------------------------------------------

    def next_batch(self) -> list[SourceBatch]:
        """What has come since the last call; raises StopIteration when the process is to stop."""
        if self._stop.is_set():
            raise StopIteration
        now_ms = self._now_ms()
        if now_ms - self._turned_ms > STALL_MS:
            self._trust_ends_from_ms = now_ms + SETTLE_MS
        if now_ms < self._trust_ends_from_ms or self._hurry:  # with a full queue librdkafka asks for nothing
            self._clock.forgive(now_ms)
        self._turned_ms = now_ms
        self._meter.turned()
        self._assign_new()
        self._compare_ids()
        messages = self._consumer.consume(MAX_MESSAGES, 0)
        if self._refused is not None:
            raise self._refused
        self._hurry = len(messages) > MAX_MESSAGES // 4
        batch = self._read(self._by_partition(messages, now_ms), now_ms)
        self._look_around(now_ms)
        for partition in self._partitions.values():
            self._pause(partition, now_ms)
        batch.watermark_ms = self._clock.advance(
            self._partitions.values(), now_ms, self._engine.of_others_ms(self._number),
            trust_ends=now_ms >= self._trust_ends_from_ms, known=self._topology.looked,
        )  # fmt: skip
        batch.idle = self._clock.idle
        self._end_ms = batch.end_ms = max(self._end_ms, batch.watermark_ms)
        return [batch] if self._is_news(batch, now_ms) else []

    def next_awake(self) -> dt.datetime | None:
        """When to look for messages again: at once while there are many."""
        if self._hurry:
            return None
        return dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=self._settings.poll_ms)

    def snapshot(self) -> Snapshot:
        """Where to go on, also in partitions that cannot be seen now."""
        self._meter.epoch_ends()
        for key, partition in self._partitions.items():
            if partition.next_offset is not None:
                self._kept[key] = Position(partition.next_offset, partition.clock.high_ms, partition.topic_id)
        rows = tuple((*key, *astuple(at)) for key, at in sorted(self._kept.items()))
        read = self._partitions.keys() & self._kept
        self._commits.kept(self._consumer, [(key, self._kept[key].next_offset) for key in read])
        return SNAPSHOT, self._run, self._clock.promised_ms, rows

    def close(self) -> None:
        """Leave Kafka."""
        self._topology.close()
        self._commits.close(self._consumer)

    # --- partitions --------------------------------------------------------------------------------

    def _assign_new(self) -> None:
        found = self._topology.found
        if found == self._assigned or not self._topology.looked:
            return
        self._assigned, self._ids = found, {}
        new = sorted(
            key for key in found - self._partitions.keys() if reader_of(key, self._settings.readers) == self._number
        )
        if not new:
            return
        self._consumer.incremental_assign([TopicPartition(*key, self._open(key)) for key in new])
        _LOG.info("reading %s", ", ".join(f"{topic}/{number}" for topic, number in new))

    def _open(self, key: PartitionKey) -> int:
        """Follow a partition from now on; the offset to begin with."""
        position = self._kept.get(key)
        clock = PartitionClock(None if position is None else position.high_ms)
        partition = self._partitions[key] = Partition(*key, clock)
        if position is not None:
            partition.next_offset, partition.topic_id = position.next_offset, position.topic_id
            return position.next_offset
        if not self._settings.start_latest or self._clock.promised_ms != BEFORE_ALL_MS:
            return int(OFFSET_BEGINNING)  # what is new in a run that goes on is read whole
        return int(OFFSET_END)

    def _compare_ids(self) -> None:
        """Offsets of a topic that was made anew are lost, all of them."""
        ids = self._topology.ids
        for key, partition in self._partitions.items() if ids is not self._ids else ():
            topic_id = ids.get(key[0], partition.topic_id)
            if partition.topic_id not in (None, topic_id) and partition.next_offset is not None:
                self._find_lost(partition, "the topic has another id")
            partition.topic_id = topic_id
        self._ids = ids

    def _look_around(self, now_ms: int) -> None:
        """Take what the brokers said of themselves: who answers, and how much is left to read."""
        if not self._view.changed:
            return
        self._view.changed = False
        unreachable = [] if self._topology.looked else [self._settings.bootstrap]
        for key, partition in self._partitions.items():
            before, partition.reachable = partition.reachable, self._view.answers(key)
            if partition.reachable and not before:  # what came meanwhile is on its way
                self._trust_ends_from_ms = now_ms + SETTLE_MS
            if not self._view.has_leader(key):
                unreachable.append(f"{key[0]}/{key[1]}")
            end = self._view.end(key)
            if end is not None and partition.next_offset is not None:
                self._meter.lag(*key, max(0, end - partition.next_offset))
        self._meter.assigned(sorted(self._topology.missing), unreachable)
        self._meter.watermark((now_ms - self._clock.promised_ms) / 1000)

    def _pause(self, partition: Partition, now_ms: int) -> None:
        """Let a partition wait that is far ahead of the others, or go on."""
        waiting = partition.waiting(self._engine.ms, self._settings.lateness_ms)
        wanted = waiting > (MAX_WAITING // 2 if partition.paused else MAX_WAITING)
        if wanted != partition.paused:
            partition.paused = wanted
            place = [TopicPartition(partition.topic, partition.number)]
            (self._consumer.pause if wanted else self._consumer.resume)(place)
            self._trust_ends_from_ms = now_ms + SETTLE_MS  # it may have been the end when the pause began

    # --- messages ----------------------------------------------------------------------------------

    def _by_partition(self, messages: list[Message], now_ms: int) -> dict[PartitionKey, list[Message]]:
        found: dict[PartitionKey, list[Message]] = {}
        ends: dict[PartitionKey, tuple[int, int]] = {}
        for message in messages:
            key: Any = message.topic(), message.partition()
            error = message.error()
            if error is None:
                into = found.get(key)
                if into is None:
                    into = found[key] = []
                into.append(message)
            elif key not in self._partitions:
                self._note_error(error)
            elif error.code() == KafkaError._PARTITION_EOF:
                ends[key] = len(found.get(key, ())), message.offset() or 0
            else:
                self._note_partition_error(self._partitions[key], error)
        for key in found.keys() | ends.keys():
            partition, read = self._partitions[key], found.get(key)
            partition.heard_ms = now_ms
            before, end = ends.get(key, (-1, 0))
            partition.at_end = before == len(read or ())  # nothing came after the news of the end
            if partition.at_end:
                partition.next_offset = end
            elif read is not None:
                partition.next_offset = (read[-1].offset() or 0) + 1
        return found

    def _note_partition_error(self, partition: Partition, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._find_lost(partition, error.str())
            return
        refused = refusal(error, f"{partition.topic}/{partition.number}")
        if refused is not None:
            raise refused
        partition.at_end = False
        _LOG.warning("%s/%d cannot be read now: %s", partition.topic, partition.number, error.str())

    def _find_lost(self, partition: Partition, why: str) -> None:
        """The messages that were to be read next are gone."""
        place = f"{partition.topic}/{partition.number}"
        policy = self._settings.on_lost_offset
        if policy == "error":
            raise lost_offset(place, partition.next_offset, why)
        offset = OFFSET_BEGINNING if policy == "earliest" else OFFSET_END
        _LOG.error("%s: the messages from offset %s on are gone; going on with the %s there are", place,
                   partition.next_offset, policy)  # fmt: skip
        partition.next_offset, partition.at_end = None, False
        key = TopicPartition(partition.topic, partition.number, offset)
        self._consumer.incremental_unassign([key])
        self._consumer.incremental_assign([key])

    def _note_error(self, error: KafkaError) -> None:
        refused = refusal(error, f"Kafka at {self._settings.bootstrap}")
        if refused is not None and not self._topology.looked:
            self._refused = refused  # a callback cannot raise
        elif refused is not None:  # it worked before: somebody changes the credentials
            _LOG.warning("%s; trying again", refused)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            _LOG.warning("no broker of %s answers; going on when one does", self._settings.bootstrap)
        else:
            _LOG.info("Kafka: %s", error.str())

    def _read(self, found: dict[PartitionKey, list[Message]], now_ms: int) -> SourceBatch:
        batch = SourceBatch(self._number, BEFORE_ALL_MS, self._end_ms, [], [], Counter())
        if not found:
            return batch
        max_ahead_ms = self._settings.max_ahead_ms
        latest_ms = now_ms + max_ahead_ms if max_ahead_ms else NO_CEILING
        lines: list[bytes] = []
        runs: list[Run] = []
        for key, messages in found.items():
            stream = self._settings.topics[key[0]]
            lines += [line_of(m.value(), cast(Headers, m.headers()), stream) for m in messages]
            clock = self._partitions[key].clock
            clock.floor_ms, clock.latest_ms = self._clock.promised_ms, latest_ms
            runs.append(Run(len(messages), clock, place_of(messages), message_of(messages)))
        read = self._columns.read_runs(lines, runs)
        for key, messages in found.items():
            self._partitions[key].note_read(len(messages))
        if len(read.events):
            batch.events = split(read.events)
            self._end_ms = max(self._end_ms, int(read.events.effective_ms.max()))
        batch.counts = counts_of(read)
        batch.dead_letters = [letter.to_json() for letter in read.dead_letters]
        if self._settings.archive:
            dead = set(read.dead_lines)
            batch.archive = lines if not dead else [line for i, line in enumerate(lines) if i not in dead]
        return batch

    def _is_news(self, batch: SourceBatch, now_ms: int) -> bool:
        news = (batch.watermark_ms, batch.idle)
        if (
            not batch.events
            and not batch.dead_letters
            and (news == self._sent or 0 <= now_ms - self._sent_ms < TICK_MS)
        ):
            return False
        self._sent, self._sent_ms = news, now_ms
        return True
