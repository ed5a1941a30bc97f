"""Brokers of a scenario's own: they stop, freeze and come back; topics come and go; everything in them can be read."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from flows.services.control import Wanted, start, start_brokers, stop, stop_brokers
from flows.services.process import send, this_process, wait_until
from flows.services.record import KafkaRecord, read_record

WAIT_S = 60.0
_LARGE = 16 << 20


class BrokerError(Exception):
    """The brokers do not do what the scenario asks of them."""


class Brokers:
    """Apache Kafka in a folder, on free ports, stopped when this process ends."""

    def __init__(self, folder: Path, brokers: int, replication: int) -> None:
        self._folder = folder
        # A message of 5 MB is one that a broker may let pass.
        properties = {"message.max.bytes": str(_LARGE), "replica.fetch.max.bytes": str(_LARGE)}
        wanted = Wanted(("kafka",), brokers, kafka_port=0, replication=replication, properties=properties)
        kafka = start(folder, wanted, owner=this_process()).kafka
        assert kafka is not None
        self.bootstrap, self.kind = kafka.bootstrap, kafka.kind
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    # --- brokers -----------------------------------------------------------------------------------

    def stop(self, *numbers: int) -> None:
        """Let these end in order."""
        stop_brokers(self._folder, *numbers)

    def kill(self, *numbers: int) -> None:
        """SIGKILL."""
        stop_brokers(self._folder, *numbers, kill=True)

    def start(self, *numbers: int) -> None:
        """Start these again, with their data."""
        start_brokers(self._folder, *numbers)

    def freeze(self, *numbers: int) -> None:
        """They keep their connections and say nothing."""
        self._signal(numbers, signal.SIGSTOP)

    def thaw(self, *numbers: int) -> None:
        """They go on."""
        self._signal(numbers, signal.SIGCONT)

    def close(self) -> None:
        """Stop all."""
        stop(self._folder)

    def _signal(self, numbers: Iterable[int], what: signal.Signals) -> None:
        for number in numbers:
            send(self._record.brokers[number - 1].process, what)

    @property
    def _record(self) -> KafkaRecord:
        kafka = read_record(self._folder).kafka
        assert kafka is not None
        return kafka

    # --- topics ------------------------------------------------------------------------------------

    def create(self, topics: Iterable[str], partitions: int, replication: int) -> None:
        """Create topics, and wait for their leaders."""
        wanted = list(topics)
        made = [NewTopic(topic, partitions, replication) for topic in wanted]
        for done in self._admin.create_topics(made).values():
            done.result(WAIT_S)

        def led() -> bool:
            found = self._admin.list_topics(timeout=10).topics
            return all(
                topic in found
                and len(found[topic].partitions) == partitions
                and all(partition.leader >= 0 for partition in found[topic].partitions.values())
                for topic in wanted
            )

        _wait(led, f"no leaders of {', '.join(wanted)}")

    def delete(self, topic: str) -> None:
        """Returns when the topic is gone."""
        self._admin.delete_topics([topic])[topic].result(WAIT_S)
        _wait(lambda: topic not in self._admin.list_topics(timeout=10).topics, f"{topic} is still there")

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """The partitions of those topics that there are."""
        found = self._admin.list_topics(timeout=10).topics
        return [TopicPartition(topic, p) for topic in topics if topic in found for p in found[topic].partitions]

    def leaders(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The number of each partition's leader."""
        found = self._admin.list_topics(timeout=10).topics
        return {(topic, number): p.leader for topic in topics for number, p in found[topic].partitions.items()}

    # --- messages ----------------------------------------------------------------------------------

    def send(self, messages: Iterable[tuple[str, bytes | None, bytes | None, int]]) -> None:
        """Send (topic, key, value, partition or -1), and return when all are acknowledged."""
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        producer = Producer({"bootstrap.servers": self.bootstrap, "message.max.bytes": _LARGE, "log_level": 0})
        for topic, key, value, partition in messages:
            producer.produce(topic, value, key, partition, delivered)
        if producer.flush(WAIT_S) or failures:
            raise BrokerError(f"messages were not delivered: {failures[:1]}")

    def read_all(self, topics: Iterable[str]) -> list[Message]:
        """All messages that the topics hold now, each partition's in its order."""
        consumer = self._consumer("faults-read-all")
        try:
            parts = self.partitions(topics)
            for part in parts:
                part.offset = 0
            consumer.assign(parts)
            left = {(part.topic, part.partition) for part in parts}
            messages: list[Message] = []
            deadline = time.monotonic() + WAIT_S
            while left:
                if time.monotonic() > deadline:
                    raise BrokerError(f"the ends of {sorted(left)} are not reached")
                for message in consumer.consume(10_000, 0.2):
                    error = message.error()
                    if error is None:
                        messages.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        left.discard((message.topic() or "", message.partition() or 0))
                    elif not error.retriable():
                        raise KafkaException(error)
            return messages
        finally:
            consumer.close()

    def lag(self, group: str, topics: Iterable[str]) -> int:
        """Messages that the group has not committed yet."""
        consumer = self._consumer(group)
        try:
            lag = 0
            for part in consumer.committed(self.partitions(topics), timeout=10):
                _, end = consumer.get_watermark_offsets(part, timeout=10)
                lag += end - max(0, part.offset)
            return lag
        finally:
            consumer.close()

    def _consumer(self, group: str) -> Consumer:
        return Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": group, "enable.partition.eof": True, "log_level": 0,
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50,
        })  # fmt: skip


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    if not wait_until(condition, WAIT_S):
        raise BrokerError(otherwise)
