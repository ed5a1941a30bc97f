"""A Kafka cluster inside this process: librdkafka's own mock brokers, with the faults that they can be told to make."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

PRODUCE = 0  # api key
_Pointer = ctypes.c_void_p


def _library() -> ctypes.CDLL:
    """The librdkafka that confluent_kafka itself has loaded."""
    beside = Path(confluent_kafka.__file__).parent
    for folder in (beside.parent / "confluent_kafka.libs", beside / ".dylibs"):
        for path in folder.glob("librdkafka*"):
            return ctypes.CDLL(str(path))
    raise RuntimeError("confluent_kafka comes without a librdkafka of its own")


class MockKafka:
    """Brokers on loopback, until `close`."""

    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        for name in ("rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(self._library, name).restype = _Pointer
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        error = ctypes.create_string_buffer(512)
        self._client = _Pointer(self._library.rd_kafka_new(0, None, error, ctypes.c_size_t(512)))
        assert self._client, error.value
        self._cluster = _Pointer(self._library.rd_kafka_mock_cluster_new(self._client, brokers))
        self.brokers = list(range(1, brokers + 1))
        self.bootstrap: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create_topic(self, topic: str, partitions: int = 3) -> None:
        """Create it."""
        self._call("topic_create", topic.encode(), partitions, 1)

    def topic_error(self, topic: str, code: int) -> None:
        """Answer metadata requests for the topic with an error; 0 ends it."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def down(self) -> None:
        """All brokers refuse connections."""
        for broker in self.brokers:
            self._call("broker_set_down", broker)

    def up(self) -> None:
        """All brokers are back."""
        for broker in self.brokers:
            self._call("broker_set_up", broker)

    def slow(self, round_trip_ms: int) -> None:
        """All answers take so long."""
        for broker in self.brokers:
            self._call("broker_set_rtt", broker, round_trip_ms)

    def fail(self, codes: Sequence[int], api: int = PRODUCE) -> None:
        """The next requests of a kind are answered with these errors, one each (0: none)."""
        array = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(api), ctypes.c_size_t(len(codes)), array
        )

    def answer_late(self, requests: int, round_trip_ms: int, api: int = PRODUCE) -> None:
        """Carry out the next requests at once and answer them late."""
        pairs = [ctypes.c_int(value) for _ in range(requests) for value in (0, round_trip_ms)]
        for broker in self.brokers:
            self._library.rd_kafka_mock_broker_push_request_error_rtts(
                self._cluster, ctypes.c_int32(broker), ctypes.c_int16(api), ctypes.c_size_t(requests), *pairs
            )

    def messages(self, topic: str) -> Iterator[Message]:
        """All messages of a topic, each partition's in order."""
        options = {"bootstrap.servers": self.bootstrap, "group.id": "test", "enable.partition.eof": True}
        consumer = Consumer({**options, "enable.auto.commit": False, "fetch.wait.max.ms": 10})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            ended = 0
            while ended < len(partitions):
                message = consumer.poll(10)
                assert message is not None, f"{topic}: no answer"
                error = message.error()
                if error is None:
                    yield message
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended += 1
        finally:
            consumer.close()

    def close(self) -> None:
        """Stop the brokers."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments)
        assert code == 0, f"{name}: {code}"
