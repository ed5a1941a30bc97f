"""Random lives of tickets: openings and messages, right and wrong ones, around holidays and closing times."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from flows.loading import load
from flows.replay import ReplayJob
from operators.decision import decision_digest
from tests.tickets.sla import local_ms

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FORWARD = ("accepted", "analysing", "resolved", "followed_up", "closed")
STAGES = (*FORWARD, "reopened")
RULES = """\
version: 1
rules:
  - id: asked
    priority: 60
    trigger: click
    then:
      - ticket: {queue: desk, tier: "{profile.tier}", to: M7}
  - id: told
    class: risk
    trigger: txn
    then: [{ticket: {queue: night, sla: 2h}}, {tag: {name: told}}]
  - id: unhappy
    trigger: feedback[score <= 2]
    then: [{escalate: {event: reopen, ticket_id: "{feedback.ticket_id}"}}]
"""
POLICY = """\
version: 1
tickets:
  calendar: china
  repeat: 10d
  keep: 12d
  routes:
    - {for: {tier: gold}, set: {queue: gold_desk, to: G1}}
  levels:
    - {name: risk, for: {class: risk}, calendar: always, first_response: 15m, resolution: 4h, warn: 50%}
    - {name: gold, for: {queue: gold_desk}, first_response: 1h, resolution: 5wd, statutory: 15d, extend_up_to: 40d}
    - {name: all, first_response: 2h, resolution: 9h, statutory: 10wd, extend_up_to: 20wd, warn: 30%}
"""


def random_life(rng: Random, customers: int = 6, openings: int = 3) -> list[dict[str, Any]]:
    """Events in order of time: each customer's openings of tickets, and what is told of these."""
    base_ms = local_ms(rng.choice(["2026-02-10 09:00", "2025-12-29 17:30", "2026-09-18 12:00", "2026-03-02 08:00"]))
    events: list[dict[str, Any]] = []
    for number in range(customers):
        customer = f"C{number}"
        about = {"customer_id": customer}
        profile = {"stream": "profile", "event_id": "p", "ts": base_ms - 1, "tier": rng.choice(["gold", "plain"])}
        events.append(about | profile)
        for opening in range(openings):
            t_ms = base_ms + rng.randrange(20 * DAY_MS) // HOUR_MS * HOUR_MS
            stream, rule_id = rng.choice([("click", "asked"), ("txn", "told")])
            event_id = f"o{opening}"
            opened = {"stream": stream, "event_id": event_id, "ts": t_ms, "amount": 1, "direction": "out"}
            events.append(about | opened)
            ticket = decision_digest([rule_id, 1, customer, stream, event_id, t_ms, None, "ticket", 0])
            at = 0
            for place in range(rng.randrange(9)):
                t_ms += rng.choice([0, 60_000, HOUR_MS, HOUR_MS, 5 * HOUR_MS, DAY_MS, 3 * DAY_MS, 9 * DAY_MS])
                stage = FORWARD[min(at, 4)] if rng.random() < 0.7 else rng.choice(STAGES)
                at = 1 if stage == "reopened" else FORWARD.index(stage) + 1
                said: dict[str, Any] = {"ticket_id": ticket, "stage": stage}
                if rng.random() < 0.35:
                    said["paused"] = rng.choice([True, False, "yes"])
                    said["stage"] = FORWARD[max(0, at - 2)] if rng.random() < 0.7 else stage
                    at = max(1, at - 1)
                if rng.random() < 0.15:
                    said["extend_days"] = rng.choice([1, 5, 15, 60, 0, -3, 2.5])
                told = {"stream": "ticket", "event_id": f"{event_id}m{place}", "ts": t_ms, **said}
                events.append(about | told)
                if said.get("paused") is True:
                    t_ms += rng.choice([HOUR_MS, DAY_MS, 4 * DAY_MS])
                    events.append(about | told | {"event_id": f"{told['event_id']}b", "ts": t_ms, "paused": False})
                if rng.random() < 0.1:
                    answer = {"metric": "csat", "score": rng.choice([1, 2, 5]), "ticket_id": ticket}
                    events.append(about | {"stream": "feedback", "event_id": told["event_id"], "ts": t_ms, **answer})
    return sorted(events, key=lambda event: event["ts"])


def job_of(partitions: list[list[dict[str, Any]]], folder: Path, until_ms: int, **more: Any) -> ReplayJob:
    """A replay of events in some partitions."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
    paths = []
    for number, events in enumerate(partitions):
        paths.append(folder / f"part-{number}.ndjson")
        paths[-1].write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    loaded = load([folder / "rules.yaml"], folder / "policy.yaml", [])
    assert loaded.rules is not None, "\n".join(map(str, loaded.problems))
    return ReplayJob(
        loaded.rules, tuple(paths), folder / "out", loaded.policy, until_ms=until_ms, max_jump_ms=0, **more
    )
