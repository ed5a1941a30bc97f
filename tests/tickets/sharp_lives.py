"""Random lives of tickets with messages at the moments that matter: closing times, warnings, deadlines, horizons."""

from __future__ import annotations

from random import Random
from typing import Any

from operators.decision import decision_digest
from tests.tickets.lives import FORWARD, RULES, STAGES
from tests.tickets.reference import (
    CLOCKS,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NEVER,
    Life,
    Limit,
    due_of,
    escalations,
    hours,
    read_yaml,
)
from tests.tickets.sla import local_ms

SHARP_POLICY = """\
version: 1
tickets:
  calendar: china
  repeat: 10d
  keep: 12d
  warn: 25%
  routes:
    - {for: {tier: gold}, set: {queue: gold_desk, to: G1}}
  levels:
    - {name: risk, for: {class: risk}, calendar: always, first_response: 15m, statutory: 3d, extend_up_to: 9d,
       warn: 50%}
    - {name: gold, for: {queue: gold_desk}, first_response: 1h, resolution: 5wd, statutory: 15d, extend_up_to: 40d}
    - {name: short, for: {tier: short}, first_response: 3h, resolution: 3h, statutory: 1wd, extend_up_to: 4wd,
       escalate_to: head}
    - {name: silent, for: {tier: silent}, resolution: 1wd, statutory: 2d, warn: 0%}
    - {name: none, for: {tier: none}}
    - {name: all, first_response: 2h, resolution: 9h, statutory: 10wd, extend_up_to: 20wd, warn: 30%}
"""
BASES = ("2026-02-10 09:00", "2025-12-29 17:30", "2026-09-18 12:00", "2026-03-02 08:00", "2026-02-28 18:00")
_RULES = {rule["id"]: rule for rule in read_yaml(RULES)["rules"]}
_OF_STREAM = {"click": "asked", "txn": "told"}


def opened_life(policy: dict[str, Any], rule_id: str, tier: str, opened: int) -> tuple[Life, dict[str, Any]]:
    """A ticket as the policy has it, and what its payload gains or has changed."""
    rule = _RULES[rule_id]
    payload = dict(rule["then"][0]["ticket"])
    if "tier" in payload:
        payload["tier"] = tier
    about = {"rule": rule_id, "class": rule.get("class", "service")}
    part = policy["tickets"]
    for route in part["routes"]:
        if _fits(route.get("for", {}), about, payload):
            payload |= route["set"]
            break
    level = next(level for level in part["levels"] if _fits(level.get("for", {}), about, payload))
    limits = {clock: level.get(clock) for clock in CLOCKS}
    limits["resolution"] = payload.get("sla", limits["resolution"])
    life = Life(
        opened, level.get("calendar", part["calendar"]), int(level.get("warn", part.get("warn", "20%"))[:-1]),
        {clock: Limit.of(text) for clock, text in limits.items() if text},
        Limit.of(level["extend_up_to"]) if "extend_up_to" in level else None, int(part["keep"][:-1]) * DAY_MS,
    )  # fmt: skip
    gained = {"level": level["name"], "due": due_of(life)}
    if any(due > hours(life.calendar)[1] for due in due_of(life).values()):
        gained["holidays_known"] = False
    if "escalate_to" in level:
        gained["escalate_to"] = level["escalate_to"]
    return life, payload | gained


def _fits(wanted: dict[str, Any], about: dict[str, str], payload: dict[str, Any]) -> bool:
    for key, value in wanted.items():
        choices = value if isinstance(value, list) else [value]
        if (about[key] if key in about else payload.get(key)) not in choices:
            return False
    return True


def ticket_of(opening: dict[str, Any]) -> str:
    """The id of the ticket that an event opens."""
    stream = opening["stream"]
    about = [
        _OF_STREAM[stream],
        1,
        opening["customer_id"],
        stream,
        opening["event_id"],
        opening["ts"],
        None,
        "ticket",
        0,
    ]
    return decision_digest(about)


