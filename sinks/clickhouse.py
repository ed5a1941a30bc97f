"""Tables of events, decisions and dead letters in ClickHouse, a server or the engine embedded in this process.

Everything here takes a `clickhouse_connect` client and does not ask which of the two it is. Tables are
ReplacingMergeTree ordered by what makes a row the same row, so inserting it again changes nothing: read them with
`FINAL`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.contract import SinkError

EVENTS, DECISIONS, DEAD_LETTERS = "events", "decisions", "dead_letters"
BATCH_ROWS = 50_000
"""Rows of one insert: large enough that ClickHouse makes few parts, small enough to hold in memory (~50 MB)."""

_LAST_MS = 9_000_000_000_000  # year 2255; DateTime64 ends in 2299 while the contract's times go on to 9999

# Columns read from the body where it has them; the body keeps every field as it came.
_TEXT_FIELDS = ("channel", "session_id", "page", "action", "query", "journey", "step", "error_code", "device_id",
                "city", "direction", "kind", "counterparty_id", "metric", "text")  # fmt: skip
_NUMBER_FIELDS = ("amount", "score")

# One tuple, so that the body is parsed once for all of them: measured five times faster than a column each.
_TUPLE = ", ".join(
    [f"{name} String" for name in _TEXT_FIELDS] + [f"{name} Nullable(Float64)" for name in _NUMBER_FIELDS]
)
_ALIASES = ",\n  ".join(f"{name} ALIAS fields.{name}" for name in (*_TEXT_FIELDS, *_NUMBER_FIELDS))

_SCHEMA = {
    EVENTS: """
  stream LowCardinality(String),
  event_id String,
  customer_id String,
  ts_ms Int64,
  ts DateTime64(3, '{timezone}') DEFAULT fromUnixTimestamp64Milli(least(ts_ms, {last_ms}), '{timezone}'),
  body String CODEC(ZSTD(1)),
  fields Tuple({tuple}) DEFAULT JSONExtract(body, 'Tuple({tuple})'),
  {aliases}
) ENGINE = ReplacingMergeTree ORDER BY (customer_id, ts_ms, stream, event_id)""",
    DECISIONS: """
  action_id String,
  kind LowCardinality(String),
  rule_id LowCardinality(String),
  rule_version UInt32,
  class LowCardinality(String),
  priority UInt8,
  customer_id String,
  ts_ms Int64,
  ts DateTime64(3, '{timezone}') DEFAULT fromUnixTimestamp64Milli(least(ts_ms, {last_ms}), '{timezone}'),
  anchor_event_id Nullable(String),
  holding_id Nullable(String),
  decision LowCardinality(String),
  reason LowCardinality(Nullable(String)),
  would_be LowCardinality(Nullable(String)),
  open_ticket_id Nullable(String),
  late Bool,
  features String,
  payload String
) ENGINE = ReplacingMergeTree ORDER BY action_id""",
    DEAD_LETTERS: """
  source String,
  reason LowCardinality(String),
  field LowCardinality(Nullable(String)),
  encoding LowCardinality(String),
  raw String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree ORDER BY source""",
}  # fmt: skip

_DECISION_COLUMNS = ("action_id", "kind", "rule_id", "rule_version", "class", "priority", "customer_id", "ts_ms",
                     "anchor_event_id", "holding_id", "decision", "reason", "would_be", "open_ticket_id", "late",
                     "features", "payload")  # fmt: skip
_DEAD_LETTER_COLUMNS = ("source", "reason", "field", "encoding", "raw")


class ClickHouseSinkError(SinkError):
    """The database cannot be opened or refuses the work; the message says which and what to do."""


class _Key(msgspec.Struct):
    stream: str
    event_id: str
    customer_id: str
    ts: int


def open_embedded(folder: Path, *, read_only: bool = False) -> Client:
    """A client on the ClickHouse engine inside this process, with its tables in `folder`.

    With `read_only` the engine refuses every statement that would change data, tables, files or this setting.

    A process can have one folder open at a time, and a folder one process: close the client before another is opened.

    Raises
    ------
    ClickHouseSinkError
        The folder cannot be created, is in use, or was written by something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        client = clickhouse_connect.get_client(interface="chdb", path=str(folder))
        if read_only:
            client.command("SET readonly = 1")
        return client
    except OSError as error:
        raise ClickHouseSinkError(f"{folder}: cannot be created: {error.strerror or error}") from error
    except ClickHouseError as error:
        raise ClickHouseSinkError(f"{folder}: the database does not open: {_brief(error)}") from error


