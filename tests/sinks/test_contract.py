"""Every writer keeps the contract: Kafka on mock brokers, ClickHouse on the embedded engine, a file."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from confluent_kafka import KafkaError

from sinks import file_writer
from sinks.clickhouse import DECISIONS, EVENTS, open_embedded
from sinks.clickhouse_writer import ClickHouseWriter, Database
from sinks.contract import Writer
from sinks.file_writer import FileWriter
from sinks.kafka import KafkaDecisions
from tests.sinks.contract_suite import Decisions, Target, WriterContract
from tests.sinks.mock_kafka import MockKafka
from tests.sinks.recording import RecordingEvents, Refusals, event

_names = count()


class MockKafkaTarget(Decisions):
    keeps_order = True
    waits_at_start = True

    def __init__(self) -> None:
        self._kafka = MockKafka()
        self._kafka.create_topic("out")

    def writer(self, events: RecordingEvents, refused: Refusals, *, small: bool = False) -> Writer:
        options: dict[str, Any] = {
            "bootstrap.servers": self._kafka.bootstrap,
            "reconnect.backoff.max.ms": 100,
            "retry.backoff.max.ms": 100,
            "socket.timeout.ms": 1_000,
        }
        bound = 50 * 650 if small else 1 << 20
        return KafkaDecisions("kafka", options, {"ticket": "out"}, events, refused, pending_bytes=bound)

    def found(self) -> list[tuple[str, str]]:
        messages = self._kafka.messages("out")
        return [(message.key().decode(), dict(message.headers())["action_id"].decode()) for message in messages]

    def away(self) -> None:
        self._kafka.down()

    def back(self) -> None:
        self._kafka.up()

    def fail_some(self, *, after: bool) -> None:
        if after:
            self._kafka.answer_late(1, 1_200)
        else:
            self._kafka.fail([KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, 0, KafkaError.INVALID_PRODUCER_EPOCH, 0])

    def slow(self) -> None:
        self._kafka.slow(20)

    def close(self) -> None:
        self._kafka.close()


class UnreliableClient:
    """A client whose inserts and commands fail on purpose."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def _unreliable(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            self.before()
            result = work(*arguments, **named)
            self.after()
            return result

        return run

    def close(self) -> None:
        """The engine is for all tests of the module."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._unreliable(found) if name in ("insert", "raw_insert", "command") else found


def fail() -> None:
    raise OperationalError("Code: 210. DB::NetException: Connection refused (NETWORK_ERROR)", code=210)


class EmbeddedTarget(Decisions):
    keeps_order = False  # a table has none
    waits_at_start = True

    def __init__(self, client: Client, table: str) -> None:
        self._client, self._table = UnreliableClient(client), table
        self._database = Database(self._connect, f"contract_{next(_names)}")

    def _connect(self) -> Any:
        return self._client

    def line(self, number: int, customer: str) -> bytes:
        return event(number, customer) if self._table == EVENTS else super().line(number, customer)

    def writer(self, events: RecordingEvents, refused: Refusals, *, small: bool = False) -> Writer:
        rows = 50 if small else 10_000
        return ClickHouseWriter("clickhouse", self._table, self._database, events, refused, batch_rows=rows)

    def found(self) -> list[tuple[str, str]]:
        self.back()
        name = "event_id" if self._table == EVENTS else "action_id"
        client = self._database.client()
        found = client.query(f"SELECT customer_id, {name} FROM {self._database.name}.{self._table} FINAL").result_rows
        assert len(found) == len(set(found))
        return [(str(customer), str(id_)) for customer, id_ in found]

    def away(self) -> None:
        self._client.before = fail

    def back(self) -> None:
        self._client.before = self._client.after = lambda: None

    def fail_some(self, *, after: bool) -> None:
        turns = count()
        self._database.client()  # what fails here is every second insert

        def sometimes() -> None:
            if next(turns) % 2 == 0:
                fail()

        if after:
            self._client.after = sometimes
        else:
            self._client.before = sometimes

    def slow(self) -> None:
        """The engine in this process has no network to be slow."""

    def close(self) -> None:
        self.back()
        self._client._client.command(f"DROP DATABASE IF EXISTS {self._database.name}")


class FileTarget(Decisions):
    keeps_order = True
    waits_at_start = False

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self._path, self._patch = path, patch

    def writer(self, events: RecordingEvents, refused: Refusals, *, small: bool = False) -> Writer:
        if small:
            self._patch.setattr(file_writer, "_BUFFER_BYTES", 20_000)
        return FileWriter("file", self._path, events)

    def found(self) -> list[tuple[str, str]]:
        content = self._path.read_bytes()
        assert content.endswith(b"\n") or not content
        records = [json.loads(line) for line in content.splitlines()]
        return [(record["customer_id"], record["action_id"]) for record in records]

    def away(self) -> None:
        def full(*_: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self._patch.setattr(file_writer.os, "pwrite", full)

    def back(self) -> None:
        self._patch.setattr(file_writer.os, "pwrite", _pwrite)

    def fail_some(self, *, after: bool) -> None:
        turns = count()

        def sometimes(file: int, block: memoryview, at: int) -> int:
            turn = next(turns)
            if after and turn % 3 == 0:
                return _pwrite(file, block[: len(block) // 2], at)
            if turn % 3 == 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return _pwrite(file, block, at)

        self._patch.setattr(file_writer.os, "pwrite", sometimes)

    def slow(self) -> None:
        def one_by_one(file: int, block: memoryview, at: int) -> int:
            return _pwrite(file, block[:100], at)

        self._patch.setattr(file_writer.os, "pwrite", one_by_one)

    def close(self) -> None:
        self.back()


_pwrite = os.pwrite


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = open_embedded(tmp_path_factory.mktemp("chdb"))
    yield client
    client.close()


@pytest.fixture(params=["kafka", "clickhouse-decisions", "clickhouse-events", "file"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    made: Any
    if request.param == "kafka":
        made = MockKafkaTarget()
    elif request.param == "file":
        made = FileTarget(tmp_path / "out" / "actions.ndjson", monkeypatch)
    else:
        table = EVENTS if request.param.endswith("events") else DECISIONS
        made = EmbeddedTarget(request.getfixturevalue("engine"), table)
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