def sharp_life(rng: Random, policy: dict[str, Any], customers: int = 6, openings: int = 4) -> list[dict[str, Any]]:
    """Events in order of time: each customer's openings of tickets, and what is told of these."""
    base_ms = local_ms(rng.choice(BASES))
    events: list[dict[str, Any]] = []
    for number in range(customers):
        about = {"customer_id": f"C{number}"}
        tier = rng.choice(["gold", "plain", "short", "short", "silent", "none"])
        events.append(about | {"stream": "profile", "event_id": "p", "ts": base_ms - 1_000, "tier": tier})
        t_ms = base_ms
        for place in range(openings):
            t_ms += rng.choice([0, HOUR_MS, DAY_MS, 10 * DAY_MS, 12 * DAY_MS])
            t_ms += rng.choice([0, 0, 0, 1, -1, rng.randrange(2 * DAY_MS)])
            stream = rng.choice(["click", "click", "txn"])
            opening = about | {"stream": stream, "event_id": f"o{place}", "ts": t_ms, "amount": 1, "direction": "out"}
            events.append(opening)
            events += _messages(rng, policy, opening, tier)
    return sorted(events, key=lambda event: event["ts"])


def _messages(rng: Random, policy: dict[str, Any], opening: dict[str, Any], tier: str) -> list[dict[str, Any]]:
    life, _ = opened_life(policy, _OF_STREAM[opening["stream"]], tier, opening["ts"])
    ticket, t_ms, at = ticket_of(opening), opening["ts"], 0
    messages: list[dict[str, Any]] = []
    for place in range(rng.randrange(11)):
        t_ms = _moment(rng, life, t_ms)
        stage = FORWARD[min(at, 4)] if rng.random() < 0.6 else rng.choice(STAGES)
        if messages and rng.random() < 0.3:
            stage = messages[-1].get("stage", stage)
        elif at >= 3 and rng.random() < 0.4:
            stage = "reopened"
        at = 1 if stage == "reopened" else FORWARD.index(stage) + 1
        told: dict[str, Any] = {
            "customer_id": opening["customer_id"], "stream": "ticket", "event_id": f"{opening['event_id']}m{place:02}",
            "ts": t_ms, "ticket_id": ticket, "stage": stage,
        }  # fmt: skip
        if rng.random() < 0.45:
            told["paused"] = rng.choice([True, True, False])
        if rng.random() < 0.25:
            told["extend_days"] = rng.choice([1, 2, 3, 5, 15, 25, 26, 60, 0, -3])
        messages.append(told)
        life.told.append((t_ms, told))
        if rng.random() < 0.15:
            messages.append(
                {"customer_id": opening["customer_id"], "stream": "feedback", "event_id": told["event_id"], "ts": t_ms,
                 "metric": "csat", "score": rng.choice([1, 2, 5]), "ticket_id": ticket}
            )  # fmt: skip
            if messages[-1]["score"] <= 2:
                life.told.append((t_ms, {"stage": "reopened", "by_rule": True}))
    return messages


def _moment(rng: Random, life: Life, t_ms: int) -> int:
    """The next moment of a life: at once, somewhere, or just where something ends."""
    if rng.random() < 0.4:
        return t_ms + rng.choice([0, 0, 1, MINUTE_MS, HOUR_MS, DAY_MS, rng.randrange(3 * DAY_MS)])
    moments = [row["ts"] for row in escalations(life)] + [row.get("due", 0) for row in escalations(life)]
    borders = [at for spans in hours(life.calendar)[0].values() for span in spans for at in span]
    moments += [at for at in borders if t_ms < at < t_ms + 3 * DAY_MS]
    closed = [at for at, told in life.told if told["stage"] == "closed"]
    moments += [at + life.keep_ms for at in closed[-1:]]
    ahead = [at + rng.choice([0, 0, 0, 1, -1]) for at in moments if t_ms < at < NEVER]
    return rng.choice(ahead) if ahead else t_ms + HOUR_MS
