"""Answers a person's query on the database of a demonstration, without changing anything there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console

from flows.demo.further import demo_command
from flows.demo.lock import locked
from flows.demo.show import Show, make_console
from sinks.clickhouse import ClickHouseSinkError, open_embedded

MAX_SHOWN_ROWS = 500
"""Rows printed to a terminal; a pipe gets all."""

_ALLOWED = ("SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS")
_NOT_CODE = re.compile(
    r"""(?P<comment>--[^\n]*|\#[ !][^\n]*|/\*.*?(?:\*/|\Z))
    |'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$""",
    re.DOTALL | re.VERBOSE,
)
_TSV = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class QueryError(Exception):
    """The query is not one that can be answered; the message says why."""


def show_query(out: Path, sql: str, console: Console | None = None) -> None:
    """Prints the answer of a query on the database that a demonstration left in `out`.

    On a terminal that is a table, or a line for each value if the table is wider than the screen; elsewhere
    tab-separated values under a line of column names.

    Raises
    ------
    QueryError
        The query is empty, wrong, would change something, or is several.
    ClickHouseSinkError
        No demonstration has been run there.
    InUseError
        Another run works in the folder.
    """
    query = one_query(sql)
    console = console or make_console()
    database = out / "clickhouse"
    missing = f"{database}: no demonstration has been run here; run `{demo_command(out)}` first"
    if not database.is_dir():
        raise ClickHouseSinkError(missing)
    with locked(out), closing(open_embedded(database, read_only=True)) as client:
        if not client.query("EXISTS TABLE cem.decisions").result_rows[0][0]:
            raise ClickHouseSinkError(missing)
        answer(client, query, console=console)


def answer(
    client: Client, query: str, settings: dict[str, Any] | None = None, console: Console | None = None
) -> None:  # fmt: skip
    """Prints what a client answers to a query; QueryError if it refuses. ``settings``: of ClickHouse, for the query."""
    try:
        found = client.query(query, settings=settings or {})
    except ClickHouseError as error:
        raise QueryError(re.sub(r"^Code: \d+\. DB::Exception: ", "", str(error).strip())) from error
    _print(Show(console or make_console()), found.column_names, found.result_rows)


def one_query(sql: str) -> str:
    """The query without its comments and the semicolon at its end; QueryError if it is none, or several."""
    text = _NOT_CODE.sub(lambda part: " " if part["comment"] else part[0], sql).strip().rstrip("; \t\r\n")
    code = _NOT_CODE.sub("''", text)
    if not code:
        raise QueryError("the query is empty")
    if ";" in code:
        raise QueryError("these are several statements; give one at a time")
    first = re.match(r"[\s(]*(\w*)", code)
    if first is None or first[1].upper() not in _ALLOWED or re.search(r"\bINTO\s+OUTFILE\b", code, re.IGNORECASE):
        raise QueryError("only queries are run here, nothing is changed: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN, EXISTS")
    if re.search(r"\bFORMAT\s+\w+$", code, re.IGNORECASE):
        raise QueryError("leave FORMAT out: in a pipe or file the answer is tab-separated, with a line of names")
    return text


def _print(show: Show, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    console = show.console
    if not rows:
        # In a pipe this is no part of the answer.
        (console if console.is_terminal else Console(stderr=True)).print("no rows")
        return
    if not console.is_terminal:
        for row in [columns, *rows]:
            print("\t".join(_text(value).translate(_TSV) for value in row), file=console.file)
        return
    shown = [[_text(value) for value in row] for row in rows[:MAX_SHOWN_ROWS]]
    numbers = [name for place, name in enumerate(columns) if isinstance(rows[0][place], int | float)]
    if show.fits(columns, shown):
        show.table(columns, shown, right=frozenset(numbers), keep=frozenset(columns))
    else:
        show.records(columns, shown)
    if len(rows) > len(shown):
        show.line(f"… and {len(rows) - len(shown):,} more rows; in a pipe or file you get all", "dim")


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ", "milliseconds" if value.microsecond else "seconds")
    return "" if value is None else str(value)
