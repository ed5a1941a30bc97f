"""Writers of lines to ClickHouse that try again until the rows are in, and go round a row that is refused.

A batch that failed is inserted again unchanged, under the same deduplication token; where the first attempt had worked
after all, `ReplacingMergeTree` makes one row of the two. A batch that is refused for what is in it is halved until the
row is found; that row goes to ``refused``, all others in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error, ProgrammingError

from sinks.clickhouse import ClickHouseSinkError, open_embedded
from sinks.clickhouse_rows import INSERTS
from sinks.clickhouse_schema import migrate
from sinks.contract import Attempts, Refused, SinkError, SinkEvents

BATCH_ROWS = 50_000
BATCH_BYTES = 32 << 20
CONNECT_S, ANSWER_S = 10, 30
"""After so long a server that does not answer counts as away."""

_FORBIDDEN = {192, 193, 194, 195, 291, 497, 516}  # users, passwords, access
_NO_TABLE = {60, 81}  # somebody dropped it, or the database
# Texts, numbers and times that cannot be read or do not fit; a constraint; the view's own test of events.
_DATA = {6, 25, 26, 27, 32, 38, 41, 53, 69, 70, 72, 117, 131, 190, 321, 349, 395, 407, 467, 469, 676}


class Fault(Enum):
    """What an error means for the batch."""

    AWAY = "away"  # also: busy, read-only, out of memory, unknown: try again
    NO_TABLE = "no_table"
    FORBIDDEN = "forbidden"
    DATA = "data"


def fault_of(error: Exception) -> Fault:
    """What kind of error it is. What is not known is tried again: that loses nothing."""
    code = error.code if isinstance(error, Error) else None
    if code in _FORBIDDEN:
        return Fault.FORBIDDEN
    if code in _NO_TABLE:
        return Fault.NO_TABLE
    if code in _DATA:
        return Fault.DATA
    return Fault.DATA if isinstance(error, msgspec.MsgspecError) else Fault.AWAY


def connect_http(url: str) -> Client:
    """A client of a server at ``http[s]://user:password@host:port``; parameters after ``?`` are options of the client.

    Raises
    ------
    ClickHouseSinkError
        The address is none.
    ClickHouseError
        The server is away or refuses.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ClickHouseSinkError(f"clickhouse: {error}; give http://user:password@host:8123") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClickHouseSinkError("clickhouse: the url is no address; give http://user:password@host:8123")
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "send_receive_timeout": ANSWER_S,
        "autogenerate_session_id": False,  # a session stays locked by a query whose answer was given up
        "client_name": "cem",
        **{name: _option(value) for name, value in parse_qsl(parts.query)},
    }
    return clickhouse_connect.get_client(
        interface=parts.scheme, host=parts.hostname, port=port or (8443 if parts.scheme == "https" else 8123),
        username=unquote(parts.username or "default"), password=unquote(parts.password or ""), **options,
    )  # fmt: skip


def _option(text: str) -> str | int | float | bool:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def connect_embedded(folder: Path) -> Client:
    """A client of the engine inside this process; one process can have the folder open."""
    return open_embedded(folder)


class Database:
    """One database, connected and migrated when it is first needed; shared by the writers of a process."""

    def __init__(self, connect: Callable[[], Client], database: str = "cem", timezone: str = "Asia/Shanghai") -> None:
        self._connect, self.name, self._timezone = connect, database, timezone
        self._client: Client | None = None

    def client(self) -> Client:
        """The client; the first time this connects and migrates, and raises what that raises."""
        if self._client is None:
            client = self._connect()
            try:
                migrate(client, self.name, self._timezone)
            except BaseException:
                client.close()
                raise
            self._client = client
        return self._client

    def restore(self) -> None:
        """Create tables that somebody dropped."""
        migrate(self.client(), self.name, self._timezone, anew=True)

    def close(self) -> None:
        """Lets go of the server, or of the engine's folder."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


class ClickHouseWriter:
    """Writes lines into one table.

    Parameters
    ----------
    name
        Of the sink, for logs and metrics.
    table
        `events`, `decisions`, `dead_letters` or `rule_changes`.
    refused
        Is given a line that the table refuses.
    batch_rows, batch_bytes
        Of one insert, and so of what is held in memory; `flush` inserts what there is.
    """

    def __init__(
        self, name: str, table: str, database: Database, events: SinkEvents, refused: Refused, *,
        batch_rows: int = BATCH_ROWS, batch_bytes: int = BATCH_BYTES,
    ) -> None:  # fmt: skip
        self._name, self._table, self._database, self._events, self._refused = name, table, database, events, refused
        self._batch_rows, self._batch_bytes = batch_rows, batch_bytes
        self._insert_rows = INSERTS[table]
        self._attempts = Attempts(name, events)
        self._lines: list[bytes] = []
        self._bytes = 0

    def connect(self) -> None:
        """Returns when the server is there and its tables are up to date."""
        self._until_done(lambda client: None)

    def write(self, lines: Sequence[bytes]) -> None:
        """Keep the lines, and insert whole batches."""
        for line in lines:
            self._lines.append(line)
            self._bytes += len(line)
            if len(self._lines) >= self._batch_rows or self._bytes >= self._batch_bytes:
                self.flush()

    def flush(self) -> None:
        """Returns when all rows are in the table."""
        if self._lines:
            self._insert(self._lines)
            self._lines, self._bytes = [], 0

    def close(self) -> None:
        """Forgets what was not inserted. The database is closed by who opened it."""
        self._lines, self._bytes = [], 0

    def _insert(self, lines: list[bytes]) -> None:
        # An asynchronous insert could be acknowledged before it is safe.
        digest = hashlib.blake2b(b"\n".join(lines), digest_size=16).hexdigest()
        settings = {"insert_deduplication_token": digest, "async_insert": 0}
        times_ms: list[int] = []

        def insert(client: Client) -> None:
            times_ms[:] = self._insert_rows(client, self._database.name, lines, settings)

        error = self._until_done(insert)
        if error is None:
            self._events.written(self._name, len(lines))
            if times_ms:
                self._events.delivered(self._name, times_ms)
        elif len(lines) == 1:
            self._refused(lines[0], f"refused:{_kind(error)}")
        else:
            half = len(lines) // 2
            self._insert(lines[:half])
            self._insert(lines[half:])

    def _until_done(self, work: Callable[[Client], None]) -> Exception | None:
        """Do it until it works, or until it fails for what is in the data; returns that failure."""
        while True:
            connected = False
            try:
                client = self._database.client()
                connected = True
                work(client)
            except SinkError:
                raise
            except Exception as error:
                fault = fault_of(error)
                if fault is Fault.FORBIDDEN:
                    raise ClickHouseSinkError(
                        f"{self._name}: the server refuses the user: {_brief(error)}; check user, password and grants"
                    ) from error
                if fault is Fault.DATA and connected:
                    self._attempts.worked()  # the server is there
                    return error
                if isinstance(error, ProgrammingError | TypeError | ValueError) and not connected:
                    raise ClickHouseSinkError(f"{self._name}: cannot connect: {_brief(error)}") from error
                self._attempts.failed(_brief(error))
                if fault is Fault.NO_TABLE:
                    self._restore()
            else:
                self._attempts.worked()
                return None

    def _restore(self) -> None:
        try:
            self._database.restore()
        except ClickHouseError as error:
            self._attempts.failed(_brief(error))


def _kind(error: Exception) -> str:
    """A name for the reason that holds nothing of the data."""
    if isinstance(error, Error) and (error.name or error.code):
        return str(error.name or error.code)
    return type(error).__name__


def _brief(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
