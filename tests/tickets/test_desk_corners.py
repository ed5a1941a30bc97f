"""What is seldom: ends of time, limits without end, deliveries again, messages without number."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.loading import load
from flows.replay import ReplayJob, replay
from rules.ticket_policy import TICKET_EVENTS
from state.followed_tickets import ILLEGAL_EXTENSION, ILLEGAL_TRANSITION
from state.ticket_clocks import BREACH, WARNING
from tests.tickets.sla import local_ms

RULES = """\
version: 1
rules:
  - {id: asked, trigger: click, then: [{ticket: {queue: desk, sla: "{click.sla}"}}]}
"""
POLICY = """\
version: 1
tickets:
  calendar: china
  levels: [{name: all, resolution: 8h, statutory: 15d, extend_up_to: 60d, warn: 0%}]
"""
OPENED = local_ms("2026-03-02 09:00")
HOUR_MS = 3_600_000


def _click(at_ms: int, **more: Any) -> dict[str, Any]:
    return {"stream": "click", "event_id": "o", "customer_id": "C1", "ts": at_ms, **more}


def _run(
    events: list[dict[str, Any]], folder: Path, until_ms: int, *, policy: str = POLICY, state: Path | None = None
) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    (folder / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    loaded = load([folder / "rules.yaml"], folder / "policy.yaml", [])
    assert loaded.rules is not None, "\n".join(map(str, loaded.problems))
    replay(
        ReplayJob(
            loaded.rules,
            (folder / "events.ndjson",),
            folder / "out",
            loaded.policy,
            until_ms=until_ms,
            max_jump_ms=0,
            state=state,
        )
    )
    return [json.loads(line) for line in (folder / "out" / "actions.ndjson").read_bytes().splitlines()]


def _message(ticket: str, event_id: str, at_ms: int, stage: str, **more: Any) -> dict[str, Any]:
    about = {"stream": "ticket", "event_id": event_id, "customer_id": "C1", "ts": at_ms}
    return {**about, "ticket_id": ticket, "stage": stage, **more}


@pytest.mark.parametrize("at_ms", [0, 253_402_300_799_999])
def test_the_ends_of_time(at_ms: int, tmp_path: Path) -> None:
    (opened, *_) = _run([_click(at_ms)], tmp_path, at_ms)
    assert opened["payload"]["due"]["statutory"] > at_ms + 14 * 24 * HOUR_MS
    assert opened["payload"]["holidays_known"] is False


@pytest.mark.parametrize(
    ("zone", "opened", "sla", "known"),
    [
        ("Asia/Shanghai", "2026-06-29T20:00+08:00", "1d", True),  # due on 1 July at 00:00, the end of 30 June
        ("Asia/Shanghai", "2026-06-30T23:00+08:00", "2h", False),  # at 01:00 on 1 July, in UTC still 30 June
        ("America/New_York", "2026-06-30T21:00-04:00", "2h", True),  # at 23:00 on 30 June, in UTC already 1 July
    ],
)  # fmt: skip
def test_holidays_are_known_by_the_local_day(zone: str, opened: str, sla: str, known: bool, tmp_path: Path) -> None:
    week = ", ".join(f"{day}: [00:00-24:00]" for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    (tmp_path / "bank.yaml").write_text(
        f"version: 1\ntimezone: {zone}\ncovers: {{from: 2026-01-01, to: 2026-06-30}}\n"
        f"sources: [{{year: 2026, source: x}}]\nweek: {{{week}}}\n",
        encoding="utf-8",
    )
    policy = POLICY.replace("statutory: 15d, extend_up_to: 60d, ", "").replace("china", "bank.yaml")
    at_ms = round(dt.datetime.fromisoformat(opened).timestamp() * 1000)
    (ticket, *_) = _run([_click(at_ms, sla=sla)], tmp_path, at_ms, policy=policy)
    assert ticket["payload"].get("holidays_known", True) is known


def test_a_limit_without_end_may_be_paused(tmp_path: Path) -> None:
    """87,840 open hours are more than the thirty years in which a deadline is looked for."""
    (opened,) = _run([_click(OPENED, sla="87840h")], tmp_path, OPENED)
    assert "resolution" not in opened["payload"]["due"]
    ticket = opened["action_id"]
    events = [
        _click(OPENED, sla="87840h"),
        _message(ticket, "m1", OPENED + HOUR_MS, "accepted", paused=True),
        _message(ticket, "m2", OPENED + 2 * HOUR_MS, "accepted", paused=False),
    ]
    assert [one["kind"] for one in _run(events, tmp_path, OPENED + 24 * HOUR_MS)] == ["ticket"]


def test_a_ticket_delivered_again_is_no_earlier_one(tmp_path: Path) -> None:
    (opened,) = _run([_click(OPENED)], tmp_path, OPENED)
    later = {**_click(OPENED + 5 * HOUR_MS), "customer_id": "C2"}
    events = [_click(OPENED), _message(opened["action_id"], "m1", OPENED + 1, "closed"), later, _click(OPENED)]
    made = [one for one in _run(events, tmp_path, OPENED + 6 * HOUR_MS) if one["action_id"] == opened["action_id"]]
    assert [(one["late"], one["payload"]["repeat"]) for one in made] == [(False, 0), (True, 0)]


@pytest.mark.parametrize("days", [2.5, "15", [15], True, 15.0, {"a": 1}])
def test_what_is_no_number_of_days_is_as_if_it_were_not_there(days: Any, tmp_path: Path) -> None:
    (opened,) = _run([_click(OPENED)], tmp_path, OPENED)
    events = [_click(OPENED), _message(opened["action_id"], "m1", OPENED + 1, "analysing", extend_days=days)]
    (_, told) = _run(events, tmp_path, OPENED + 2)
    assert told["payload"]["event"] == "illegal_transition"
    assert "extend_days" not in told["payload"]


def test_what_a_state_folder_shows_of_a_ticket(tmp_path: Path) -> None:
    (opened,) = _run([_click(OPENED)], tmp_path, OPENED)
    events = [_click(OPENED), _message(opened["action_id"], "m1", OPENED + HOUR_MS, "accepted", paused=True)]
    state = tmp_path / "state"
    _run(events, tmp_path / "kept", OPENED + 2 * HOUR_MS, state=state)
    said = CliRunner().invoke(app, ["state", "show", str(state), "--customer", "C1"])
    due = "followed as accepted and paused, due 2026-03-17 16:00:00.000 UTC, level all"
    assert f"  {opened['action_id']} of asked: open, {due}" in said.output.splitlines()


def test_an_extension_up_to_now_does_not_begin_anew(tmp_path: Path) -> None:
    policy = POLICY.replace("15d", "1d").replace("resolution: 8h, ", "")
    (opened,) = _run([_click(OPENED)], tmp_path, OPENED, policy=policy)
    new_due = local_ms("2026-03-05 00:00")
    events = [_click(OPENED), _message(opened["action_id"], "m1", new_due, "accepted", extend_days=1)]
    (_, breach) = _run(events, tmp_path, new_due + 1, policy=policy)
    assert (breach["payload"]["event"], breach["ts"]) == ("breach", new_due - 24 * HOUR_MS)


def test_no_rule_can_say_what_tickets_say_of_themselves() -> None:
    assert set(TICKET_EVENTS) == {WARNING, BREACH, ILLEGAL_TRANSITION, ILLEGAL_EXTENSION}
