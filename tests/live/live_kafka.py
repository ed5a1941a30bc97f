"""A Kafka cluster as the tests use it: topics, messages, brokers that come and go."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from flows.services.control import Wanted, start, start_brokers, stop, stop_brokers
from flows.services.process import send
from flows.services.record import KafkaRecord, read_record

Headers = Sequence[tuple[str, bytes]]

_numbers = itertools.count()


@dataclass(frozen=True)
class KafkaServer:
    """A running cluster. `kind` is ``kafka``, or ``tansu`` where the machine cannot run Apache Kafka."""

    bootstrap: str
    kind: str
    folder: Path = field(repr=False)

    @cached_property
    def admin(self) -> AdminClient:
        settings = {"bootstrap.servers": self.bootstrap, "reconnect.backoff.max.ms": 500, "log_level": 0}
        return AdminClient(settings)

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication: int = 1,
        *,
        replicas: Sequence[Sequence[int]] | None = None,
        **config: str,
    ) -> str:
        """Returns the name; settings are written with underscores: ``retention_ms="1000"``.

        `replicas` says for each partition which nodes have it, its leader first; else Kafka chooses at random.
        """
        settings = {key.replace("_", "."): value for key, value in config.items()}
        if replicas is None:
            topic = NewTopic(name, partitions, replication, config=settings)
        else:
            partitions = len(replicas)
            topic = NewTopic(name, partitions, replica_assignment=[list(nodes) for nodes in replicas], config=settings)
        self.admin.create_topics([topic])[name].result(30)
        self._wait_for_leaders(name, partitions)
        return name

    def new_topic(self, prefix: str = "topic", partitions: int = 1, replication: int = 1, **more: Any) -> str:
        """A topic of a name that no other test has; `more` as in ``create_topic``."""
        name = f"{prefix}.{os.getpid()}.{next(_numbers)}"
        return self.create_topic(name, partitions, replication, **more)

    def add_partitions(self, topic: str, total: int) -> None:
        from confluent_kafka.admin import NewPartitions

        self.admin.create_partitions([NewPartitions(topic, total)])[topic].result(30)
        self._wait_for_leaders(topic, total)

    def delete_topic(self, topic: str) -> None:
        """Returns when the topic is gone from the cluster's metadata."""
        self.admin.delete_topics([topic])[topic].result(30)
        _wait(lambda: topic not in self.admin.list_topics(timeout=10).topics, f"{topic} is still there")

    def topics(self) -> list[str]:
        return sorted(name for name in self.admin.list_topics(timeout=10).topics if not name.startswith("__"))

    def partitions(self, topic: str) -> list[int]:
        return sorted(self.admin.list_topics(topic, timeout=10).topics[topic].partitions)

    def leader(self, topic: str, partition: int = 0) -> int:
        """The node number of the partition's leader, -1 if it has none."""
        return int(self.admin.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader)

    def replicas_in_sync(self, topic: str, partition: int = 0) -> list[int]:
        return sorted(self.admin.list_topics(topic, timeout=10).topics[topic].partitions[partition].isrs)

    def end_offsets(self, topic: str) -> dict[int, int]:
        consumer = self._consumer()
        try:
            return {
                partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
                for partition in self.partitions(topic)
            }
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's offsets; partitions without one are left out."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "log_level": 0})
        try:
            asked = [TopicPartition(topic, partition) for partition in self.partitions(topic)]
            return {
                found.partition: found.offset for found in consumer.committed(asked, timeout=10) if found.offset >= 0
            }
        finally:
            consumer.close()

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        key: bytes | None = None,
        keys: Iterable[bytes | None] | None = None,
        partition: int = -1,
        headers: Headers | None = None,
        **settings: str,
    ) -> int:
        """Returns how many messages were delivered, which is all of them.

        `keys` gives each message its own, `key` all the same.
        """
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 0,
                **settings,
            }
        )
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        count = 0
        for value, own in zip(values, keys if keys is not None else itertools.repeat(key), strict=False):
            while True:
                try:
                    producer.produce(topic, value, own, partition, delivered, headers=list(headers or []))
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
            producer.poll(0)
        left = producer.flush(60)
        assert not failures, failures[0]
        assert left == 0, f"{left} messages were not delivered"
        return count

    def consume_all(self, *topics: str, timeout_s: float = 30.0) -> list[Message]:
        """Every message that the topics hold now, in the order of each partition."""
        consumer = self._consumer()
        try:
            parts = [TopicPartition(topic, number, 0) for topic in topics for number in self.partitions(topic)]
            consumer.assign(parts)
            messages: list[Message] = []
            at_end: set[tuple[str | None, int | None]] = set()
            last = time.monotonic() + timeout_s
            while len(at_end) < len(parts):
                assert time.monotonic() < last, (
                    f"end of {topics} not reached in {timeout_s} s: {len(messages)} messages"
                )
                for message in consumer.consume(10_000, 0.2):
                    error = message.error()
                    if error is None:
                        messages.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        at_end.add((message.topic(), message.partition()))
                    elif not error.retriable():
                        raise KafkaException(error)
            return messages
        finally:
            consumer.close()

    def wait_for(self, topic: str, count: int, timeout_s: float = 30.0) -> list[Message]:
        """The topic's messages, as soon as there are `count` at least."""
        last = time.monotonic() + timeout_s
        while len(messages := self.consume_all(topic)) < count:
            assert time.monotonic() < last, f"{topic}: {len(messages)} of {count} messages after {timeout_s} s"
        return messages

    def _consumer(self) -> Consumer:
        settings = {"bootstrap.servers": self.bootstrap, "group.id": "tests-read-all", "enable.partition.eof": True}
        settings["fetch.wait.max.ms"] = 50
        return Consumer({**settings, "enable.auto.commit": False, "auto.offset.reset": "earliest", "log_level": 0})

    def _wait_for_leaders(self, topic: str, partitions: int) -> None:
        def led() -> bool:
            found = self.admin.list_topics(timeout=10).topics.get(topic)
            return found is not None and sum(p.leader >= 0 for p in found.partitions.values()) >= partitions

        _wait(led, f"{topic} has no leader")


