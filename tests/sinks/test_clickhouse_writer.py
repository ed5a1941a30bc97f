"""What is particular to the writers to ClickHouse: migrations, rows that are refused, errors and what they mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from sinks.clickhouse import DEAD_LETTERS, DECISIONS, EVENTS, open_embedded
from sinks.clickhouse_schema import RULE_CHANGES, SCHEMA_VERSION, migrate
from sinks.clickhouse_writer import ClickHouseWriter, Database, Fault, connect_http, fault_of
from sinks.contract import DeadLetterRefusals, SinkError, dead_letter
from sinks.kpi_views import KPI_VIEWS
from tests.sinks.recording import RecordingEvents, Refusals, decision, event

_names = count()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = open_embedded(tmp_path_factory.mktemp("chdb"))
    yield client
    client.close()


@pytest.fixture
def database(client: Client) -> Database:
    return Database(lambda: client, f"writer_{next(_names)}")


@pytest.fixture
def events() -> RecordingEvents:
    return RecordingEvents()


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    found = database.client().query(query.replace("FROM ", f"FROM {database.name}.")).result_rows
    return [tuple(row) for row in found]


def test_a_row_that_is_refused_stays_alone(database: Database, events: RecordingEvents, refusals: Refusals) -> None:
    writer = ClickHouseWriter("clickhouse", DECISIONS, database, events, refusals)
    bad = decision(13, priority="high")
    lines = [bad if number == 13 else decision(number) for number in range(40)]
    writer.write(lines)
    writer.flush()
    (found,) = rows(database, "SELECT count(), countIf(action_id = 'a000013') FROM decisions FINAL")
    assert found == (39, 0)
    assert [line for line, _ in refusals.lines] == [bad]
    assert (events.rows, events.failures) == (39, [])


def test_a_line_that_is_no_event_is_refused_by_the_database(
    database: Database, events: RecordingEvents, refusals: Refusals
) -> None:
    writer = ClickHouseWriter("clickhouse", EVENTS, database, events, refusals)
    writer.write([event(1), b'{"stream": "click"}', event(2)])
    writer.flush()
    assert rows(database, "SELECT event_id FROM events FINAL ORDER BY event_id") == [("a000001",), ("a000002",)]
    ((line, reason),) = refusals.lines
    assert line == b'{"stream": "click"}'
    assert reason.startswith("refused:")
    assert "click" not in reason


def test_a_decision_without_a_time_is_refused(database: Database, events: RecordingEvents, refusals: Refusals) -> None:
    writer = ClickHouseWriter("clickhouse", DECISIONS, database, events, refusals)
    writer.write([decision(1), decision(2, ts="yesterday"), decision(3)])
    writer.flush()
    assert rows(database, "SELECT action_id FROM decisions FINAL ORDER BY 1") == [("a000001",), ("a000003",)]
    assert [line for line, _ in refusals.lines] == [decision(2, ts="yesterday")]


def test_a_decision_is_kept_as_it_was_written(database: Database, events: RecordingEvents, refusals: Refusals) -> None:
    writer = ClickHouseWriter("clickhouse", DECISIONS, database, events, refusals)
    writer.write([decision(1, features={"x": 1.0, "名": None, "t": 'a"b\\n'}, payload={}, late=True, reason="cap")])
    writer.flush()
    assert rows(database, "SELECT features, payload, late, reason, ts_ms, holding_id FROM decisions FINAL") == [
        ('{"x":1.0,"名":null,"t":"a\\"b\\\\n"}', "{}", True, "cap", 1_760_000_000_001, None)
    ]  # fmt: skip


def test_an_event_over_several_lines_is_one_event(
    database: Database, events: RecordingEvents, refusals: Refusals
) -> None:
    writer = ClickHouseWriter("clickhouse", EVENTS, database, events, refusals)
    pretty = json.dumps(json.loads(event(1)), indent=2).encode()
    writer.write([pretty, event(2)])
    writer.flush()
    assert rows(database, "SELECT event_id, query FROM events FINAL ORDER BY 1") == [
        ("a000001", "提前还款"), ("a000002", "提前还款"),
    ]  # fmt: skip


def test_a_server_that_comes_back_to_refuse_a_row_is_back(events: RecordingEvents, refusals: Refusals) -> None:
    answers = [OperationalError("away"), DatabaseError("cannot parse", code=27)]

    class Server:
        def command(self, _: str) -> str:
            return "2"

        def raw_insert(self, *_: object, **__: object) -> None:
            raise answers.pop(0)

    server: Any = Server()
    writer = ClickHouseWriter("c", "dead_letters", Database(lambda: server), events, refusals)
    writer.write([b"?"])
    writer.flush()
    assert [line for line, _ in refusals.lines] == [b"?"]
    assert (len(events.failures), events.recoveries) == (1, 1)


def test_a_refused_line_becomes_a_dead_letter(database: Database, events: RecordingEvents) -> None:
    dead = ClickHouseWriter("clickhouse", DEAD_LETTERS, database, events, Refusals())
    writer = ClickHouseWriter("clickhouse", DECISIONS, database, events, DeadLetterRefusals(dead, "decisions"))
    writer.write([decision(1, priority="high")])
    writer.flush()
    ((source, raw, reason),) = rows(database, "SELECT source, raw, reason FROM dead_letters FINAL")
    assert (source, raw.encode()) == ("decisions/a000001", decision(1, priority="high"))
    assert reason.startswith("refused:")


def test_dead_letters_and_changes_of_rules(database: Database, events: RecordingEvents, refusals: Refusals) -> None:
    dead = ClickHouseWriter("dead", DEAD_LETTERS, database, events, refusals)
    dead.write([dead_letter(b"\xff", "bank.click/0/1", "not_json")])
    dead.flush()
    change = {"id": "x1", "at_ms": 1_760_000_000_000, "rule_id": "r-1", "change": "pause", "by": "李", "why": "太多"}
    changes = ClickHouseWriter("changes", RULE_CHANGES, database, events, refusals)
    for _ in range(2):
        changes.write([json.dumps(change).encode()])
        changes.flush()
    assert rows(database, "SELECT source, raw, encoding FROM dead_letters FINAL") == [
        ("bank.click/0/1", "/w==", "base64")
    ]
    assert rows(database, "SELECT rule_id, change, by, why FROM rule_changes FINAL") == [("r-1", "pause", "李", "太多")]


def test_times_of_delivered_decisions_are_told(database: Database, events: RecordingEvents, refusals: Refusals) -> None:
    writer = ClickHouseWriter("clickhouse", DECISIONS, database, events, refusals)
    writer.write([decision(1), decision(2)])
    assert events.times_ms == []
    writer.flush()
    assert events.times_ms == [1_760_000_000_001, 1_760_000_000_002]


def test_the_version_of_the_schema_is_kept(client: Client, database: Database) -> None:
    database.client()
    migrate(client, database.name, "Asia/Shanghai")
    assert rows(database, "SELECT version FROM schema_version FINAL ORDER BY version") == [
        (version,) for version in range(1, SCHEMA_VERSION + 1)
    ]


def test_an_older_database_is_brought_up_to_date(
    client: Client, database: Database, events: RecordingEvents, refusals: Refusals
) -> None:
    database.client()
    for view in ("event_lines_to_events", "decision_lines_to_decisions"):
        client.command(f"DROP VIEW {database.name}.{view}")
    for table in ("event_lines", "decision_lines", "rule_changes", "schema_version"):
        client.command(f"DROP TABLE {database.name}.{table}")
    writer = ClickHouseWriter("clickhouse", EVENTS, Database(lambda: client, database.name), events, refusals)
    writer.write([event(1)])
    writer.flush()
    assert rows(database, "SELECT count() FROM events") == [(1,)]


def test_views_of_an_older_database_are_replaced(client: Client, database: Database) -> None:
    """Those of this version are not: that would need the right to drop views."""
    database.client()
    recording = _Recording(client)
    migrate(recording, database.name, "Asia/Shanghai", anew=True)  # type: ignore[arg-type]
    migrate(recording, f"{database.name}_new", "Asia/Shanghai")  # type: ignore[arg-type]
    assert not [told for told in recording.told if "REPLACE" in told or "DROP" in told]
    client.command(f"CREATE OR REPLACE VIEW {database.name}.kpi_tickets AS SELECT 1 AS old")
    client.command(f"DROP VIEW {database.name}.kpi_surveys")
    client.command(f"DROP TABLE {database.name}.schema_version")
    migrate(client, database.name, "Asia/Shanghai")
    assert rows(database, "SELECT ticket_id, escalations FROM kpi_tickets") == []
    assert rows(database, "SELECT answered FROM kpi_surveys") == []


def test_a_newer_database_is_left_alone(client: Client, database: Database, events: RecordingEvents) -> None:
    database.client()
    client.command(f"INSERT INTO {database.name}.schema_version (version) VALUES (77)")
    writer = ClickHouseWriter("c", EVENTS, Database(lambda: _Kept(client), database.name), events, Refusals())
    with pytest.raises(SinkError, match=rf"version 77, and this program knows {SCHEMA_VERSION}; use the newer"):
        writer.connect()


def tables_only(interrupted: _Interrupting) -> bool:
    return "VIEW" not in interrupted.last or "kpi_" not in interrupted.last


def test_two_migrate_at_once(client: Client, database: Database) -> None:
    """The second begins after each statement of the first, or of those that make views after some."""
    statements = 0
    while True:
        name = f"{database.name}_{statements}"
        interrupted = _Interrupting(client, statements)
        finished = interrupted.run(name)
        migrate(client, name, "Asia/Shanghai")
        migrate(client, name, "Asia/Shanghai", anew=True)
        tables = client.query(f"SELECT count() FROM system.tables WHERE database = '{name}'").result_rows
        assert tables[0][0] == 9 + len(KPI_VIEWS)  # with the views that fill tables
        client.command(f"DROP DATABASE {name}")
        if finished:
            break
        statements += 1 if tables_only(interrupted) else 5
    assert statements > 5 + len(KPI_VIEWS)


def test_a_dropped_table_is_made_again(
    client: Client, database: Database, events: RecordingEvents, refusals: Refusals
) -> None:
    writer = ClickHouseWriter("clickhouse", DECISIONS, database, events, refusals)
    writer.connect()
    client.command(f"DROP TABLE {database.name}.decisions SYNC")
    writer.write([decision(1)])
    writer.flush()
    assert rows(database, "SELECT count() FROM decisions") == [(1,)]
    assert (len(events.failures), events.recoveries) == (1, 1)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OperationalError("connection refused"), Fault.AWAY),
        (DatabaseError("502 Bad Gateway"), Fault.AWAY),
        (TimeoutError(), Fault.AWAY),
        (DatabaseError("too many parts", code=252), Fault.AWAY),
        (DatabaseError("memory", code=241), Fault.AWAY),
        (DatabaseError("readonly", code=164), Fault.AWAY),
        (DatabaseError("read-only table", code=242), Fault.AWAY),
        (DatabaseError("something new", code=99_999), Fault.AWAY),
        (DatabaseError("no table", code=60), Fault.NO_TABLE),
        (DatabaseError("password", code=516), Fault.FORBIDDEN),
        (DatabaseError("grants", code=497), Fault.FORBIDDEN),
        (DatabaseError("number", code=72), Fault.DATA),
        (msgspec.ValidationError("no ts"), Fault.DATA),
        (ProgrammingError("the client has been closed"), Fault.AWAY),
        (OSError("no space left on device"), Fault.AWAY),
    ],
)
def test_what_errors_mean(error: Exception, fault: Fault) -> None:
    assert fault_of(error) is fault


@pytest.mark.parametrize("url", ["localhost:8123", "ftp://host", "http://", "http://host:port"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(SinkError, match="http://user:password@host:8123"):
        connect_http(url)


def test_a_folder_in_use_is_told(database: Database, tmp_path: Path, events: RecordingEvents) -> None:
    other = Database(lambda: open_embedded(tmp_path / "other"))
    database.client()
    with pytest.raises(SinkError, match="other"):
        ClickHouseWriter("clickhouse", EVENTS, other, events, Refusals()).connect()


class _Kept:
    """A client that is closed by somebody else."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def close(self) -> None:
        pass


class _Recording(_Kept):
    """Keeps the commands that were given."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.told: list[str] = []

    def command(self, statement: str) -> Any:
        self.told.append(statement)
        return self._client.command(statement)


class _Interrupting(_Kept):
    """Stops a migration after some commands."""

    def __init__(self, client: Client, commands: int) -> None:
        super().__init__(client)
        self._left = commands
        self.last = ""
        """The command before which it stopped."""

    def run(self, name: str) -> bool:
        try:
            migrate(self, name, "Asia/Shanghai")  # type: ignore[arg-type]
        except InterruptedError:
            return False
        return True

    def command(self, statement: str) -> Any:
        if self._left == 0:
            self.last = statement
            raise InterruptedError
        self._left -= 1
        return self._client.command(statement)
