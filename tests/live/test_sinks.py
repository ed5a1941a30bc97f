"""The sinks' contract again, on a real Kafka and over ClickHouse's HTTP interface; and what only those can show."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from live_clickhouse import ClickHouseFront
from live_kafka import KafkaCluster, KafkaServer, _wait

from flows.services.process import is_free
from sinks.clickhouse import DECISIONS, EVENTS
from sinks.clickhouse_schema import migrate
from sinks.clickhouse_writer import ClickHouseWriter, Database, connect_http
from sinks.contract import SinkError, Writer
from sinks.kafka import KafkaDecisions
from sinks.kafka_topics import NewTopics, Topics
from sinks.kpi_views import KPI_VIEWS
from tests.sinks.contract_suite import Decisions, Target, WriterContract, expected, numbered, seen
from tests.sinks.recording import RecordingEvents, Refusals, decision, event


class HttpTarget(Decisions):
    keeps_order = False
    waits_at_start = True

    def __init__(self, front: ClickHouseFront, table: str) -> None:
        self._front, self._table = front, table
        self._database = Database(lambda: connect_http(front.url + "/?send_receive_timeout=1"), "contract")

    def line(self, number: int, customer: str) -> bytes:
        return event(number, customer) if self._table == EVENTS else super().line(number, customer)

    def writer(self, events: RecordingEvents, refused: Refusals, *, small: bool = False) -> Writer:
        rows = 50 if small else 10_000
        return ClickHouseWriter("clickhouse", self._table, self._database, events, refused, batch_rows=rows)

    def found(self) -> list[tuple[str, str]]:
        self._front.heal()
        name = "event_id" if self._table == EVENTS else "action_id"
        self._database.client()
        found = self._front.rows(f"SELECT customer_id, {name} FROM contract.{self._table} FINAL")
        assert len(found) == len(set(found))
        return [(str(customer), str(id_)) for customer, id_ in found]

    def away(self) -> None:
        self._front.fault(refuse=True)

    def back(self) -> None:
        self._front.heal()

    def fail_some(self, *, after: bool) -> None:
        self._front.fault(fail_every=2, fail_after=after, drop=after)

    def slow(self) -> None:
        self._front.fault(delay_s=0.2)

    def close(self) -> None:
        self._database.close()


class KafkaTarget(Decisions):
    keeps_order = True
    waits_at_start = True

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._topic = cluster.new_topic("out", partitions=3)
        self._stopped = False

    def writer(self, events: RecordingEvents, refused: Refusals, *, small: bool = False) -> Writer:
        options = {
            "bootstrap.servers": self._cluster.bootstrap,
            "socket.timeout.ms": 2_000,
            "reconnect.backoff.max.ms": 200,
        }
        bound = 50 * 650 if small else 1 << 20
        return KafkaDecisions("kafka", options, {"ticket": self._topic}, events, refused, pending_bytes=bound)

    def found(self) -> list[tuple[str, str]]:
        messages = self._cluster.consume_all(self._topic)
        return [(message.key().decode(), dict(message.headers())["action_id"].decode()) for message in messages]

    def away(self) -> None:
        self._cluster.stop()
        self._stopped = True

    def back(self) -> None:
        if self._stopped:
            # The kernel lets go of a killed server's port some time after the server is gone.
            ports = [broker.port for broker in self._cluster.record.brokers]
            _wait(lambda: all(is_free(port) for port in ports), f"{ports} are not free")
            self._cluster.start()
            self._stopped = False

    def fail_some(self, *, after: bool) -> None:
        """The broker stands still for longer than the producer waits, or is killed, while there is work."""
        if after:
            self._cluster.pause()
            threading.Timer(3.0, self._cluster.resume).start()
        else:
            self._cluster.kill()
            self._stopped = True
            self.back()

    def slow(self) -> None:
        self._cluster.pause()
        threading.Timer(1.0, self._cluster.resume).start()

    def close(self) -> None:
        self.back()


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    from live_kafka import started_cluster
    from live_skips import give_up

    from flows.services.process import ServiceError

    try:
        cluster = started_cluster(tmp_path_factory.mktemp("kafka"), 1, 1, {})
    except ServiceError as error:
        give_up("Kafka", error)
    if cluster.kind != "kafka":
        cluster.close()
        pytest.skip("brokers without storage cannot go away and come back")
    yield cluster
    cluster.close()


@pytest.fixture(params=["clickhouse-decisions", "clickhouse-events", "kafka"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    made: Any
    if request.param == "kafka":
        made = KafkaTarget(request.getfixturevalue("own_kafka"))
    else:
        table = EVENTS if request.param.endswith("events") else DECISIONS
        made = HttpTarget(request.getfixturevalue("clickhouse_front"), table)
    yield made
    made.close()


@pytest.fixture
def events() -> RecordingEvents:
    return RecordingEvents()


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


class TestWriters(WriterContract):
    """All of the contract."""


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 500, "code": 252}, {"status": 500, "code": 241},
                                   {"delay_s": 1.5}])  # fmt: skip
def test_a_server_that_is_unwell(
    clickhouse_front: ClickHouseFront, events: RecordingEvents, refusals: Refusals, fault: dict[str, Any]
) -> None:
    target = HttpTarget(clickhouse_front, DECISIONS)
    writer = target.writer(events, refusals)
    writer.write(numbered(target, range(10)))
    writer.flush()
    clickhouse_front.fault(**fault)
    events.mend, events.mend_at = clickhouse_front.heal, 2
    writer.write(numbered(target, range(10, 20)))
    writer.flush()
    assert seen(target) == expected(range(20))
    assert (len(events.failures), events.recoveries, refusals.lines) == (2, 1, [])
    target.close()


def test_a_wrong_password_is_told(clickhouse_front: ClickHouseFront, events: RecordingEvents) -> None:
    clickhouse_front.fault(password="secret", inserts_only=False)
    database = Database(lambda: connect_http(clickhouse_front.url.replace("//", "//default:wrong@")))
    writer = ClickHouseWriter("clickhouse", DECISIONS, database, events, Refusals())
    with pytest.raises(SinkError, match="refuses the user") as caught:
        writer.connect()
    assert "wrong" not in str(caught.value)


def test_two_processes_migrate_at_once(clickhouse_front: ClickHouseFront) -> None:
    failures: list[Exception] = []

    def run() -> None:
        client = connect_http(clickhouse_front.url)
        try:
            migrate(client, "shared", "Asia/Shanghai")
        except Exception as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert clickhouse_front.rows("SELECT count() FROM system.tables WHERE database = 'shared'") == [
        (9 + len(KPI_VIEWS),)
    ]


def test_topics_are_created(kafka: KafkaServer, events: RecordingEvents) -> None:
    names = [f"made.{os.getpid()}.{name}" for name in "ab"]
    options = {"bootstrap.servers": kafka.bootstrap}
    Topics("kafka", options, names, events, NewTopics(2, 1)).ensure()
    Topics("kafka", options, names, events).ensure()
    assert [len(kafka.partitions(name)) for name in names] == [2, 2]
    assert events.failures == []


def test_missing_topics_are_all_named(own_kafka: KafkaCluster, events: RecordingEvents) -> None:
    events.mend_at = 100
    with pytest.raises(SinkError, match=r"gone\.a, gone\.b.*create_topics"):
        Topics("kafka", {"bootstrap.servers": own_kafka.bootstrap}, ["gone.b", "gone.a"], events).ensure()


@pytest.mark.parametrize("create", [False, True])
def test_a_topic_deleted_in_full_flow(
    own_kafka: KafkaCluster, events: RecordingEvents, refusals: Refusals, create: bool
) -> None:
    topic = own_kafka.new_topic("deleted", partitions=3)
    options = {
        "bootstrap.servers": own_kafka.bootstrap,
        "topic.metadata.propagation.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 500,
    }
    topics = Topics("kafka", options, [topic], events, NewTopics(3, 1) if create else None)
    writer = KafkaDecisions("kafka", options, {"ticket": topic}, events, refusals, unknown_topic=topics.create_again)
    writer.write([decision(number, f"C{number % 5}") for number in range(20)])
    writer.flush()
    own_kafka.delete_topic(topic)
    if not create:
        events.mend, events.mend_at = (lambda: _made(own_kafka, topic)), 2
    writer.write([decision(number, f"C{number % 5}") for number in range(20, 40)])
    writer.flush()
    writer.close()
    found: dict[str, list[str]] = {}
    for message in own_kafka.consume_all(topic):
        found.setdefault(message.key().decode(), []).append(dict(message.headers())["action_id"].decode())
    assert {customer: list(dict.fromkeys(ids)) for customer, ids in found.items()} == expected(range(20, 40))


def test_a_message_larger_than_the_topic_takes(
    own_kafka: KafkaCluster, events: RecordingEvents, refusals: Refusals
) -> None:
    topic = own_kafka.new_topic("narrow", max_message_bytes="5000")
    writer = KafkaDecisions("kafka", {"bootstrap.servers": own_kafka.bootstrap}, {"ticket": topic}, events, refusals)
    large = decision(30, payload={"note": "x" * 6_000})
    lines = [large if number == 30 else decision(number) for number in range(60)]
    writer.write(lines)
    writer.flush()
    writer.close()
    ids = [dict(message.headers())["action_id"].decode() for message in own_kafka.consume_all(topic)]
    assert list(dict.fromkeys(ids)) == [f"a{number:06d}" for number in range(60) if number != 30]
    assert refusals.lines == [(large, "refused:too_large")]


def _made(cluster: KafkaCluster, topic: str) -> None:
    cluster.create_topic(topic, partitions=3)