class Tables:
    """The three tables in one database of a client; rows are given as the NDJSON lines that the engine writes."""

    def __init__(self, client: Client, database: str = "cem", timezone: str = "Asia/Shanghai") -> None:
        self._client = client
        self._database = database
        self._timezone = timezone

    def create(self) -> None:
        """Creates the database and the tables that are not there yet."""
        self._command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`")
        for table, columns in _SCHEMA.items():
            filled = columns.format(timezone=self._timezone, last_ms=_LAST_MS, tuple=_TUPLE, aliases=_ALIASES)
            self._command(f"CREATE TABLE IF NOT EXISTS {self.name(table)} ({filled}")

    def drop(self) -> None:
        """Drops the three tables, whatever is in them."""
        for table in _SCHEMA:
            self._command(f"DROP TABLE IF EXISTS {self.name(table)} SYNC")

    def name(self, table: str) -> str:
        """The table's name with its database."""
        return f"`{self._database}`.`{table}`"

    def insert_events(self, lines: Iterable[bytes]) -> int:
        """Inserts valid events (NDJSON lines with their `stream`) and returns how many there were.

        Lines that are no events are for the dead letters and are left out here.
        """
        decode = msgspec.json.Decoder(_Key).decode
        total = 0
        for batch in _batches(lines):
            columns: list[list[Any]] = [[], [], [], [], []]
            for line in batch:
                try:
                    key = decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    continue
                row = (key.stream, key.event_id, key.customer_id, key.ts, line.decode().rstrip())
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
            total += self._insert(EVENTS, ("stream", "event_id", "customer_id", "ts_ms", "body"), columns)
        return total

    def insert_decisions(self, lines: Iterable[bytes]) -> int:
        """Inserts decisions as `actions.ndjson` has them; one with an `action_id` that is there replaces it."""
        names = ["ts" if name == "ts_ms" else name for name in _DECISION_COLUMNS]
        total = 0
        for batch in _batches(lines):
            records = [json.loads(line) for line in batch]
            for record in records:
                for name in ("features", "payload"):
                    record[name] = json.dumps(record[name], ensure_ascii=False, separators=(",", ":"))
            columns = [[record[name] for record in records] for name in names]
            total += self._insert(DECISIONS, _DECISION_COLUMNS, columns)
        return total

    def insert_dead_letters(self, lines: Iterable[bytes]) -> int:
        """Inserts dead letters as `dead_letters.ndjson` has them; the same source again replaces the row."""
        total = 0
        for batch in _batches(lines):
            records = [json.loads(line) for line in batch]
            columns = [[record[name] for record in records] for name in _DEAD_LETTER_COLUMNS]
            total += self._insert(DEAD_LETTERS, _DEAD_LETTER_COLUMNS, columns)
        return total

    def _insert(self, table: str, names: Sequence[str], columns: list[list[Any]]) -> int:
        if not columns[0]:
            return 0
        try:
            self._client.insert(
                table, columns, column_names=list(names), database=self._database, column_oriented=True
            )  # fmt: skip
        except ClickHouseError as error:
            raise ClickHouseSinkError(f"{self.name(table)}: the insert failed: {_brief(error)}") from error
        return len(columns[0])

    def _command(self, sql: str) -> None:
        try:
            self._client.command(sql)
        except ClickHouseError as error:
            raise ClickHouseSinkError(f"{self._database}: {sql.split('(')[0].strip()}: {_brief(error)}") from error


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    waiting = iter(lines)
    while batch := list(islice(waiting, BATCH_ROWS)):
        yield batch


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500]
