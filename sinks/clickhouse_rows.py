"""Inserts lines, as the engine writes them, into the tables of ClickHouse."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clickhouse_connect.driver.client import Client

from sinks.clickhouse_schema import DEAD_LETTERS, DECISIONS, EVENT_LINES, EVENTS, RULE_CHANGES

Settings = Mapping[str, Any]
Insert = Callable[[Client, str, Sequence[bytes], Settings], list[int]]
"""Inserts lines into a database with settings of the query; returns the event times of decisions."""

_DECISION_COLUMNS = ("action_id", "kind", "rule_id", "rule_version", "class", "priority", "customer_id", "ts_ms",
                     "anchor_event_id", "holding_id", "decision", "reason", "would_be", "open_ticket_id", "late",
                     "features", "payload")  # fmt: skip
_DEAD_LETTER_COLUMNS = ("source", "reason", "field", "encoding", "raw")
_RULE_CHANGE_COLUMNS = ("id", "at_ms", "rule_id", "change", "by", "why")


def insert_events(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """Events with their `stream`; ClickHouse reads the lines itself and refuses what is no event."""
    block = b"\n".join(lines)
    if block.count(b"\n") >= len(lines):  # in JSON a newline can only stand between tokens
        block = b"\n".join([line.replace(b"\n", b" ") for line in lines])
    client.raw_insert(
        f"`{database}`.`{EVENT_LINES}`", ["line"], block + b"\n", settings=dict(settings), fmt="LineAsString"
    )
    return []


def insert_decisions(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """Decisions; one with an `action_id` that is there replaces it."""
    records = [json.loads(line) for line in lines]
    for record in records:
        for name in ("features", "payload"):
            record[name] = json.dumps(record[name], ensure_ascii=False, separators=(",", ":"))
        record["ts_ms"] = record["ts"]
    _insert(client, database, DECISIONS, _DECISION_COLUMNS, records, settings)
    return [record["ts_ms"] for record in records]


def insert_dead_letters(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """Dead letters; the same source again replaces the row."""
    _insert(client, database, DEAD_LETTERS, _DEAD_LETTER_COLUMNS, [json.loads(line) for line in lines], settings)
    return []


def insert_rule_changes(client: Client, database: str, lines: Sequence[bytes], settings: Settings) -> list[int]:
    """What was done to rules while they ran: paused, resumed."""
    _insert(client, database, RULE_CHANGES, _RULE_CHANGE_COLUMNS, [json.loads(line) for line in lines], settings)
    return []


INSERTS: dict[str, Insert] = {
    EVENTS: insert_events,
    DECISIONS: insert_decisions,
    DEAD_LETTERS: insert_dead_letters,
    RULE_CHANGES: insert_rule_changes,
}


def _insert(
    client: Client, database: str, table: str, names: Sequence[str], records: list[dict[str, Any]], settings: Settings
) -> None:
    columns = [[record[name] for record in records] for name in names]
    client.insert(
        table, columns, column_names=list(names), database=database, column_oriented=True, settings=dict(settings)
    )  # fmt: skip
