"""From complaint to ticket, follow-up survey, bad answer and reopening, with the rules of the pack."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from flows.loading import load
from flows.replay import ReplayJob, replay
from tests.tickets.sla import local_ms

PACKS = Path(str(files("rules") / "packs"))
POLICY = """\
version: 1
tickets:
  calendar: china
  levels: [{name: complaint, for: {queue: complaints}, resolution: 8h, warn: 0%, escalate_to: head}]
"""


def _replay(events: list[dict[str, Any]], folder: Path, until: str) -> list[dict[str, Any]]:
    (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
    text = "".join(json.dumps({"customer_id": "C1"} | event, ensure_ascii=False) + "\n" for event in events)
    (folder / "events.ndjson").write_text(text, encoding="utf-8")
    loaded = load([PACKS / f"{name}.yaml" for name in ("voice", "surveys", "tickets")], folder / "policy.yaml", [])
    assert loaded.rules is not None, "\n".join(map(str, loaded.problems))
    replay(
        ReplayJob(loaded.rules, (folder / "events.ndjson",), folder / "out", loaded.policy, until_ms=local_ms(until))
    )
    return [json.loads(line) for line in (folder / "out" / "actions.ndjson").read_bytes().splitlines()]


def _told(decision: dict[str, Any]) -> tuple[str, str, str | None]:
    return decision["rule_id"], decision["kind"], decision["payload"].get("event")


def _is_about(decision: dict[str, Any], ticket: dict[str, Any]) -> bool:
    return decision["kind"] == "escalate" and decision["payload"]["ticket_id"] == ticket["action_id"]


def test_a_bad_answer_reopens_the_ticket_and_its_clock_goes_on(tmp_path: Path) -> None:
    complaint = {"stream": "feedback", "event_id": "f1", "ts": local_ms("2026-03-02 09:00"), "metric": "complaint",
                 "text": "手续费扣错了"}  # fmt: skip
    (opened,) = (one for one in _replay([complaint], tmp_path, "2026-03-02 09:01") if one["kind"] == "ticket")
    ticket = {"stream": "ticket", "ticket_id": opened["action_id"]}
    events = [
        complaint,
        ticket | {"event_id": "m1", "ts": local_ms("2026-03-02 10:00"), "stage": "accepted"},
        ticket | {"event_id": "m2", "ts": local_ms("2026-03-02 10:30"), "stage": "analysing"},
        ticket | {"event_id": "m3", "ts": local_ms("2026-03-02 11:00"), "stage": "resolved"},
    ]
    (asked,) = (one for one in _replay(events, tmp_path, "2026-03-02 11:01") if one["kind"] == "survey")
    assert asked["payload"]["ticket_id"] == opened["action_id"]
    events += [
        {"stream": "feedback", "event_id": "f2", "ts": local_ms("2026-03-03 09:00"), "metric": "csat", "score": 1,
         "survey_id": asked["action_id"], "ticket_id": asked["payload"]["ticket_id"]},
        ticket | {"event_id": "m4", "ts": local_ms("2026-03-03 09:30"), "stage": "reopened"},
    ]  # fmt: skip
    made = _replay(events, tmp_path, "2026-03-10 09:00")
    about = [(_told(one), one["ts"]) for one in made if _is_about(one, opened)]
    limit_ms = 4 * 3_600_000  # the rule's own sla, of which two hours were used
    assert opened["payload"]["sla"] == "4h"
    assert opened["payload"]["due"] == {"resolution": opened["ts"] + limit_ms + 90 * 60_000}  # over lunch
    assert about == [
        (("reopen-unhappy", "escalate", "reopen"), local_ms("2026-03-03 09:00")),
        (("complaint", "escalate", "breach"), local_ms("2026-03-03 11:00")),
    ]
    breach = next(one for one in made if _told(one) == ("complaint", "escalate", "breach"))
    assert breach["payload"]["stage"] == "reopened"


def test_a_bad_follow_up_reopens_it_too(tmp_path: Path) -> None:
    complaint = {"stream": "feedback", "event_id": "f1", "ts": local_ms("2026-03-02 09:00"), "metric": "complaint",
                 "text": "手续费扣错了"}  # fmt: skip
    (opened,) = (one for one in _replay([complaint], tmp_path, "2026-03-02 09:01") if one["kind"] == "ticket")
    stages = ("accepted", "analysing", "resolved", "followed_up")
    messages = [
        {"stream": "ticket", "ticket_id": opened["action_id"], "event_id": stage, "stage": stage, "satisfaction": 2,
         "ts": local_ms(f"2026-03-02 {10 + at}:00")} for at, stage in enumerate(stages)
    ]  # fmt: skip
    made = _replay([complaint, *messages], tmp_path, "2026-03-10 09:00")
    told = [_told(one) for one in made if _is_about(one, opened)]
    assert told == [("reopen-unhappy", "escalate", "reopen"), ("complaint", "escalate", "breach")]
