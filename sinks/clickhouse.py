"""Tables of events, decisions and dead letters in ClickHouse, a server or the engine embedded in this process.

Everything here takes a `clickhouse_connect` client and does not ask which of the two it is. What the live engine writes
through is in `sinks.clickhouse_writer`, the tables themselves are in `sinks.clickhouse_schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.clickhouse_rows import INSERTS
from sinks.clickhouse_schema import DEAD_LETTERS as DEAD_LETTERS
from sinks.clickhouse_schema import DECISIONS as DECISIONS
from sinks.clickhouse_schema import EVENTS as EVENTS
from sinks.clickhouse_schema import drop, migrate, qualified
from sinks.contract import SinkError

BATCH_ROWS = 50_000
"""Rows of one insert: large enough that ClickHouse makes few parts, small enough to hold in memory (~50 MB)."""


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
    """The tables in one database of a client; rows are given as the NDJSON lines that the engine writes."""

    def __init__(self, client: Client, database: str = "cem", timezone: str = "Asia/Shanghai") -> None:
        self._client = client
        self._database = database
        self._timezone = timezone

    def create(self) -> None:
        """Creates the database and the tables that are not there yet."""
        try:
            migrate(self._client, self._database, self._timezone)
        except ClickHouseError as error:
            raise ClickHouseSinkError(f"{self._database}: the tables cannot be created: {_brief(error)}") from error

    def drop(self) -> None:
        """Drops the tables, whatever is in them."""
        try:
            drop(self._client, self._database)
        except ClickHouseError as error:
            raise ClickHouseSinkError(f"{self._database}: the tables cannot be dropped: {_brief(error)}") from error

    def name(self, table: str) -> str:
        """The table's name with its database."""
        return qualified(self._database, table)

    def insert_events(self, lines: Iterable[bytes]) -> int:
        """Inserts valid events (NDJSON lines with their `stream`) and returns how many there were.

        Lines that are no events are for the dead letters and are left out here.
        """
        decode = msgspec.json.Decoder(_Key).decode

        def is_event(line: bytes) -> bool:
            try:
                key = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return False
            return bool(key.event_id and key.customer_id)

        return self._insert(EVENTS, (line.rstrip() for line in lines if is_event(line)))

    def insert_decisions(self, lines: Iterable[bytes]) -> int:
        """Inserts decisions as `actions.ndjson` has them; one with an `action_id` that is there replaces it."""
        return self._insert(DECISIONS, lines)

    def insert_dead_letters(self, lines: Iterable[bytes]) -> int:
        """Inserts dead letters as `dead_letters.ndjson` has them; the same source again replaces the row."""
        return self._insert(DEAD_LETTERS, lines)

    def _insert(self, table: str, lines: Iterable[bytes]) -> int:
        total = 0
        for batch in _batches(lines):
            try:
                INSERTS[table](self._client, self._database, batch, {})
            except ClickHouseError as error:
                raise ClickHouseSinkError(f"{self.name(table)}: the insert failed: {_brief(error)}") from error
            total += len(batch)
        return total


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    waiting = iter(lines)
    while batch := list(islice(waiting, BATCH_ROWS)):
        yield batch


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500]
