"""`cem query`: a query on the tables that a live run writes to ClickHouse, without changing anything there."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.live.pause_command import FAILED, WRONG_INPUT, Config, fail, settings_of

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from config.settings import LiveSettings

WRONG_USAGE = 2
_STATUS = "status"
"""A file in ClickHouse's folder; whoever has the folder open holds a lock on it."""

_Sql = Annotated[str, typer.Argument(metavar="SQL", help="One query, such as 'SELECT count() FROM cem.decisions'.")]


class UnavailableError(Exception):
    """There is nothing to ask; the message says why and what to do."""


def query(sql: _Sql, config: Config) -> None:
    """Answer a query on ClickHouse: a server at any time, the embedded engine while `cem run` does not run."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from flows.demo.query import QueryError, answer, one_query
    from flows.live.logs import without_passwords
    from sinks.contract import SinkError

    settings = settings_of(config)
    if settings.sinks.clickhouse is None:
        fail(f"cem query: {config} has no sinks.clickhouse, so there are no tables to ask", WRONG_INPUT)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # what it says of attempts is in the error as well
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    try:
        text = one_query(sql)
        with reading_client(settings) as (client, options):
            answer(client, text, options)
    except QueryError as error:
        fail(f"cem query: {without_passwords(str(error))}", WRONG_USAGE)
    except (UnavailableError, SinkError, ClickHouseError) as error:
        fail(f"cem query: {without_passwords(str(error).strip())}", FAILED)


@contextmanager
def reading_client(settings: LiveSettings) -> Iterator[tuple[Client, dict[str, Any]]]:
    """A client, and settings of ClickHouse that keep its queries from changing anything."""
    from sinks.clickhouse import open_embedded
    from sinks.clickhouse_writer import connect_http

    clickhouse = settings.sinks.clickhouse
    assert clickhouse is not None
    if clickhouse.url is not None:
        client = connect_http(clickhouse.url.get_secret_value())
        allowed = client.server_settings.get("readonly")
        is_limited = allowed is not None and allowed.value != "0"  # a user who may only read may not even say so
        options: dict[str, Any] = {} if is_limited else {"readonly": 2}
    else:
        assert clickhouse.path is not None
        _check_folder(clickhouse.path)
        client, options = open_embedded(clickhouse.path, read_only=True), {}
    try:
        yield client, options
    finally:
        client.close()


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UnavailableError(f"{folder}: there is no database here yet; `cem run` makes it")
    try:
        with (folder / _STATUS).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return  # who closes the database in order removes it
    except BlockingIOError as error:
        raise UnavailableError(
            f"{folder}: the engine is running and holds the folder; stop it, or use a server (sinks.clickhouse.url)"
        ) from error
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be read: {error.strerror or error}") from error
