"""Writers to Kafka, on librdkafka's mock brokers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import count

import pytest
from confluent_kafka import KafkaError, Message

from sinks.contract import SinkError, SinkStopped, dead_letter
from sinks.kafka import KafkaDeadLetters, KafkaDecisions
from sinks.kafka_topics import Topics
from tests.sinks.mock_kafka import MockKafka
from tests.sinks.recording import RecordingEvents, Refusals, decision

TOPICS = {"ticket": "out.ticket", "alert": "out.alert", "suppressed": "out.suppressed"}


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    kafka = MockKafka()
    for topic in (*TOPICS.values(), "out.dead"):
        kafka.create_topic(topic)
    yield kafka
    kafka.close()


@pytest.fixture
def events() -> RecordingEvents:
    return RecordingEvents()


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


@pytest.fixture
def options(kafka: MockKafka) -> dict[str, object]:
    return {
        "bootstrap.servers": kafka.bootstrap,
        "reconnect.backoff.max.ms": 100,
        "topic.metadata.propagation.max.ms": 300,
        "retry.backoff.max.ms": 100,
    }


@pytest.fixture
def writer(options: dict[str, object], events: RecordingEvents, refusals: Refusals) -> Iterator[KafkaDecisions]:
    writer = KafkaDecisions("kafka", options, TOPICS, events, refusals)
    yield writer
    writer.close()


def ids(messages: Iterator[Message]) -> list[str]:
    return [dict(message.headers())["action_id"].decode() for message in messages]


def first_by_customer(messages: Iterator[Message]) -> dict[str, list[str]]:
    """What a consumer sees that drops what it has seen."""
    seen: dict[str, dict[str, None]] = defaultdict(dict)
    for message in messages:
        seen[message.key().decode()][dict(message.headers())["action_id"].decode()] = None
    return {customer: list(found) for customer, found in seen.items()}


def test_a_decision_is_a_message(kafka: MockKafka, writer: KafkaDecisions, events: RecordingEvents) -> None:
    line = decision(1, "客户")
    writer.write([line])
    writer.flush()
    (message,) = kafka.messages("out.ticket")
    assert (message.key().decode(), message.value()) == ("客户", line)
    assert message.headers() == [("action_id", b"a000001"), ("rule_id", b"r-1"), ("decision", b"emitted")]
    assert (events.rows, events.times_ms, events.failures) == (1, [1_760_000_000_001], [])


def test_decisions_go_to_the_topic_of_their_kind(kafka: MockKafka, writer: KafkaDecisions) -> None:
    suppressed = {"decision": "suppressed", "reason": "cap"}
    writer.write([decision(1), decision(2, kind="alert"), decision(3, **suppressed), decision(4, kind="survey")])
    writer.flush()
    found = {kind: ids(kafka.messages(topic)) for kind, topic in TOPICS.items()}
    assert found == {"ticket": ["a000001"], "alert": ["a000002"], "suppressed": ["a000003"]}
    (message,) = kafka.messages("out.suppressed")
    assert message.headers()[2:] == [("decision", b"suppressed"), ("reason", b"cap")]


def test_customers_are_spread_as_java_clients_do_it(kafka: MockKafka, writer: KafkaDecisions) -> None:
    # murmur2 of the key, positive, modulo three partitions, as org.apache.kafka.common.utils.Utils has it.
    writer.write([decision(1, "21"), decision(2, "foobar"), decision(3, "abc")])
    writer.flush()
    expected = {"21": -973932308, "foobar": -790332482, "abc": 479470107}
    found = {message.key().decode(): message.partition() for message in kafka.messages("out.ticket")}
    assert found == {key: (value & 0x7FFFFFFF) % 3 for key, value in expected.items()}


def test_a_dead_letter_is_the_raw_message(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals
) -> None:
    writer = KafkaDeadLetters("dead", options, "out.dead", events, refusals)
    writer.write(
        [dead_letter(b"\xff{", "bank.click/0/7", "not_json"), dead_letter(b"{}", "f:1", "missing_field", "ts")]
    )
    writer.flush()
    writer.close()
    found = {message.value(): message.headers() for message in kafka.messages("out.dead")}
    assert found == {
        b"\xff{": [("reason", b"not_json"), ("source", b"bank.click/0/7")],
        b"{}": [("reason", b"missing_field"), ("source", b"f:1"), ("field", b"ts")],
    }


def test_a_dead_letter_that_is_too_large_is_cut(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals
) -> None:
    writer = KafkaDeadLetters("dead", {**options, "message.max.bytes": 10_000}, "out.dead", events, refusals)
    writer.write([dead_letter(b"x" * 20_000, "f:1", "not_json")])
    writer.flush()
    writer.close()
    (message,) = kafka.messages("out.dead")
    assert message.value() == b"x" * (10_000 - 4_096)
    assert ("cut_from", b"20000") in message.headers()


@pytest.mark.parametrize("code", [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaError.INVALID_PRODUCER_EPOCH])
def test_failing_producers_lose_nothing_and_keep_the_order(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals, code: int
) -> None:
    found, expected = written_while_failing(kafka, options, events, refusals, code)
    assert found == expected
    assert refusals.lines == []
    assert events.recoveries > 0


@pytest.mark.parametrize(
    "code",
    [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT, KafkaError.NOT_ENOUGH_REPLICAS,
     KafkaError.UNKNOWN_PRODUCER_ID, KafkaError._TRANSPORT],
)  # fmt: skip
def test_failing_requests_lose_nothing(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals, code: int
) -> None:
    """Mock brokers know no sequences, and take the second of two requests whose first they have failed: no order."""
    found, expected = written_while_failing(kafka, options, events, refusals, code)
    assert {customer: sorted(ids) for customer, ids in found.items()} == expected
    assert refusals.lines == []


def written_while_failing(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals, code: int
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    # The client's queue holds three: some messages are sent and some wait when the producer fails.
    options = {**options, "queue.buffering.max.messages": 3}
    writer = KafkaDecisions("kafka", options, TOPICS, events, refusals)
    expected: dict[str, list[str]] = defaultdict(list)
    kafka.fail([code, 0] * 4)
    for start in range(0, 60, 6):
        batch = [(number, f"C{number % 4}") for number in range(start, start + 6)]
        for number, customer in batch:
            expected[customer].append(f"a{number:06d}")
        writer.write([decision(number, customer) for number, customer in batch])
        if start % 12:
            writer.flush()
    writer.flush()
    writer.close()
    return first_by_customer(kafka.messages("out.ticket")), expected


def test_brokers_away_and_back(kafka: MockKafka, writer: KafkaDecisions, events: RecordingEvents) -> None:
    writer.write([decision(1)])
    writer.flush()
    kafka.down()
    events.mend = kafka.up
    writer.write([decision(2), decision(3)])
    writer.flush()
    assert ids(kafka.messages("out.ticket")) == ["a000001", "a000002", "a000003"]
    assert events.attempts[:3] == [1, 2, 3]
    assert events.recoveries == 1


def test_told_to_stop_while_brokers_are_away(kafka: MockKafka, writer: KafkaDecisions, events: RecordingEvents) -> None:
    kafka.down()
    events.stop_at = 2
    writer.write([decision(1)])
    with pytest.raises(SinkStopped):
        writer.flush()
    writer.close()


def test_memory_is_bounded_while_brokers_are_away(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals
) -> None:
    kafka.down()
    events.stop_at = 1
    writer = KafkaDecisions("kafka", options, TOPICS, events, refusals, pending_bytes=50_000)
    taken: list[int] = []

    def write_for_ever() -> None:
        for number in count():
            writer.write([decision(number)])
            taken.append(number)

    with pytest.raises(SinkStopped):
        write_for_ever()
    assert 50 < len(taken) < 100  # a decision is about 650 bytes with what is counted beside it
    writer.close()


def test_more_than_fits_waits_and_arrives(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals
) -> None:
    writer = KafkaDecisions("kafka", options, TOPICS, events, refusals, pending_bytes=5_000)
    writer.write([decision(number) for number in range(500)])
    writer.flush()
    writer.close()
    assert ids(kafka.messages("out.ticket")) == [f"a{number:06d}" for number in range(500)]


def test_a_message_too_large_for_the_producer_is_refused(
    kafka: MockKafka, writer: KafkaDecisions, refusals: Refusals
) -> None:
    large = decision(2, payload={"note": "x" * 1_100_000})
    writer.write([decision(1), large, decision(3)])
    writer.flush()
    assert ids(kafka.messages("out.ticket")) == ["a000001", "a000003"]
    assert refusals.lines == [(large, "refused:too_large")]


def test_a_batch_too_large_for_the_broker_is_sent_one_by_one(
    kafka: MockKafka, writer: KafkaDecisions, refusals: Refusals
) -> None:
    kafka.fail([KafkaError.MSG_SIZE_TOO_LARGE])
    writer.write([decision(number) for number in range(10)])
    writer.flush()
    assert ids(kafka.messages("out.ticket")) == [f"a{number:06d}" for number in range(10)]
    assert refusals.lines == []


def test_a_message_too_large_for_the_broker_is_refused_alone(
    kafka: MockKafka, writer: KafkaDecisions, refusals: Refusals, events: RecordingEvents
) -> None:
    kafka.fail([KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.MSG_SIZE_TOO_LARGE])  # the batch, then its first message
    writer.write([decision(number) for number in range(3)])
    writer.flush()
    assert first_by_customer(kafka.messages("out.ticket")) == {"C1": ["a000001", "a000002"]}
    assert refusals.lines == [(decision(0), "refused:too_large")]


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED])
def test_who_is_not_authorised_is_told(kafka: MockKafka, writer: KafkaDecisions, code: int) -> None:
    kafka.fail([code])
    writer.write([decision(1)])
    with pytest.raises(SinkError, match=r"not authorised to write to topic out\.ticket.*grant"):
        writer.flush()
    writer.close()


def test_a_topic_that_has_gone_is_waited_for(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, refusals: Refusals
) -> None:
    asked: list[None] = []
    writer = KafkaDecisions("kafka", options, TOPICS, events, refusals, unknown_topic=lambda: asked.append(None))
    kafka.topic_error("out.ticket", KafkaError.UNKNOWN_TOPIC_OR_PART)
    events.mend = lambda: kafka.topic_error("out.ticket", 0)
    events.mend_at = 2
    writer.write([decision(number) for number in range(3)])
    writer.flush()
    writer.close()
    assert ids(kafka.messages("out.ticket")) == ["a000000", "a000001", "a000002"]
    assert len(asked) >= 2


def test_options_that_are_none_are_told(events: RecordingEvents, refusals: Refusals) -> None:
    with pytest.raises(SinkError, match=r"no\.such\.option"):
        KafkaDecisions("kafka", {"bootstrap.servers": "localhost:1", "no.such.option": 1}, TOPICS, events, refusals)


def test_topics_that_are_there(options: dict[str, object], events: RecordingEvents) -> None:
    Topics("kafka", options, list(TOPICS.values()), events).ensure()
    assert events.failures == []


def test_topics_are_waited_for_while_brokers_are_away(
    kafka: MockKafka, options: dict[str, object], events: RecordingEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.kafka_topics._ANSWER_S", 0.2)
    kafka.down()
    events.mend = kafka.up
    Topics("kafka", options, ["out.ticket"], events).ensure()
    assert events.recoveries == 1


def test_missing_topics_are_all_named(kafka: MockKafka, options: dict[str, object], events: RecordingEvents) -> None:
    for topic in ("gone.a", "gone.b"):
        kafka.topic_error(topic, KafkaError.UNKNOWN_TOPIC_OR_PART)
    with pytest.raises(SinkError, match=r"gone\.a, gone\.b.*create_topics"):
        Topics("kafka", options, ["out.ticket", "gone.b", "gone.a"], events).ensure()
