"""Whole lives of tickets through the engine and through the plain reference: the same is told at the same moments."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flows.replay import replay
from state.compaction import DAY_MS
from tests.tickets.lives import POLICY, job_of, random_life
from tests.tickets.reference import course, escalations, read_yaml
from tests.tickets.sharp_lives import SHARP_POLICY, opened_life, sharp_life, ticket_of

AFTER_MS = 70 * DAY_MS
_RULE_OF = {"click": "asked", "txn": "told"}
# the order of streams within a millisecond
_RANK = {"profile": 0, "ticket": 1, "click": 3, "txn": 4, "feedback": 5}


def expected(events: list[dict[str, Any]], policy: dict[str, Any], until_ms: int) -> dict[str, list[dict[str, Any]]]:
    """By ticket: its payload, as far as the policy makes it, and what is told of it."""
    out: dict[str, list[dict[str, Any]]] = {}
    lives: dict[str, Any] = {}
    tiers: dict[str, str] = {}
    open_ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    openings: dict[tuple[str, str], list[int]] = defaultdict(list)
    of: dict[str, tuple[str, str]] = {}
    for event in sorted(events, key=lambda event: (event["ts"], _RANK[event["stream"]], event["event_id"])):
        ts, stream, customer = event["ts"], event["stream"], event["customer_id"]
        if stream == "profile":
            tiers[customer] = event["tier"]
        elif stream in _RULE_OF:
            about = (customer, _RULE_OF[stream])
            if open_ids[about]:
                continue
            ticket = ticket_of(event)
            life, payload = opened_life(policy, _RULE_OF[stream], tiers[customer], ts)
            repeat_ms = int(policy["tickets"]["repeat"][:-1]) * DAY_MS
            payload["repeat"] = sum(ts - repeat_ms < one for one in openings[about])
            lives[ticket] = life, payload
            of[ticket] = about
            open_ids[about].add(ticket)
            openings[about].append(ts)
        elif event["ticket_id"] in lives:
            ticket = event["ticket_id"]
            if stream == "ticket":
                lives[ticket][0].told.append((ts, event))
                if event["stage"] == "closed":
                    open_ids[of[ticket]].discard(ticket)
                elif event["stage"] == "reopened":
                    open_ids[of[ticket]].add(ticket)
            elif event["score"] <= 2:
                life = lives[ticket][0]
                before = len(course(life).stages)
                life.told.append((ts, {"stage": "reopened", "by_rule": True}))
                if len(course(life).stages) > before:
                    open_ids[of[ticket]].add(ticket)
    for ticket, (life, payload) in lives.items():
        to = payload.pop("escalate_to", None)
        about = {"ticket_id": ticket, "queue": payload["queue"], "level": payload["level"], "opened": life.opened}
        about |= {"owner": payload["to"]} if "to" in payload else {}
        about |= {"to": to} if to else {}
        out[ticket] = [payload, *(row | about for row in escalations(life, until_ms))]
    return out


def engine(events: list[dict[str, Any]], policy: str, folder: Path, until_ms: int) -> dict[str, list[dict[str, Any]]]:
    """The same by the engine."""
    replay(job_of([events], folder, until_ms, policy=policy))
    out: dict[str, list[dict[str, Any]]] = {}
    for line in (folder / "out" / "actions.ndjson").read_bytes().splitlines():
        decision = json.loads(line)
        payload = decision["payload"]
        if decision["kind"] == "ticket" and decision["decision"] == "emitted":
            out[decision["action_id"]] = [payload]
        elif decision["kind"] == "escalate" and payload["event"] != "reopen":
            out[payload["ticket_id"]].append({"ts": decision["ts"], **payload})
    return out


def compare(events: list[dict[str, Any]], policy: str, folder: Path) -> int:
    """Asserts that both say the same; how many escalations there were."""
    until_ms = events[-1]["ts"] + AFTER_MS
    by_hand = expected(events, read_yaml(policy), until_ms)
    made = engine(events, policy, folder, until_ms)
    assert by_hand.keys() == made.keys()
    for ticket, rows in by_hand.items():
        life = [event for event in events if event.get("ticket_id") == ticket]
        assert made[ticket] == rows, life
    return sum(len(rows) - 1 for rows in by_hand.values())


@pytest.mark.parametrize("seed", range(5))
def test_lives(seed: int, tmp_path: Path) -> None:
    assert compare(random_life(Random(seed)), POLICY, tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_sharp_lives(seed: int, tmp_path: Path) -> None:
    assert compare(sharp_life(Random(seed), read_yaml(SHARP_POLICY)), SHARP_POLICY, tmp_path)
