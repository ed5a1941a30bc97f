"""A reader's Kafka consumer: what it is told, what it finds, and what its errors mean."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from flows.lines import SourceError
from flows.live.positions import PartitionKey

_LOG = logging.getLogger(__name__)

_OURS = {
    "enable.auto.commit": False,  # committed when a snapshot survives, for tools that show the lag
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a lost position is never passed over in silence
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 50,  # how late the end of a partition, or that a broker is silent, may be noticed
    "statistics.interval.ms": 100,
    "session.timeout.ms": 3_000,  # how long a commit waits for the group's broker; nobody joins the group
    "heartbeat.interval.ms": 1_000,
    "max.poll.interval.ms": 86_400_000,  # a sink that is away stops reading; partitions are assigned by hand anyway
}
_DEFAULTS = {
    "client.id": "cem",
    "queued.max.messages.kbytes": 32_768,
    "reconnect.backoff.max.ms": 2_000,
}

REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED,
    }
)  # fmt: skip


SILENT_US = 250_000
"""A broker that has not answered for so long has stopped: it is asked for more every ``fetch.wait.max.ms``."""


LOOK_SECONDS = 3.0
"""The longest that brokers are waited for, also at the end of a run."""


class _Broker(msgspec.Struct):
    nodeid: int
    state: str
    rxidle: int = -1


class _PartitionStatistics(msgspec.Struct):
    leader: int = -1
    hi_offset: int = -1


class _TopicStatistics(msgspec.Struct):
    partitions: dict[str, _PartitionStatistics] = {}


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker] = {}
    topics: dict[str, _TopicStatistics] = {}


class BrokerView:
    """What librdkafka's statistics say, ten times a second: which partitions can be read, and where they end.

    So often, because a broker that stops must be noticed before event time has gone beyond what it did not send.
    """

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Statistics).decode
        self._found = _Statistics()
        self.changed = False

    def take(self, text: str) -> None:
        """Take a new statistics document."""
        self._found = self._decode(text)
        self.changed = True

    def has_leader(self, partition: PartitionKey) -> bool:
        """Whether there is a connection to the partition's leader."""
        return self._leader(partition) is not None

    def answers(self, partition: PartitionKey) -> bool:
        """Whether the partition's leader has answered just now."""
        leader = self._leader(partition)
        return leader is not None and 0 <= leader.rxidle < SILENT_US

    def end(self, partition: PartitionKey) -> int | None:
        """The offset at which the partition ends; null if that is not known."""
        found = self._of(partition)
        return None if found is None or found.hi_offset < 0 else found.hi_offset

    def _leader(self, partition: PartitionKey) -> _Broker | None:
        found = self._of(partition)
        if found is None or found.leader < 0:  # as the group's coordinator is, or a bootstrap server
            return None
        brokers = self._found.brokers.values()
        return next((broker for broker in brokers if broker.nodeid == found.leader and broker.state == "UP"), None)

    def _of(self, partition: PartitionKey) -> _PartitionStatistics | None:
        topic = self._found.topics.get(partition[0])
        return None if topic is None else topic.partitions.get(str(partition[1]))


class Commits:
    """Tells the group how far its partitions were read, for tools that show the lag: nothing depends on it."""

    def __init__(self) -> None:
        self._next: list[TopicPartition] = []
        self._is_waiting = False

    def kept(self, consumer: Consumer, offsets: Iterable[tuple[PartitionKey, int]]) -> None:
        """A snapshot has these offsets: commit those of the one before, which counts by now."""
        self._begin(consumer)
        self._next = [TopicPartition(*key, offset) for key, offset in offsets]

    def close(self, consumer: Consumer) -> None:
        """Commit the last ones, if the group's broker answers, and close the consumer."""
        self._wait(consumer)
        self._begin(consumer)
        self._wait(consumer)
        consumer.close()

    def _wait(self, consumer: Consumer) -> None:
        last = monotonic() + LOOK_SECONDS
        while self._is_waiting and monotonic() < last:
            consumer.poll(0.05)

    def done(self, error: KafkaError | None, _: Sequence[TopicPartition]) -> None:
        """The group's broker answered, or did not."""
        self._is_waiting = False
        if error is not None:
            _LOG.warning("offsets were not committed: %s", error.str())

    def _begin(self, consumer: Consumer) -> None:
        if self._next and not self._is_waiting:
            try:
                consumer.commit(offsets=self._next, asynchronous=True)
                self._is_waiting = True
            except KafkaException as error:
                _LOG.warning("offsets were not committed: %s", reason_of(error))


