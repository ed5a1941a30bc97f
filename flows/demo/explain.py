"""One ticket explained: who, which rule, why, on what evidence, and what was held back beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from flows.demo.score import DAY_MS, STORY_RULES, matches
from flows.words import REASONS, as_written, duration, events, in_words, local_time, value_text
from rules.model import Rule
from sinks.clickhouse import EVENTS, Tables

BESIDE_MS = 7 * DAY_MS
"""How far around a ticket other decisions about its customer are looked for."""
MAX_EVIDENCE = 12

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person needs to understand a decision; texts are ready to print, times local.

    `reasons` are (feature, value, meaning), `evidence` (time, stream, what happened, part it played), `beside`
    (time, rule, kind, why it was not sent).
    """

    decision: Record
    who: str
    rule: str
    reasons: list[tuple[str, str, str]]
    condition: str
    timing: str
    evidence: list[tuple[str, str, str, str]]
    beside: list[tuple[str, str, str, str]]
    advice: str


def pick_ticket(decisions: Sequence[Record], rule_ids: Iterable[str]) -> Record | None:
    """The emitted ticket that tells most; null if these rules emitted none.

    That is one beside which decisions about the customer were suppressed; of these, one of the first rule in the
    order given; of these, the one with the most reasons beside it.
    """
    suppressed: dict[str, list[Record]] = {}
    for decision in decisions:
        if decision["decision"] == "suppressed":
            suppressed.setdefault(decision["customer_id"], []).append(decision)
    order = {rule_id: place for place, rule_id in enumerate(rule_ids)}
    tickets = [d for d in decisions if d["kind"] == "ticket" and d["decision"] == "emitted" and d["rule_id"] in order]

    def rank(ticket: Record) -> tuple[bool, int, int, int, str]:
        near = [d for d in suppressed.get(ticket["customer_id"], ()) if abs(d["ts"] - ticket["ts"]) <= BESIDE_MS]
        reasons = len({d["reason"] for d in near})
        return reasons == 0, order[ticket["rule_id"]], -reasons, ticket["ts"], ticket["action_id"]

    return min(tickets, key=rank, default=None)


def explain(
    ticket: Record, rule: Rule, decisions: Iterable[Record], truth: Iterable[Record], client: Client, tables: Tables
) -> Explanation:
    """Explains an emitted ticket of `rule` with the events in the event table.

    The evidence are the events of the story that the ticket found; without one, the customer's last before it.
    """
    story = next((name for name, rule_id in STORY_RULES.items() if rule_id == rule.id), None)
    customer, zone = ticket["customer_id"], rule.timezone
    told = [r for r in truth if r["expected"] and r["story"] == story and matches(r, customer, ticket["ts"])]
    ids = list(told[0]["event_ids"]) if told else []
    rows = _events(client, tables, ticket, ids)
    anchor_ms = next((row["ts_ms"] for row in rows if row["event_id"] == ticket["anchor_event_id"]), None)
    return Explanation(
        decision=ticket,
        who=_who(client, tables, customer, ticket["ts"]),
        rule=f"{rule.title} ({rule.id} v{rule.version}, class {rule.rule_class}, priority {rule.priority})",
        reasons=[
            (name, value_text(ticket["features"].get(name)), in_words(expression)) for name, expression in rule.lets
        ],
        condition="always" if rule.when is None else as_written(rule.when),
        timing=_timing(rule, anchor_ms, ticket["ts"]),
        evidence=[
            (local_time(row["ts_ms"], zone), row["stream"], what_happened(json.loads(row["body"])),
             part_played(row, ticket, rule, anchor_ms))
            for row in rows
        ],
        beside=_beside(ticket, decisions, zone),
        advice=str(ticket["payload"].get("advice", "")),
    )  # fmt: skip


