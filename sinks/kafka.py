"""Writers of decisions and dead letters to Kafka topics."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sinks.contract import Refused, SinkEvents
from sinks.kafka_publisher import PENDING_BYTES, Message, Publisher

SUPPRESSED = "suppressed"
DEAD_LETTERS = "dead_letters"

_MESSAGE_BYTES = 1_000_000  # librdkafka's own default of message.max.bytes
_FRAME_BYTES = 4_096  # headers and what the protocol adds to a value


class _Decision(msgspec.Struct):
    action_id: str
    kind: str
    rule_id: str
    customer_id: str
    ts: int
    decision: str
    reason: str | None = None


class _DeadLetter(msgspec.Struct):
    raw: str
    encoding: str
    source: str
    reason: str
    field: str | None = None


class _KafkaWriter:
    def __init__(
        self, name: str, options: Mapping[str, Any], events: SinkEvents, refused: Refused,
        unknown_topic: Callable[[], None] | None, pending_bytes: int,
    ) -> None:  # fmt: skip
        self._publisher = Publisher(
            name, options, events, refused, unknown_topic=unknown_topic, pending_bytes=pending_bytes
        )

    def write(self, lines: Sequence[bytes]) -> None:
        """Send a message for each line; waits while too many are not acknowledged."""
        self._publisher.send(self._messages(lines))

    def flush(self) -> None:
        """Returns when the brokers have acknowledged every message."""
        self._publisher.flush()

    def close(self) -> None:
        """Lets go of the brokers at once."""
        self._publisher.close()

    def _messages(self, lines: Sequence[bytes]) -> Iterator[Message]:
        raise NotImplementedError


class KafkaDecisions(_KafkaWriter):
    """Emitted decisions go to the topic of their kind, suppressed ones to ``topics["suppressed"]``.

    The key is the customer's id, so that a customer's decisions of one kind keep their order; the value is the line.
    What has no topic (or null) is not written.

    Parameters
    ----------
    name, events, refused
        As in `Publisher`.
    options
        Of librdkafka, ``bootstrap.servers`` among them.
    topics
        Topics by kind of action, and by ``suppressed``.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], topics: Mapping[str, str | None], events: SinkEvents,
        refused: Refused, *, unknown_topic: Callable[[], None] | None = None, pending_bytes: int = PENDING_BYTES,
    ) -> None:  # fmt: skip
        super().__init__(name, options, events, refused, unknown_topic, pending_bytes)
        self._topics = dict(topics)
        self._decode = msgspec.json.Decoder(_Decision).decode

    def _messages(self, lines: Sequence[bytes]) -> Iterator[Message]:
        for line in lines:
            decision = self._decode(line)
            topic = self._topics.get(decision.kind if decision.decision == "emitted" else SUPPRESSED)
            if topic is None:
                continue
            headers: list[tuple[str, str | bytes | None]] = [
                ("action_id", decision.action_id.encode()),
                ("rule_id", decision.rule_id.encode()),
                ("decision", decision.decision.encode()),
            ]
            if decision.reason is not None:
                headers.append(("reason", decision.reason.encode()))
            yield Message(topic, decision.customer_id.encode(), line, headers, line, decision.ts)


class KafkaDeadLetters(_KafkaWriter):
    """Dead letters: the value is the message as it came, byte for byte; why and whence is in the headers.

    A message that is larger than the producer's ``message.max.bytes`` allows is cut; header ``cut_from`` then has its
    length in bytes. Parameters are as in `KafkaDecisions`.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], topic: str, events: SinkEvents, refused: Refused, *,
        unknown_topic: Callable[[], None] | None = None, pending_bytes: int = PENDING_BYTES,
    ) -> None:  # fmt: skip
        super().__init__(name, options, events, refused, unknown_topic, pending_bytes)
        self._topic = topic
        self._limit_bytes = max(1, int(options.get("message.max.bytes", _MESSAGE_BYTES)) - _FRAME_BYTES)
        self._decode = msgspec.json.Decoder(_DeadLetter).decode

    def _messages(self, lines: Sequence[bytes]) -> Iterator[Message]:
        for line in lines:
            letter = self._decode(line)
            raw = base64.b64decode(letter.raw) if letter.encoding == "base64" else letter.raw.encode()
            headers: list[tuple[str, str | bytes | None]] = [
                ("reason", letter.reason.encode()),
                ("source", letter.source.encode()),
            ]
            if letter.field is not None:
                headers.append(("field", letter.field.encode()))
            if len(raw) > self._limit_bytes:
                headers.append(("cut_from", str(len(raw)).encode()))
                raw = raw[: self._limit_bytes]
            yield Message(self._topic, None, raw, headers, line)
