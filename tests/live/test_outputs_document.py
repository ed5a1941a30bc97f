"""docs/outputs.md is all that a consumer needs: what it shows runs, and does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
from live_clickhouse import ClickHouseFront
from live_kafka import KafkaServer

from sinks.clickhouse import DECISIONS, EVENTS
from sinks.clickhouse_writer import ClickHouseWriter, Database, connect_http
from sinks.kafka import KafkaDecisions
from tests.sinks.recording import RecordingEvents, Refusals, decision, event

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_its_consumer_gets_tickets_in_order_and_once(kafka: KafkaServer, tmp_path: Path) -> None:
    topic = kafka.new_topic("tickets", partitions=3)
    (program,) = blocks("python")
    program = program.replace("localhost:9092", kafka.bootstrap).replace("cem.ticket", topic)
    program = program.replace(
        '"ticket-desk",', '"ticket-desk", "session.timeout.ms": 6000,'
    )  # a killed one is missed soon
    (tmp_path / "consumer.py").write_text(program, encoding="utf-8")
    writer = KafkaDecisions(
        "kafka", {"bootstrap.servers": kafka.bootstrap}, {"ticket": topic}, RecordingEvents(), Refusals()
    )
    found: list[tuple[str, str]] = []
    # The engine repeats as after a restart. The consumer is killed in between, perhaps between its work and its mark.
    for numbers, distinct in (([*range(40), *range(25, 50)], 50), ([*range(40, 60), *range(50, 80)], 80)):
        writer.write([decision(number, f"C{number % 4}") for number in numbers])
        writer.flush()
        last = found[-1:]
        with closing(printed(tmp_path)) as tickets:
            while len(found) < distinct:
                if [ticket := next(tickets)] != last:
                    found.append(ticket)
    writer.close()
    for customer in range(4):
        expected = [f"a{number:06d}" for number in range(80) if number % 4 == customer]
        assert [action for of, action in found if of == f"C{customer}"] == expected


def printed(folder: Path) -> Generator[tuple[str, str], None, None]:
    """What the consumer prints, until nobody reads on: then it is killed."""
    command = [sys.executable, "consumer.py"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as consumer:
        assert consumer.stdout is not None
        try:
            for line in consumer.stdout:
                customer, action = line.split()[:2]
                yield customer, action
        finally:
            consumer.kill()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Generator[ClickHouseFront, None, None]:
    front = ClickHouseFront(tmp_path_factory.mktemp("front"))
    database = Database(lambda: connect_http(front.url))
    for table, lines in ((DECISIONS, [decision(1)]), (EVENTS, [event(1)])):
        writer = ClickHouseWriter("clickhouse", table, database, RecordingEvents(), Refusals())
        writer.write(lines)
        writer.flush()
    database.close()
    yield front
    front.stop()


@pytest.mark.parametrize("query", blocks("sql"))
def test_its_queries_run(filled: ClickHouseFront, query: str) -> None:
    filled.rows(query)


def test_its_query_finds_what_came_before_a_ticket(filled: ClickHouseFront) -> None:
    (query,) = [query for query in blocks("sql") if "6f0c" in query]
    found = filled.rows(query.replace("6f0c", "a000001"))
    assert [row[1:4] for row in found] == [("click", "", "提前还款")]
