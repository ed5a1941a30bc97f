"""The facts behind the key figures of surveys and tickets, row by row, on cases made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from sinks.clickhouse import Tables, open_embedded

Record = dict[str, Any]

START_MS = 1_770_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = open_embedded(tmp_path_factory.mktemp("chdb"))
    yield client
    client.close()


def decision(action_id: str, at_ms: int, kind: str = "survey", **fields: Any) -> Record:
    return {
        "action_id": action_id, "kind": kind, "rule_id": "r", "rule_version": 1, "class": "survey", "priority": 50,
        "customer_id": "C1", "ts": START_MS + at_ms, "anchor_event_id": "e", "holding_id": None, "decision": "emitted",
        "reason": None, "would_be": None, "open_ticket_id": None, "late": False, "features": {},
        "payload": {"metric": "nps"},
    } | fields  # fmt: skip


def event(event_id: str, at_ms: int, stream: str = "feedback", **fields: Any) -> Record:
    return {"stream": stream, "event_id": event_id, "customer_id": "C1", "ts": START_MS + at_ms} | fields


def answer(event_id: str, at_ms: int, survey_id: str | None = None, **fields: Any) -> Record:
    named = {} if survey_id is None else {"survey_id": survey_id}
    return event(event_id, at_ms, **{"metric": "nps", "score": 9} | named | fields)


def filled(client: Client, name: str, decisions: Iterable[Record], events: Iterable[Record]) -> None:
    tables = Tables(client, name, "UTC")
    tables.create()
    tables.insert_decisions(json.dumps(record).encode() for record in decisions)
    tables.insert_events(json.dumps(record).encode() for record in events)


def rows(client: Client, select: str) -> dict[Any, tuple[Any, ...]]:
    """By the first column the others."""
    return {row[0]: tuple(row[1:]) for row in client.query(select).result_rows}


def test_answers_and_the_surveys_they_answer(client: Client) -> None:
    csat, refused = {"payload": {"metric": "csat"}}, {"decision": "suppressed", "reason": "cap"}
    surveys = [
        decision("first", 0), decision("second", 2 * DAY_MS), decision("csat", 0, **csat),
        decision("refused", 0, **refused), decision("other", 0, customer_id="C2"), decision("nothing", DAY_MS, **csat),
        decision("young", 24 * DAY_MS), decision("waits", 25 * DAY_MS, customer_id="C2"),
    ]  # fmt: skip
    answers = [
        answer("with the id", 3 * HOUR_MS, "first"),
        answer("before it, without", HOUR_MS),
        answer("once more", 5 * HOUR_MS, "first"),
        answer("before it was asked", 2 * DAY_MS - 1, "second"),
        answer("at its time, without", 2 * DAY_MS),
        answer("without", 2 * DAY_MS + 1),
        answer("without again", 9 * DAY_MS),
        answer("too old to be meant", 9 * DAY_MS + 2),
        answer("late", 7 * DAY_MS + 1, "csat", metric="csat", score=4),
        answer("late again", 8 * DAY_MS, "csat", metric="csat", score=1),
        answer("never sent", HOUR_MS, "refused"),
        answer("of another customer", HOUR_MS, "other"),
        answer("of another metric", 7 * DAY_MS, "other", customer_id="C2", metric="ces", score=1),
        answer("no score on the scale", 24 * DAY_MS + 1, "young", score=11),
        answer("soon", 24 * DAY_MS + 2, "young", score=6),
    ]
    filled(client, "surveys", surveys, answers)
    found = rows(client, "SELECT event_id, belongs, action_id, joined_by FROM surveys.kpi_survey_answers")
    assert found == {
        "with the id": ("answered", "first", "survey_id"),
        "before it, without": ("unsolicited", "", ""),
        "once more": ("again", "first", "survey_id"),
        "before it was asked": ("unknown_survey", "", ""),
        "at its time, without": ("unsolicited", "", ""),
        "without": ("answered", "second", "metric"),
        "without again": ("again", "second", "metric"),
        "too old to be meant": ("unsolicited", "", ""),
        "late": ("late", "csat", "survey_id"),
        "late again": ("again", "csat", "survey_id"),
        "never sent": ("unknown_survey", "", ""),
        "of another customer": ("unknown_survey", "", ""),
        "of another metric": ("answered", "other", "survey_id"),
        "soon": ("answered", "young", "survey_id"),
    }
    columns = "action_id, outcome, answered, late, value, response_time_ms, joined_by"
    assert rows(client, f"SELECT {columns} FROM surveys.kpi_surveys") == {
        "first": ("emitted", 1, 0, 9, 3 * HOUR_MS, "survey_id"),
        "second": ("emitted", 1, 0, 9, 1, "metric"),
        "csat": ("emitted", 0, 1, 4, 7 * DAY_MS + 1, "survey_id"),
        "refused": ("cap", None, None, None, None, ""),
        "other": ("emitted", 1, 0, None, 7 * DAY_MS, "survey_id"),  # what was asked was not what was answered
        "nothing": ("emitted", 0, 0, None, None, ""),
        "young": ("emitted", None, None, 6, 2, "survey_id"),  # seven days are not over
        "waits": ("emitted", None, None, None, None, ""),
    }


def test_clocks_of_tickets(client: Client) -> None:
    due = {"first_response": START_MS + HOUR_MS, "resolution": START_MS + DAY_MS, "statutory": START_MS + 15 * DAY_MS}
    resolved = [(HOUR_MS, "accepted"), (2 * HOUR_MS, "resolved")]
    stories: dict[str, tuple[Record, list[tuple[int, str]], list[tuple[str, str]]]] = {
        "kept": ({"due": due, "repeat": 0}, resolved, []),
        "warned": ({"due": due, "repeat": 2}, resolved, [("warning", "resolution")]),
        "broken": ({"due": due}, resolved, [("breach", "first_response"), ("breach", "resolution")]),
        "runs": ({"due": due}, [], []),
        "runs, broken": ({"due": due}, [(HOUR_MS, "accepted")], [("breach", "resolution")]),
        "reopened": ({"due": due}, [*resolved, (3 * HOUR_MS, "reopened")], []),
        "reopened by a clock": ({"due": due}, resolved, [("reopen", "")]),
        "reopened too early": ({"due": due}, [(2 * DAY_MS, "resolved")], [("reopen", "")]),
        "closed": ({"due": due}, [(DAY_MS, "closed")], [("illegal_transition", "")]),
        "followed up": ({"due": due}, [(DAY_MS, "followed_up")], []),
        "two clocks": ({"due": {"resolution": due["resolution"]}, "sla": "1ms"}, resolved, []),
        "no clocks": ({"due": {}, "sla": "1ms"}, resolved, []),
        "hours": ({"sla": "4h"}, resolved, []),
        "minutes": ({"sla": "30m"}, resolved, []),
        "working days": ({"sla": "3wd"}, resolved, []),
        "days": ({"sla": "15d"}, resolved, []),
        "nothing": ({}, resolved, []),
    }
    decisions, events = [], []
    for name, (payload, messages, told) in stories.items():
        decisions.append(decision(name, 0, "ticket", payload=payload))
        events += [event(f"{name} {at}", at, "ticket", ticket_id=name, stage=stage) for at, stage in messages]
        for number, (what, clock) in enumerate(told):
            payload = {"ticket_id": name, "event": what} | ({"clock": clock} if clock else {})
            decisions.append(decision(f"{name} {number}", DAY_MS + number, "escalate", payload=payload))
    decisions.append(decision("held back", 0, "escalate", payload={"ticket_id": "kept", "event": "breach"},
                              decision="suppressed", reason="shadow"))  # fmt: skip
    filled(client, "tickets", decisions, events)
    met = "first_response_met, sla_met, statutory_met"
    assert rows(client, f"SELECT ticket_id, {met} FROM tickets.kpi_tickets") == {
        "kept": (1, 1, 1),
        "warned": (1, 1, 1),
        "broken": (0, 0, 1),
        "runs": (None, None, None),
        "runs, broken": (1, 0, None),
        "reopened": (1, None, None),
        "reopened by a clock": (1, None, None),
        "reopened too early": (1, 1, 1),
        "closed": (1, 1, 1),
        "followed up": (1, 1, 1),
        "two clocks": (None, 1, None),
        "no clocks": (None, None, None),
        "hours": (None, 1, None),
        "minutes": (None, 0, None),
        "working days": (None, None, None),
        "days": (None, None, None),
        "nothing": (None, None, None),
    }
    figures = "figure, n, round(n * value) FROM tickets.kpi_ticket_figures_by_day WHERE figure IN"
    names = "('warned', 'breached', 'illegal', 'repeat', 'reopened')"
    assert rows(client, f"SELECT {figures} {names}") == {
        "warned": (11, 1), "breached": (11, 2), "illegal": (12, 1), "repeat": (2, 1), "reopened": (13, 2),
    }  # fmt: skip
    found = client.query("SELECT event, clock, n, tickets FROM tickets.kpi_escalations_by_day ORDER BY ALL").result_rows
    assert list(map(tuple, found)) == [
        ("breach", "first_response", 1, 1), ("breach", "resolution", 2, 2), ("illegal_transition", "", 1, 1),
        ("reopen", "", 2, 2), ("warning", "resolution", 1, 1),
    ]  # fmt: skip


def test_escalations_are_no_contacts_and_no_firings(client: Client) -> None:
    """But what a rule escalates is a firing of it."""
    told = ("warning", "breach", "illegal_transition", "illegal_extension", "reopen", "other", None)
    escalated = [
        decision(f"e{number}", number, "escalate", payload={"ticket_id": "ticket", "event": event})
        for number, event in enumerate(told)
    ]
    filled(client, "kinds", [decision("ticket", 0, "ticket"), *escalated], [])
    for view in ("kpi_contacts", "kpi_sent"):
        assert list(rows(client, f"SELECT kind, action_id FROM kinds.{view}")) == ["ticket"], view
    assert set(rows(client, "SELECT action_id FROM kinds.kpi_firings")) == {"ticket", "e4", "e5", "e6"}
    assert rows(client, "SELECT rule_id, fired, decisions FROM kinds.kpi_rules_by_day") == {"r": (1, 4)}
