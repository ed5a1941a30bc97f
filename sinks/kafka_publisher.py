"""Messages to Kafka, each of which is acknowledged by the brokers before a flush returns.

What librdkafka does for it: an idempotent producer sends a partition's messages in order whatever it repeats, without a
time limit, and with the gapless guarantee it rather fails as a whole than to skip one. What is done here: messages are
kept until their acknowledgement, and when the producer has failed, a new one sends all of them again in order. So a
message may arrive twice, but never after one that was sent later for the first time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from sinks.contract import Attempts, Refused, SinkError, SinkEvents

_LOG = logging.getLogger(__name__)

PENDING_BYTES = 32 << 20
"""Of messages that wait for their acknowledgement; librdkafka has a copy of each."""
_OVERHEAD_BYTES = 256  # of a message beside its key and value
_POLL_S = 0.5
_DRAIN_POLLS, _DRAIN_S = 10, 0.02
_QUIET_POLLS = 10  # polls without an acknowledgement after which the brokers count as away

_FORCED: dict[str, Any] = {
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "acks": "all",
    "message.timeout.ms": 0,  # for ever
    "partitioner": "murmur2_random",  # as Java clients have it, so that consumers may join by key
}
_DEFAULTS: dict[str, Any] = {
    "client.id": "cem",
    "log_level": 3,  # errors; warnings would be of the experimental gapless guarantee
    "linger.ms": 5,
    "socket.timeout.ms": 30_000,
    "reconnect.backoff.max.ms": 2_000,
    "topic.metadata.propagation.max.ms": 10_000,
}
_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE: "refused:too_large",
    KafkaError.RECORD_LIST_TOO_LARGE: "refused:too_large",
    KafkaError.INVALID_RECORD: "refused:invalid_record",
}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Write and Describe on the topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "IdempotentWrite on the cluster, or Write on the topic",
}
_UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_AWAY = {KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE}


class Message(NamedTuple):
    """One message. ``line`` is what it was made of, ``ts_ms`` the event time of the decision that it tells of."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    line: bytes
    ts_ms: int | None = None

    @property
    def size(self) -> int:
        """In memory, in bytes, about."""
        return len(self.value) + len(self.key or b"") + _OVERHEAD_BYTES


