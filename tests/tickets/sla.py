"""Runs ticket cases through the engine: one customer and one ticket for each."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from flows.loading import load
from flows.replay import ReplayJob, replay
from operators.decision import decision_digest

ZONE = ZoneInfo("Asia/Shanghai")
CASES = Path(__file__).parent / "sla_cases.yaml"
_RULE = """\
version: 1
rules:
  - id: asked
    trigger: click
    then: [{ticket: {queue: desk, to: M7, case: "{click.element}", sla: "{click.sla}"}}]
"""


def local_ms(text: str) -> int:
    """A local time as in the cases, in ms."""
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


def load_cases() -> list[dict[str, Any]]:
    """The cases, each with its level."""
    text = YAML(typ="safe", pure=True).load(CASES.read_text(encoding="utf-8"))
    for case in text["cases"]:
        case["level"] = {**text["defaults"], **case.get("tickets", {})}
    return list(text["cases"])


def ticket_id(number: int, case: dict[str, Any]) -> str:
    """The id that the engine gives the ticket of a case."""
    return decision_digest(["asked", 1, f"C{number}", "click", "opens", local_ms(case["created"]), None, "ticket", 0])


def write_cases(cases: Sequence[dict[str, Any]], folder: Path) -> ReplayJob:
    """Everything that a replay of the cases needs."""
    (folder / "rules.yaml").write_text(_RULE, encoding="utf-8")
    levels, events = [], []
    for number, case in enumerate(cases):
        if case["level"]["statutory"] is None:
            case["level"]["extend_up_to"] = None
        levels.append({"name": str(number), "for": {"case": str(number)}, "escalate_to": "head"} | {
            key: value for key, value in case["level"].items() if value is not None
        })  # fmt: skip
        customer = {"customer_id": f"C{number}"}
        opened = {"stream": "click", "event_id": "opens", "ts": local_ms(case["created"]), "element": str(number)}
        events.append(customer | opened | ({"sla": case["sla"]} if "sla" in case else {}))
        for place, message in enumerate(case["events"]):
            said = {key: value for key, value in message.items() if key != "at"}
            events.append(customer | {
                "stream": "ticket", "event_id": f"m{place}", "ts": local_ms(message["at"]),
                "ticket_id": ticket_id(number, case), **said,
            })  # fmt: skip
    policy = {"version": 1, "tickets": {"calendar": "china", "levels": levels}}
    (folder / "policy.yaml").write_text(json.dumps(policy), encoding="utf-8")  # JSON is YAML
    events.sort(key=lambda event: event["ts"])
    (folder / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    loaded = load([folder / "rules.yaml"], folder / "policy.yaml", [])
    assert loaded.rules is not None, "\n".join(map(str, loaded.problems))
    until_ms = max(local_ms(case["until"]) for case in cases)
    return ReplayJob(
        loaded.rules, (folder / "events.ndjson",), folder / "out", loaded.policy, until_ms=until_ms, max_jump_ms=0
    )


def decided(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The decisions of a replay by customer, in order of time."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (folder / "out" / "actions.ndjson").read_bytes().splitlines():
        decision = json.loads(line)
        found.setdefault(decision["customer_id"], []).append(decision)
    return found


def run_cases(cases: Sequence[dict[str, Any]], folder: Path, **more: Any) -> dict[str, list[dict[str, Any]]]:
    """The decisions by customer."""
    job = write_cases(cases, folder)
    for name, value in more.items():
        setattr(job, name, value)
    replay(job)
    return decided(folder)