def what_happened(event: Record) -> str:
    """An event in a few words.

    >>> what_happened({"stream": "click", "page": "search", "action": "search", "query": "提前还款"})
    'search, page search: 提前还款'
    """
    match event["stream"]:
        case "click":
            rest = event.get("query") or event.get("error_code")
            where = f"page {event.get('page')}" + (f", step {event['step']}" if "step" in event else "")
            error = "error " if event.get("error_code") and not event.get("query") else ""
            return f"{event.get('action')}, {where}" + (f": {error}{rest}" if rest else "")
        case "txn":
            other = event.get("counterparty_id") or event.get("merchant_id") or ""
            way = " from " if event["direction"] == "in" else " to "
            return f"{event.get('kind')} {event['amount']:,.2f}" + (
                f"{way}{other}" if other else f" {event['direction']}"
            )
        case "feedback":
            score = f" {event['score']}" if event.get("score") is not None else ""
            return f"{event.get('metric')}{score}" + (f": {event['text']}" if event.get("text") else "")
        case "ticket":
            return f"ticket {event['ticket_id']} {event['stage']}"
        case "profile":
            return f"profile: assets {value_text(event.get('aum'))}"
    return str(event.get("label", ""))


def _events(client: Client, tables: Tables, ticket: Record, ids: list[str]) -> list[dict[str, Any]]:
    """The events of these ids, or the customer's latest before the ticket; in the order of time, with the anchor."""
    if ids:
        chosen = "event_id IN {ids:Array(String)} OR (customer_id = {customer:String} AND event_id = {anchor:String})"
    else:
        chosen = "customer_id = {customer:String} AND ts_ms BETWEEN {ts:Int64} - {near:Int64} AND {ts:Int64}"
    found = client.query(
        f"SELECT stream, event_id, ts_ms, body FROM {tables.name(EVENTS)} FINAL WHERE {chosen} "
        "ORDER BY ts_ms DESC LIMIT {limit:UInt32}",
        parameters={
            "ids": ids, "customer": ticket["customer_id"], "anchor": ticket["anchor_event_id"] or "",
            "ts": ticket["ts"], "near": BESIDE_MS, "limit": MAX_EVIDENCE,
        },
    )  # fmt: skip
    return list(found.named_results())[::-1]


def part_played(row: Record, ticket: Record, rule: Rule, anchor_ms: int | None) -> str:
    """What an event has to do with the ticket; those that came before it was set off need no word."""
    if row["event_id"] == ticket["anchor_event_id"]:
        return "set it off"
    if row["ts_ms"] > ticket["ts"]:
        return "after: the ticket was already there"
    if anchor_ms is not None and row["ts_ms"] > anchor_ms:
        return "after: the rule was already " + ("waiting" if rule.unless is not None else "set off")
    return ""


def _who(client: Client, tables: Tables, customer: str, ts_ms: int) -> str:
    found = client.query(
        f"SELECT body FROM {tables.name(EVENTS)} FINAL WHERE customer_id = {{customer:String}} AND stream = 'profile' "
        "AND ts_ms <= {ts:Int64} ORDER BY ts_ms DESC LIMIT 1",
        parameters={"customer": customer, "ts": ts_ms},
    ).result_rows
    if not found:
        return f"{customer}, no profile"
    profile = json.loads(found[0][0])
    parts = [f"{profile.get('tier')} customer", f"{profile.get('segment')}", f"in {profile.get('home_city')}"]
    parts += [f"assets {value_text(profile.get('aum'))} CNY", f"manager {profile.get('manager_id')}"]
    refused = profile.get("opt_out")
    if refused:
        parts.append(f"opted out of {value_text(refused)}")
    return f"{customer}: " + ", ".join(parts)


def _timing(rule: Rule, anchor_ms: int | None, fired_ms: int) -> str:
    fired = local_time(fired_ms, rule.timezone)
    if rule.unless is None or anchor_ms is None:
        return f"fired at {fired}"
    awaited = " or ".join(map(events, rule.unless.selectors))
    return (
        f"armed at {local_time(anchor_ms, rule.timezone)}; within {duration(rule.unless.within_ms)} there were no "
        f"{awaited}; so it fired at {fired}"
    )  # fmt: skip


def _beside(ticket: Record, decisions: Iterable[Record], zone: str) -> list[tuple[str, str, str, str]]:
    near = [
        d for d in decisions
        if d["customer_id"] == ticket["customer_id"] and d["decision"] == "suppressed"
        and abs(d["ts"] - ticket["ts"]) <= BESIDE_MS
    ]  # fmt: skip
    near.sort(key=lambda d: (d["ts"], d["action_id"]))
    return [
        (local_time(d["ts"], zone), d["rule_id"], d["kind"], f"{d['reason']}: {REASONS[d['reason']]}") for d in near
    ]
