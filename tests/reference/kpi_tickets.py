"""The figures of tickets computed plainly, to compare with those of ClickHouse."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from tests.reference.kpi import DAY_MS, Bank, Record, Rows, groups, mean_interval, quantile, wilson

DONE = ("resolved", "followed_up", "closed")
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def tickets(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    every = _tickets(bank)
    out = []
    for key, found in groups(every, by, first, last).items():
        shares: dict[str, list[bool]] = {
            "resolved": [row["resolution_ms"] is not None for row in found],
            "reopened": [row["reopened"] for row in found if row["was_resolved"]],
            "first_contact": [row["first_contact"] for row in found if row["first_contact"] is not None],
            **{
                name: [row[name] for row in found if row[name] is not None]
                for name in ("sla", "sla_first_response", "sla_statutory", "repeat")
            },
            "warned": ["warning" in row["escalated"] for row in found if row["clocks"]],
            "breached": ["breach" in row["escalated"] for row in found if row["clocks"]],
            "illegal": [any(x.startswith("illegal") for x in row["escalated"]) for row in found if row["timed"]],
            "satisfied": [row["satisfaction"] >= 4 for row in found if row["satisfaction"] is not None],
        }
        dims = dict(zip(by, key, strict=True))
        for figure in ("first_response_ms", "resolution_ms", "satisfaction"):
            values = [row[figure] for row in found if row[figure] is not None]
            low, high = mean_interval(values, *((1, 5) if figure == "satisfaction" else (-math.inf, math.inf)))
            out.append({
                **dims, "figure": figure, "opened": len(found), "n": len(values), "low": low, "high": high,
                "value": fmean(values) if values else None, "median": quantile(values, 0.5),
            })  # fmt: skip
        for figure, flags in shares.items():
            low, high = wilson(sum(flags), len(flags))
            out.append({
                **dims, "figure": figure, "opened": len(found), "n": len(flags), "low": low, "high": high,
                "value": sum(flags) / len(flags) if flags else None, "median": None,
            })  # fmt: skip
    return out


def _tickets(bank: Bank) -> Rows:
    histories: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    satisfaction: dict[tuple[str, str], float] = {}
    made = {(d["action_id"], d["customer_id"]): d for d in bank.decisions
            if d["kind"] == "ticket" and d["decision"] == "emitted"}  # fmt: skip
    for key, decision in made.items():
        histories[key].append((decision["ts"], "", "opened"))
    for event in bank.stream("ticket"):
        key = event["ticket_id"], event["customer_id"]
        histories[key].append((event["ts"], event["event_id"], event["stage"]))
        if event.get("satisfaction") is not None:
            satisfaction[key] = event["satisfaction"]
    told: dict[tuple[str, str], Rows] = defaultdict(list)
    for decision in bank.decisions:
        if decision["kind"] == "escalate":
            payload = decision["payload"]
            key = payload["ticket_id"], decision["customer_id"]
            told[key].append(payload)
            done = [at for at, _, stage in histories[key] if stage in DONE and at <= decision["ts"]]
            if payload["event"] == "reopen" and done:
                histories[key].append((decision["ts"], decision["action_id"], "reopened"))
    rows = [
        _ticket(bank, key, sorted(history), made.get(key), satisfaction.get(key))
        | _clocks(history, made.get(key), told[key])
        for key, history in histories.items()
    ]
    for row in rows:
        row["sla"] = row["sla_resolution"] if row["timed"] else row["sla"]
    for row in rows:
        at = row["first_resolved"]
        if at is not None and at + 7 * DAY_MS <= bank.end_ms:
            like = ("customer", "origin", "rule_id")
            again = any(at < other["opened"] <= at + 7 * DAY_MS for other in rows
                        if all(other[name] == row[name] for name in like))  # fmt: skip
            row["first_contact"] = not row["reopened"] and not again
    return rows


def _ticket(
    bank: Bank, key: tuple[str, str], history: list[tuple[int, str, str]], decision: Record | None,
    satisfied: float | None,
) -> Record:  # fmt: skip
    openings = [entry for entry in history if entry[2] in ("opened", "created")]
    opened = (openings or history)[0][0]
    later = [entry for entry in history if entry not in openings] if openings else history[1:]
    resolved = [entry for entry in history if entry[2] == "resolved"]
    stays = bool(resolved) and not any(entry[2] == "reopened" and entry > resolved[-1] for entry in history)
    payload = decision["payload"] if decision else {}
    found = re.fullmatch(r"(\d+)(ms|s|m|h)", payload.get("sla", ""))
    sla = None
    if found:
        due = opened + int(found[1]) * UNITS[found[2]]
        sla = resolved[0][0] <= due if resolved else False if bank.end_ms > due else None
    return {
        "customer": key[1], "origin": "rule" if decision else "other",
        "rule_id": decision["rule_id"] if decision else "",
        "queue": payload.get("queue", ""), "opened": opened, "day": bank.day(opened), "tier": bank.tier(key[1], opened),
        "first_response_ms": later[0][0] - opened if later else None, "was_resolved": bool(resolved),
        "resolution_ms": resolved[-1][0] - opened if stays else None, "sla": sla,
        "first_resolved": resolved[0][0] if resolved else None, "satisfaction": satisfied,
        "reopened": any(entry[2] == "reopened" for entry in history), "first_contact": None,
    }  # fmt: skip


def _clocks(history: list[tuple[int, str, str]], decision: Record | None, told: Rows) -> Record:
    """What the engine's clocks say: those that stopped without a breach were kept to, those that run are open."""
    payload = decision["payload"] if decision else {}
    stages = [stage for _, _, stage in sorted(history)]
    turns = [stage for stage in stages if stage in (*DONE, "reopened")]
    over = bool(turns) and turns[-1] != "reopened"
    stopped = {
        "first_response": any(stage not in ("opened", "created") for stage in stages),
        "resolution": over, "statutory": over,
    }  # fmt: skip
    broken = {one["clock"] for one in told if one["event"] == "breach"}
    row: Record = {
        "timed": "due" in payload,
        "clocks": list(payload.get("due", {})),
        "escalated": [one["event"] for one in told],
        "level": "",
        "repeat": None,
    }
    for clock, is_stopped in stopped.items():
        known = clock in payload.get("due", {}) and (clock in broken or is_stopped)
        row[f"sla_{clock}"] = clock not in broken if known else None
    if decision:
        row |= {"level": payload.get("level", ""), "told": told}
        row["repeat"] = payload["repeat"] > 0 if "repeat" in payload else None
    return row


def escalations(bank: Bank, by: Sequence[str], first: str, last: str) -> Rows:
    rows = [
        {**row, "event": one["event"], "clock": one.get("clock", ""), "number": number}
        for number, row in enumerate(_tickets(bank))
        for one in row.get("told", [])
    ]
    columns = [*by, "event", "clock"]
    return [
        {
            **dict[str, Any](zip(columns, key, strict=True)),
            "n": len(found),
            "tickets": len({row["number"] for row in found}),
        }
        for key, found in groups(rows, columns, first, last).items()
    ]
