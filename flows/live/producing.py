"""The Kafka producer of synthetic traffic: idempotent, every delivery checked, its latency counted."""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from time import monotonic
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from flows.live.recording import Recording
from flows.simulate.columns import STREAMS
from flows.simulate.endless import Block

_QUEUE_EVENTS = 200_000
_START_SECONDS = 60.0
_FINISH_SECONDS = 30.0


_CLIENT_LOG = logging.getLogger(f"{__name__}.librdkafka")
_CLIENT_LOG.addHandler(logging.NullHandler())
_CLIENT_LOG.propagate = False  # many lines a second while brokers are away, which `_tell_lost` tells in one


class TrafficError(Exception):
    """The traffic cannot be sent; the message says why and what to do."""


class Latencies:
    """How often which latency came, to half a millisecond, up to a minute."""

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * 120_001))
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[min(max(int(seconds * 2000), 0), 120_000)] += 1
        self.count += 1

    def percentile(self, part: float) -> float:
        """The latency in milliseconds that this part of them did not exceed; 0 if there are none."""
        wanted, seen = part * self.count, 0
        if not wanted:
            return 0.0
        for place, n in enumerate(self._counts):
            seen += n
            if seen >= wanted:
                return (place + 1) / 2
        return 60_000.0


class Producing:
    """A producer that never drops an event: brokers that are away are waited for, as long as it takes."""

    def __init__(
        self, bootstrap: str, options: Mapping[str, Any], topics: Mapping[str, Sequence[str]],
        recording: Recording | None, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._bootstrap = bootstrap
        self._topics = [list(topics.get(stream, ())) for stream in STREAMS]
        self._stream_of = {topic: stream for stream in STREAMS for topic in topics.get(stream, ())}
        self._recording = recording
        self._say = say
        self._lost = False
        self._trouble = ""
        self._problem: Exception | None = None
        self.latencies = Latencies()
        self.failed = 0
        self._options = {
            "linger.ms": 5,
            "logger": _CLIENT_LOG,
            "log.connection.close": False,  # told by `_client_error` where it matters
            "compression.type": "lz4",
            "partitioner": "murmur2_random",  # as the Java client's, so that all producers agree on the partition
            **options,
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": 0,
            "queue.buffering.max.messages": _QUEUE_EVENTS,
            "queue.buffering.max.kbytes": 1 << 20,
            "error_cb": self._client_error,
        }
        try:
            self._producer = Producer(self._options)
        except (KafkaException, TypeError, ValueError) as error:
            raise TrafficError(f"the Kafka client refuses its options: {_brief(error)}") from error

    def check_topics(self, partitions: int | None, stop: threading.Event) -> None:
        """Wait for the brokers a while, and see that every topic is there; with ``partitions``, create what is not."""
        wanted = [topic for topics in self._topics for topic in topics]
        there = self._topics_there(stop)
        missing = sorted(set(wanted) - there)
        if not missing or stop.is_set():
            return
        if partitions is None:
            raise TrafficError(
                f"{self._bootstrap} has no topic {', '.join(missing)}; create it, or have it created with --partitions"
            )
        options: dict[str, Any] = {**self._client_options(), "logger": _CLIENT_LOG}
        admin = AdminClient({**options, "bootstrap.servers": self._bootstrap})
        for topic, done in admin.create_topics([NewTopic(name, partitions) for name in missing]).items():
            try:
                done.result(_START_SECONDS)
            except FutureTimeoutError:
                raise TrafficError(f"{self._bootstrap} does not create topic {topic}: create it by hand") from None
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TrafficError(f"topic {topic} cannot be created: {_brief(error)}") from error

    def produce(self, block: Block, stamps: Sequence[int]) -> int:
        """Hand the events over, for which there must be room, and give their number: streams without topics are left
        out.
        """
        batches: dict[str, list[dict[str, bytes]]] = {}
        topics = self._topics
        for place, customer, head, ts, tail in zip(
            block.streams, block.customers, block.heads, stamps, block.tails, strict=True
        ):
            names = topics[place]
            if not names:
                continue
            topic = names[0] if len(names) == 1 else names[sum(customer) % len(names)]
            message = {"value": b"{%b%d%b}" % (head, ts, tail), "key": customer}
            if topic in batches:
                batches[topic].append(message)
            else:
                batches[topic] = [message]
        for topic, messages in batches.items():
            taken = self._producer.produce_batch(topic, messages, on_delivery=self._delivered)
            if taken != len(messages):
                why = next(str(message["_error"]) for message in messages if "_error" in message)
                raise TrafficError(f"topic {topic}: the client took {taken} of {len(messages)} events: {why}")
        self.poll(0.0)
        return sum(map(len, batches.values()))

    def wait_for_room(self, events: int, stop: threading.Event) -> None:
        """Until so many events can be handed over, or ``stop`` is set."""
        while len(self._producer) + events > _QUEUE_EVENTS and not stop.is_set():
            self.poll(monotonic() + 0.1)

    def poll(self, until: float) -> None:
        """Take in what was delivered, until this moment of the monotonic clock; 0: what there is."""
        while True:
            left = until - monotonic()
            self._producer.poll(max(0.0, left))
            if self._problem is not None:
                raise self._problem
            if left <= 0:
                return

    def finish(self) -> int:
        """Wait for what is under way, up to half a minute; the number of events that are not acknowledged."""
        left: int = self._producer.flush(_FINISH_SECONDS)
        if self._problem is not None:
            raise self._problem
        return left

    def close(self) -> None:
        """Give up what is under way, and the connections."""
        self._producer.purge()
        self._producer.close()

    def _topics_there(self, stop: threading.Event) -> set[str]:
        deadline = monotonic() + _START_SECONDS
        while True:
            try:
                there = set(self._producer.list_topics(timeout=2.0).topics)
                self._tell_back()
                return there
            except KafkaException as error:
                if stop.is_set():
                    return set()
                if monotonic() > deadline:
                    raise TrafficError(
                        f"no broker at {self._bootstrap} answers: {_brief(error)}; correct source.bootstrap"
                    ) from error
                self._producer.poll(0.5)
                self._tell_lost()

    def _client_options(self) -> dict[str, Any]:
        known = ("security.", "sasl.", "ssl.", "client.")
        return {name: value for name, value in self._options.items() if name.startswith(known)}

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        try:
            if error is not None:
                self._failed(error, message)
                return
            self.latencies.add(message.latency() or 0.0)
            self._tell_back()
            if self._recording is not None:
                topic = message.topic() or ""
                self._recording.write(
                    self._stream_of[topic], topic, message.partition() or 0, message.offset() or 0,
                    message.value() or b"",
                )  # fmt: skip
        except Exception as problem:  # an exception would end in the client's `poll`, which may be asked again
            self._problem = self._problem or problem

    def _failed(self, error: KafkaError, message: Message) -> None:
        self.failed += 1
        if self.failed == 1:
            self._say(f"topic {message.topic()}: an event was not delivered: {error.str()}; further ones are counted")

    def _client_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._problem = TrafficError(f"the Kafka client cannot go on: {error.str()}")
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._tell_lost()
        else:
            self._trouble = error.str()

    def _tell_back(self) -> None:
        if self._lost:
            self._lost = False
            self._say("the brokers are back")

    def _tell_lost(self) -> None:
        if not self._lost:
            self._lost = True
            why = f": {self._trouble}" if self._trouble else ""
            self._say(f"no broker at {self._bootstrap} answers (source.bootstrap); trying again{why}")


def _brief(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)
