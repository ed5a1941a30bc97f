"""Inserts lines, as the engine writes them, into the tables of ClickHouse, which reads the JSON itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from sinks.clickhouse_schema import (
    DEAD_LETTERS,
    DECISION_LINES,
    DECISIONS,
    EVENT_LINES,
    EVENTS,
    RULE_CHANGES,
    qualified,
)

Settings = Mapping[str, Any]
Insert = Callable[[Client, str, Sequence[bytes], Settings], list[int]]
"""Inserts lines into a database with settings of the query; returns the event times of decisions."""

_FIELDS: dict[str, int] = {"input_format_skip_unknown_fields": 1, "input_format_json_read_objects_as_strings": 1}


class _Time(msgspec.Struct):
    ts: int


_time = msgspec.json.Decoder(_Time).decode


def insert_events(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """Events with their `stream`."""
    block = b"\n".join(lines)
    if block.count(b"\n") >= len(lines):  # in JSON a newline can only stand between tokens
        block = b"\n".join([line.replace(b"\n", b" ") for line in lines])
    client.raw_insert(
        qualified(database, EVENT_LINES), ["line"], block + b"\n", settings=dict(settings), fmt="LineAsString"
    )
    return []


def insert_decisions(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """Decisions; one with an `action_id` that is there replaces it."""
    times_ms = [_time(line).ts for line in lines]
    _insert(client, qualified(database, DECISION_LINES), lines, settings)
    return times_ms


def insert_dead_letters(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """Dead letters; the same source again replaces the row."""
    _insert(client, qualified(database, DEAD_LETTERS), lines, settings)
    return []


def insert_rule_changes(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """What was done to rules while they ran: paused, resumed."""
    _insert(client, qualified(database, RULE_CHANGES), lines, settings)
    return []


INSERTS: dict[str, Insert] = {
    EVENTS: insert_events,
    DECISIONS: insert_decisions,
    DEAD_LETTERS: insert_dead_letters,
    RULE_CHANGES: insert_rule_changes,
}


def _insert(client: Client, table: str, lines: Sequence[bytes], settings: Settings) -> None:
    client.raw_insert(table, None, b"\n".join(lines) + b"\n", settings={**_FIELDS, **settings}, fmt="JSONEachRow")