def client_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a client that speaks of its errors through `logging`."""
    return {**_DEFAULTS, "logger": logging.getLogger("librdkafka"), **options}


class Publisher:
    """Sends messages in order and keeps each until it is acknowledged.

    Parameters
    ----------
    name
        Of the sink, for logs and metrics.
    options
        Of librdkafka, ``bootstrap.servers`` among them. What delivery rests on (acks, idempotence, time limit,
        partitioner) is set here whatever they say.
    refused
        Is given the line of a message that the brokers refuse for its size or content.
    unknown_topic
        Is called before what a missing topic stopped is sent again.

    Raises
    ------
    SinkError
        The options are refused, or, while sending, the user is not authorised.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], events: SinkEvents, refused: Refused, *,
        unknown_topic: Callable[[], None] | None = None, pending_bytes: int = PENDING_BYTES,
    ) -> None:  # fmt: skip
        self._name, self._events, self._refused, self._unknown_topic = name, events, refused, unknown_topic
        self._limit_bytes = pending_bytes
        self._options = {
            **client_options(options), **_FORCED,
            "error_cb": self._on_error,
            "queue.buffering.max.kbytes": max(1, 2 * pending_bytes // 1024),
        }  # fmt: skip
        self._attempts = Attempts(name, events)
        self._waiting: deque[tuple[int, Message]] = deque()  # not handed to the producer yet
        self._pending: dict[int, Message] = {}  # handed over and not acknowledged, by number, in order
        self._bytes = 0  # of both
        self._numbers = self._acknowledged = self._quiet = 0
        self._times_ms: list[int] = []
        self._told = 0  # acknowledgements that the events have been told of
        self._failures: dict[int, KafkaError] = {}  # of this producer, by message
        self._broken: str | None = None  # why this producer cannot go on
        self._trouble: KafkaError | None = None  # why no broker can be reached
        self._alone = False  # every message in a batch of its own
        self._generation = 0
        self._producer: Producer | None = self._open()

    def send(self, messages: Iterable[Message]) -> None:
        """Take messages over; waits while too many are not acknowledged."""
        for message in messages:
            self._waiting.append((self._numbers, message))
            self._numbers += 1
            self._bytes += message.size
            if self._bytes > self._limit_bytes:
                self._wait(self._limit_bytes // 2)
        self._hand_over()
        self._poll(0)
        if self._broken:
            self._repair()

    def flush(self) -> None:
        """Returns when all that was sent is acknowledged, or refused and safe elsewhere."""
        self._wait(0)
        self._poll(0)  # what the client has to say is not left lying

    def close(self) -> None:
        """Lets go; what is not acknowledged is given up."""
        self._generation += 1  # callbacks of the old producer count no more
        if self._producer is not None:
            try:
                self._producer.purge()
            except KafkaException as error:
                _LOG.debug("%s: %s", self._name, error)
            self._producer = None

    def _wait(self, until_bytes: int) -> None:
        while self._bytes > until_bytes:
            self._turn()

    def _turn(self) -> None:
        before = self._acknowledged
        self._hand_over()
        if not self._broken:
            self._poll(_POLL_S)
        if self._broken:
            self._repair()
        elif self._acknowledged == before:
            self._quiet += 1
            if self._trouble is not None or self._quiet >= _QUIET_POLLS:
                self._away()

    def _hand_over(self) -> None:
        while self._waiting and not self._broken:
            number, message = self._waiting[0]
            try:
                self._running.produce(
                    message.topic, message.value, message.key, headers=message.headers,
                    on_delivery=partial(self._answered, self._generation, number),
                )  # fmt: skip
            except BufferError:
                return
            except KafkaException as error:
                code = error.args[0].code()
                if code not in _REFUSALS:
                    self._failures[number] = error.args[0]
                    self._broken = str(error.args[0])
                    return
                self._refused(message.line, _REFUSALS[code])
                self._bytes -= message.size
            else:
                self._pending[number] = message
            self._waiting.popleft()

    def _poll(self, timeout_s: float) -> None:
        try:
            self._running.poll(timeout_s)
        except (KafkaException, SystemError) as error:  # a fatal error; callbacks beside it may fail for it
            self._broken = str(error)
        if self._failures and not self._broken:
            self._broken = str(next(iter(self._failures.values())))
        if self._acknowledged > self._told:
            self._attempts.worked()
            self._quiet, self._trouble = 0, None
            self._events.written(self._name, self._acknowledged - self._told)
            self._told = self._acknowledged
            if self._times_ms:
                times_ms, self._times_ms = self._times_ms, []
                self._events.delivered(self._name, times_ms)

    def _answered(self, generation: int, number: int, error: KafkaError | None, sent: Any) -> None:
        """The brokers' answer to one message. While an exception is on its way no call out of here can succeed."""
        if generation != self._generation:
            return
        if error is not None:
            self._failures[number] = error
            return
        if sent.offset() is None:
            # librdkafka concludes from a later message's acknowledgement that this one, of a failed request, is there.
            # A broker that knew nothing of the producer takes the later one without this one: it is sent again.
            self._broken = "a message was acknowledged without its offset"
            return
        message = self._pending.pop(number)
        self._bytes -= message.size
        self._acknowledged += 1
        if message.ts_ms is not None:
            self._times_ms.append(message.ts_ms)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _AWAY:
            self._trouble = error

    def _away(self) -> None:
        trouble, self._trouble, self._quiet = self._trouble, None, 0
        if trouble is not None and trouble.code() == KafkaError._AUTHENTICATION and not self._acknowledged:
            raise SinkError(
                f"{self._name}: the brokers refuse the credentials: {trouble.str()}; "
                "check security.protocol and the sasl.* options"
            )
        what = trouble.str() if trouble is not None else f"no acknowledgement for {_QUIET_POLLS * _POLL_S:g} s"
        self._attempts.failed(f"{self._options.get('bootstrap.servers')}: {what}")

    def _repair(self) -> None:
        """Deal with what broke the producer, and have a new one send again what is not acknowledged."""
        self._drain()
        codes = {number: error.code() for number, error in self._failures.items()}
        for number, code in codes.items():
            if code in _FORBIDDEN:
                topic = self._topic(number)
                raise SinkError(
                    f"{self._name}: not authorised to write to topic {topic}: {self._failures[number].str()}; "
                    f"grant the user {_FORBIDDEN[code]}"
                )
        refused = [number for number, code in codes.items() if code in _REFUSALS and number in self._pending]
        if refused and self._alone:
            for number in refused:
                self._refused(self._pending[number].line, _REFUSALS[codes[number]])
                del self._pending[number]
        elif refused:  # one message of the batch, or the batch for its size: each for itself will tell
            self._alone = True
            _LOG.warning(
                "%s: a batch was refused (%s); messages are sent one by one from now on. If the topic's "
                "max.message.bytes is below the producer's batch.size, set the sink's option batch.size",
                self._name, self._broken,
            )  # fmt: skip
        else:
            self._attempts.failed(self._broken or "the producer failed")
            if self._unknown_topic is not None and not _UNKNOWN_TOPIC.isdisjoint(codes.values()):
                self._unknown_topic()
        self.close()
        self._waiting.extendleft(reversed(self._pending.items()))
        self._pending.clear()
        self._failures.clear()
        self._bytes = sum(message.size for _, message in self._waiting)
        self._broken = self._trouble = None
        self._producer = self._open()

    def _drain(self) -> None:
        """Take in the answers that came with a fatal error, or after it."""
        for _ in range(_DRAIN_POLLS):
            if not self._pending or len(self._failures) >= len(self._pending):
                return
            try:
                self._running.poll(_DRAIN_S)
            except (KafkaException, SystemError) as error:
                self._broken = self._broken or str(error)

    def _topic(self, number: int) -> str:
        message = self._pending.get(number) or dict(self._waiting).get(number)
        return message.topic if message is not None else "(unknown)"

    @property
    def _running(self) -> Producer:
        if self._producer is None:
            raise SinkError(f"{self._name}: is closed")
        return self._producer

    def _open(self) -> Producer:
        options = {**self._options, "batch.size": 1} if self._alone else self._options
        try:
            return Producer(options)
        except (KafkaException, TypeError, ValueError) as error:
            raise SinkError(f"{self._name}: the options are refused: {error}; see the sink's options") from error