def consumer_config(
    bootstrap: str, group: str, options: Mapping[str, Any], view: BrokerView, commits: Commits,
    failed: Callable[[KafkaError], None],
) -> dict[str, Any]:  # fmt: skip
    """The consumer's configuration; ``options`` are the operator's, but for what correctness depends on."""
    return {
        **_DEFAULTS, **options, **_OURS, "bootstrap.servers": bootstrap, "group.id": group,
        "stats_cb": view.take, "on_commit": commits.done, "error_cb": failed, "logger": logging.getLogger("librdkafka"),
    }  # fmt: skip


def make_consumer(config: Mapping[str, Any]) -> Consumer:
    """A consumer.

    Raises
    ------
    SourceError
        librdkafka does not take the configuration.
    """
    try:
        return Consumer(dict(config))
    except (KafkaException, ValueError, TypeError) as error:
        raise SourceError(f"source.options: librdkafka refuses them: {reason_of(error)}; correct the option") from error


def refusal(error: KafkaError, what: str) -> SourceError | None:
    """The failure that an error is which waiting does not mend; null for others."""
    if error.code() not in REFUSED:
        return None
    return SourceError(
        f"{what}: Kafka refuses this client: {error.str()}; give its user the right to read (ACL), or correct the "
        "credentials under source.options"
    )


def lost_offset(place: str, offset: int | None, why: str) -> SourceError:
    """The failure that messages which were to be read are gone."""
    return SourceError(
        f"{place}: the messages from offset {offset} on are gone from Kafka ({why}): they were deleted before "
        "they were read, or the topic was made anew; to go on without them set source.on_lost_offset to earliest (or "
        "latest), start, and set it back"
    )


def reason_of(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return str(error.args[0].str())
    return str(error)


class Topology:
    """Looks for the partitions of some topics, again and again, in a thread of its own.

    ``found``: what there is by now, with what was ``known`` before; ``missing``: topics that do not exist; ``looked``:
    whether the brokers have said once what there is; ``error``: why they did not the last time; ``ids``: of the topics,
    as ``identify`` gives them.
    """

    def __init__(
        self, topics: Iterable[str], every_seconds: float, known: Iterable[PartitionKey] = (),
        identify: Callable[[Collection[str], float], Mapping[str, str]] = lambda topics, timeout_seconds: {},
    ) -> None:  # fmt: skip
        self._topics, self._every_seconds, self._identify = frozenset(topics), every_seconds, identify
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.found = frozenset(key for key in known if key[0] in self._topics)
        self.missing: frozenset[str] = frozenset()
        self.looked = False
        self.error: str | None = None
        self.ids: Mapping[str, str] = {}

    def start(self, consumer: Consumer) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, args=[consumer], name="kafka-topology", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more; before the consumer is closed, which must not happen while somebody asks it."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def look(self, consumer: Consumer, timeout_seconds: float) -> bool:
        """Look once; whether the brokers answered."""
        try:
            metadata = consumer.list_topics(timeout=timeout_seconds)
        except KafkaException as error:
            self.error = reason_of(error)
            return False
        topics = {name: metadata.topics[name] for name in self._topics & metadata.topics.keys()}
        usable = {name: topic for name, topic in topics.items() if topic.error is None}
        ids = {**self.ids, **self._identify(usable.keys(), timeout_seconds)}
        if ids != self.ids:
            self.ids = ids
        # what was there once is not given up: a topic that is gone for a moment keeps its positions
        self.found |= {(name, number) for name, topic in usable.items() for number in topic.partitions}
        missing = self._topics - usable.keys()
        if missing != self.missing and missing:
            names = ", ".join(sorted(missing))
            _LOG.warning("topics do not exist (yet), or this client has no right to see them: %s", names)
        self.missing, self.error, self.looked = frozenset(missing), None, True
        return True

    def _run(self, consumer: Consumer) -> None:
        while not self._closed.is_set():
            reached = self.look(consumer, LOOK_SECONDS)
            self._closed.wait(self._every_seconds if reached and not self.missing else 1.0)


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    host = address.rpartition(":")[0]
    return host == "localhost" or host.startswith("127.")
