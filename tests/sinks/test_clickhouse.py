"""ClickHouse tables, on the engine embedded in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from sinks.clickhouse import DEAD_LETTERS, DECISIONS, EVENTS, ClickHouseSinkError, Tables, open_embedded

YEAR_9999_MS = 253_402_300_799_999


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = open_embedded(tmp_path_factory.mktemp("chdb"))
    yield client
    client.close()


@pytest.fixture
def tables(client: Client) -> Tables:
    tables = Tables(client, "test")
    tables.create()
    tables.drop()
    tables.create()
    return tables


def line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"stream": "click", "event_id": f"e{number}", "customer_id": "C1", "ts": 1_760_000_000_000 + number} | fields


def decision(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "action_id": f"{number:032x}", "kind": "ticket", "rule_id": "r", "rule_version": 3, "class": "service",
        "priority": 50, "customer_id": "C1", "ts": 1_760_000_000_000, "anchor_event_id": "e1", "holding_id": None,
        "decision": "emitted", "reason": None, "would_be": None, "open_ticket_id": None, "late": False,
        "features": {"searches": 3}, "payload": {"subject": "客户7天内3次搜索"},
    } | fields  # fmt: skip


def dead_letter(number: int) -> dict[str, Any]:
    return {"raw": "{", "encoding": "utf-8", "source": f"f:{number}", "reason": "not_json", "field": None}


def rows(client: Client, tables: Tables, what: str, table: str, rest: str = "") -> list[tuple[Any, ...]]:
    return list(client.query(f"SELECT {what} FROM {tables.name(table)} FINAL {rest}").result_rows)


def test_events_come_back_with_their_fields(client: Client, tables: Tables) -> None:
    click, txn = event(1, page="首页", error_code="E1"), event(2, stream="txn", amount=12.5, direction="out", x=[1])
    assert tables.insert_events(map(line, [click, txn])) == 2
    found = rows(client, tables, "body, page, error_code, amount, direction, toString(ts)", EVENTS, "ORDER BY ts_ms")
    assert [json.loads(row[0]) for row in found] == [click, txn]
    assert found[0][1:] == ("首页", "E1", None, "", "2025-10-09 16:53:20.001")
    assert found[1][1:] == ("", "", 12.5, "out", "2025-10-09 16:53:20.002")


def test_events_inserted_again_are_there_once(client: Client, tables: Tables) -> None:
    lines = [line(event(i)) for i in range(5)]
    tables.insert_events(lines)
    tables.insert_events([*lines[2:], line(event(9))])
    assert rows(client, tables, "count()", EVENTS) == [(6,)]


def test_lines_that_are_no_events_are_left_out(client: Client, tables: Tables) -> None:
    bad = [b"{", b"\xff", b"[]", line({"stream": "click"}), line(event(3) | {"ts": "1"}), b"\n"]
    assert tables.insert_events([*bad, line(event(1))]) == 1
    assert rows(client, tables, "event_id", EVENTS) == [("e1",)]


def test_a_field_of_an_unexpected_type_does_not_stop_the_insert(client: Client, tables: Tables) -> None:
    tables.insert_events([line(event(1, page=5, score="high")), line(event(2, page=None, score=True))])
    assert rows(client, tables, "count(), countIf(score > 1)", EVENTS) == [(2, 0)]


def test_the_last_time_of_the_contract_is_kept(client: Client, tables: Tables) -> None:
    tables.insert_events([line(event(1) | {"ts": YEAR_9999_MS})])
    tables.insert_decisions([line(decision(1, ts=YEAR_9999_MS))])
    assert rows(client, tables, "ts_ms, toYear(ts) > 2200", EVENTS) == [(YEAR_9999_MS, True)]
    assert rows(client, tables, "ts_ms, toYear(ts) > 2200", DECISIONS) == [(YEAR_9999_MS, True)]


def test_decisions_come_back(client: Client, tables: Tables) -> None:
    held = decision(2, decision="suppressed", reason="shadow", would_be="cap", anchor_event_id=None, holding_id="H1",
                    open_ticket_id="t", late=True)  # fmt: skip
    assert tables.insert_decisions(map(line, [decision(1), held])) == 2
    what = (
        "action_id, rule_version, class, priority, anchor_event_id, holding_id, decision, reason, would_be, "
        "open_ticket_id, late, JSONExtractInt(features, 'searches'), JSONExtractString(payload, 'subject')"
    )
    assert rows(client, tables, what, DECISIONS, "ORDER BY action_id") == [
        (f"{1:032x}", 3, "service", 50, "e1", None, "emitted", None, None, None, False, 3, "客户7天内3次搜索"),
        (f"{2:032x}", 3, "service", 50, None, "H1", "suppressed", "shadow", "cap", "t", True, 3, "客户7天内3次搜索"),
    ]


def test_a_decision_inserted_again_is_there_once(client: Client, tables: Tables) -> None:
    tables.insert_decisions([line(decision(1)), line(decision(2))])
    tables.insert_decisions([line(decision(2)), line(decision(3))])
    assert rows(client, tables, "action_id", DECISIONS, "ORDER BY action_id") == [(f"{i:032x}",) for i in (1, 2, 3)]


def test_dead_letters_are_there_once(client: Client, tables: Tables) -> None:
    for _ in range(2):
        assert tables.insert_dead_letters(map(line, [dead_letter(1), dead_letter(2)])) == 2
    found = rows(client, tables, "source, reason, field, encoding, raw", DEAD_LETTERS, "ORDER BY source")
    assert found == [(f"f:{i}", "not_json", None, "utf-8", "{") for i in (1, 2)]


def test_nothing_to_insert_is_fine(tables: Tables) -> None:
    assert (tables.insert_events([]), tables.insert_decisions([]), tables.insert_dead_letters([])) == (0, 0, 0)


def test_many_batches(client: Client, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.clickhouse.BATCH_ROWS", 4)
    assert tables.insert_events(line(event(i)) for i in range(10)) == 10
    assert rows(client, tables, "count()", EVENTS) == [(10,)]


def test_create_keeps_what_is_there(client: Client, tables: Tables) -> None:
    tables.insert_decisions([line(decision(1))])
    tables.create()
    assert rows(client, tables, "count()", DECISIONS) == [(1,)]


def test_a_refused_insert_names_the_table(tables: Tables) -> None:
    tables.drop()
    with pytest.raises(ClickHouseSinkError, match=r"`test`\.`events`"):
        tables.insert_events([line(event(1))])


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClickHouseSinkError, match="file"):
        open_embedded(tmp_path / "file" / "db")
