"""The schema of the database, made and brought up to date by numbered migrations.

Tables are ReplacingMergeTree ordered by what makes a row the same row, so inserting it again changes nothing: read them
with `FINAL`.
"""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from sinks.contract import SinkError
from sinks.kpi_views import KPI_VIEWS, kpi_view_statements

EVENTS, DECISIONS, DEAD_LETTERS, RULE_CHANGES = "events", "decisions", "dead_letters", "rule_changes"
EVENT_LINES, DECISION_LINES = "event_lines", "decision_lines"
"""They take lines as the engine writes them and keep nothing: views make rows of the two tables of them. That is much
faster than making columns here."""

_VERSIONS = "schema_version"
_VIEWS = ("event_lines_to_events", "decision_lines_to_decisions")

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

_TABLES = {
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
    RULE_CHANGES: """
  id String,
  at_ms Int64,
  at DateTime64(3, '{timezone}') DEFAULT fromUnixTimestamp64Milli(least(at_ms, {last_ms}), '{timezone}'),
  rule_id LowCardinality(String),
  change LowCardinality(String),
  by String,
  why String
) ENGINE = ReplacingMergeTree ORDER BY id""",
}  # fmt: skip

_EVENT_LINES = "CREATE TABLE IF NOT EXISTS {database}.event_lines (line String) ENGINE = Null"
_EVENT_VIEW = """
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.event_lines_to_events TO {database}.events AS
WITH JSONExtract(line, 'Tuple(stream String, event_id String, customer_id String, ts Int64)') AS key
SELECT key.stream AS stream, key.event_id AS event_id, key.customer_id AS customer_id, key.ts AS ts_ms, line AS body
FROM {database}.event_lines
WHERE NOT throwIf(key.event_id = '' OR key.customer_id = '', 'no event')"""

_DECISION_LINES = """
CREATE TABLE IF NOT EXISTS {database}.decision_lines (
  action_id String, kind LowCardinality(String), rule_id LowCardinality(String), rule_version UInt32,
  class LowCardinality(String), priority UInt8, customer_id String, ts Int64, anchor_event_id Nullable(String),
  holding_id Nullable(String), decision LowCardinality(String), reason LowCardinality(Nullable(String)),
  would_be LowCardinality(Nullable(String)), open_ticket_id Nullable(String), late Bool, features String, payload String
) ENGINE = Null"""
_DECISION_VIEW = """
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.decision_lines_to_decisions TO {database}.decisions AS
SELECT action_id, kind, rule_id, rule_version, class, priority, customer_id, ts AS ts_ms, anchor_event_id, holding_id,
  decision, reason, would_be, open_ticket_id, late, features, payload
FROM {database}.decision_lines
WHERE NOT throwIf(action_id = '' OR customer_id = '', 'no decision')"""

_ADD_MODELS = [
    "ALTER TABLE {database}.decisions ADD COLUMN IF NOT EXISTS models String",
    "ALTER TABLE {database}.decision_lines ADD COLUMN IF NOT EXISTS models String",
    """
ALTER TABLE {database}.decision_lines_to_decisions MODIFY QUERY
SELECT action_id, kind, rule_id, rule_version, class, priority, customer_id, ts AS ts_ms, anchor_event_id, holding_id,
  decision, reason, would_be, open_ticket_id, late, features, payload, models
FROM {database}.decision_lines
WHERE NOT throwIf(action_id = '' OR customer_id = '', 'no decision')""",
]


def _table(name: str) -> str:
    return "CREATE TABLE IF NOT EXISTS {database}." + name + " (" + _TABLES[name]


# A statement must do no harm when it is run again, or by two processes at once: a migration that was interrupted is
# run again from its beginning. What is written here stays as it is once it was released.
_MIGRATIONS: list[list[str]] = [
    [_table(EVENTS), _table(DECISIONS), _table(DEAD_LETTERS)],
    [_table(RULE_CHANGES), _EVENT_LINES, _EVENT_VIEW, _DECISION_LINES, _DECISION_VIEW],
    _ADD_MODELS,
    [],  # the first views of key figures, all of them made anew since
    [],
]
SCHEMA_VERSION = len(_MIGRATIONS)
_VIEWS_VERSION = 5
"""With this the views of key figures are made as they are now: it is a new one whenever one of them changes."""


def qualified(database: str, table: str) -> str:
    """A table's name with its database."""
    return f"`{database}`.`{table}`"


def migrate(client: Client, database: str, timezone: str, *, anew: bool = False) -> None:
    """Create the database and its tables, or bring them up to date; ``anew``: whatever the version, if one is missing.

    Raises
    ------
    SinkError
        The database was made by a newer version of the program.
    ClickHouseError
        Of the server, while it is away or unwilling.
    """
    versions = qualified(database, _VERSIONS)
    client.command(f"CREATE DATABASE IF NOT EXISTS `{database}`")
    client.command(
        f"CREATE TABLE IF NOT EXISTS {versions} (version UInt32, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
        "ENGINE = ReplacingMergeTree ORDER BY version"
    )
    found = int(str(client.command(f"SELECT max(version) FROM {versions}")))
    if found > SCHEMA_VERSION:
        raise SinkError(
            f"database {database}: its schema is version {found}, and this program knows {SCHEMA_VERSION}; "
            "use the newer version of the program, or another database"
        )
    for version in range(1 if anew else found + 1, SCHEMA_VERSION + 1):
        for statement in _MIGRATIONS[version - 1]:
            client.command(
                statement.format(
                    database=f"`{database}`", timezone=timezone, last_ms=_LAST_MS, tuple=_TUPLE, aliases=_ALIASES
                )
            )
        if version == _VIEWS_VERSION:
            _make_views(client, database, older=found < _VIEWS_VERSION)
        client.command(f"INSERT INTO {versions} (version) VALUES ({version})")


def _make_views(client: Client, database: str, *, older: bool) -> None:
    """The views of key figures; those that are there are replaced where the database is ``older`` than they."""
    named = f"database = '{database}' AND name LIKE 'kpi\\_%'"
    listed = f"SELECT arrayStringConcat(groupArray(name), ',') FROM system.tables WHERE {named}"
    there = set(str(client.command(listed)).split(",")) if older else set()
    for statement in kpi_view_statements(f"`{database}`", there):
        client.command(statement)


def drop(client: Client, database: str) -> None:
    """Drop all tables, whatever is in them."""
    for view in (*reversed(KPI_VIEWS), *_VIEWS):
        client.command(f"DROP VIEW IF EXISTS {qualified(database, view)} SYNC")
    for table in (*_TABLES, EVENT_LINES, DECISION_LINES, _VERSIONS):
        client.command(f"DROP TABLE IF EXISTS {qualified(database, table)} SYNC")