class KafkaCluster(KafkaServer):
    """Brokers of the test's own. Data stay over a stop and a kill, except with ``tansu``."""

    @property
    def record(self) -> KafkaRecord:
        kafka = read_record(self.folder).kafka
        assert kafka is not None
        return kafka

    @property
    def nodes(self) -> list[int]:
        return list(range(1, len(self.record.brokers) + 1))

    def stop(self, *nodes: int) -> None:
        """Lets these brokers end, all by default; node 1 is the controller too."""
        stop_brokers(self.folder, *(nodes or self.nodes[::-1]))

    def kill(self, *nodes: int) -> None:
        """SIGKILL."""
        stop_brokers(self.folder, *(nodes or self.nodes), kill=True)

    def start(self, *nodes: int) -> None:
        """Starts them again at the same addresses; returns when all brokers that run answer."""
        start_brokers(self.folder, *(nodes or self.nodes))

    def restart(self, *nodes: int) -> None:
        self.stop(*nodes)
        self.start(*nodes)

    def pause(self, *nodes: int) -> None:
        """The brokers keep their connections and say nothing (SIGSTOP)."""
        for node in nodes or self.nodes:
            send(self.record.brokers[node - 1].process, signal.SIGSTOP)

    def resume(self, *nodes: int) -> None:
        for node in nodes or self.nodes:
            send(self.record.brokers[node - 1].process, signal.SIGCONT)

    def close(self) -> None:
        stop(self.folder)


def started_cluster(folder: Path, brokers: int, replication: int, properties: Mapping[str, str]) -> KafkaCluster:
    """A cluster of its own on free ports."""
    from flows.services.process import this_process

    wanted = Wanted(("kafka",), brokers, kafka_port=0, replication=replication, properties=properties)
    kafka = start(folder, wanted, owner=this_process()).kafka
    assert kafka is not None
    return KafkaCluster(kafka.bootstrap, kafka.kind, folder)


def _wait(condition, otherwise: str, timeout_s: float = 30.0) -> None:  # type: ignore[no-untyped-def]
    last = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < last, otherwise
        time.sleep(0.05)
