"""Why a ticket was escalated: its limit, and what happened to it in order, as data."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.explain.run import Record, records
from flows.explain.verdicts import TIME
from flows.lines import LineReader
from flows.replay import ACTIONS, ReplayJob, replay
from flows.words import duration, local_time
from operators.ticket_desk import limits_of
from rules.model import Rule
from rules.ticket_policy import ServiceLevel, TicketPolicy
from state.followed_tickets import ILLEGAL_EXTENSION, ILLEGAL_TRANSITION
from state.ticket_clocks import DAYS, OPEN_TIME, Limit

QUESTION = "why_escalated"
_SAID = ("paused", "extend_days", "actor_id", "note")


def explain_escalation(job: ReplayJob, rule: Rule, decision: Record) -> dict[str, Any]:
    """The answer for a decision that the clocks or stages of a ticket have led to. Raises what ``replay`` raises."""
    ticket_id = decision["payload"]["ticket_id"]
    with tempfile.TemporaryDirectory(prefix="cem-explain-") as folder:
        replay(replace(job, out=Path(folder)))
        found = [one for one in records(Path(folder) / ACTIONS) if _is_about(one, ticket_id)]
    opened = next((one for one in found if one["action_id"] == ticket_id), None)
    history = [_event(one) for one in found] + [_message(one) for one in _messages(job, ticket_id, decision)]
    return {
        "question": QUESTION, "customer_id": decision["customer_id"], "rule_id": rule.id,
        "rule_version": rule.version, "title": rule.title, "status": rule.status, "timezone": rule.timezone,
        "action": decision, "ticket": opened,
        "summary": list(_summary(job.policy.tickets, rule, decision, opened)),
        "history": sorted(history, key=lambda one: (one["ts"], one["order"])),
    }  # fmt: skip


def _is_about(record: Record, ticket_id: str) -> bool:
    told = record["kind"] == "escalate" and record["payload"].get("ticket_id") == ticket_id
    return bool(told or record["action_id"] == ticket_id)


def _messages(job: ReplayJob, ticket_id: str, decision: Record) -> Iterator[Record]:
    """What the stream ``ticket`` says of it."""
    wanted = ticket_id.encode()
    for path in job.events:
        with LineReader(path) as reader:
            while (batch := reader.read_batch()) is not None:
                for line in batch.lines:
                    if wanted in line and b'"ticket"' in line:
                        record = json.loads(line)
                        about = record.get("stream"), record.get("ticket_id"), record.get("customer_id")
                        if about == ("ticket", ticket_id, decision["customer_id"]):
                            yield record


def _event(record: Record) -> dict[str, Any]:
    said = record["payload"]
    if record["kind"] != "escalate":
        return {"ts": record["ts"], "order": 1, "what": "opened", "detail": f"queue {said.get('queue', '(none)')}"}
    clock = f" of {said['clock']}" if "clock" in said else ""
    from_to = f"{said['from']} → {said['told']}" if "from" in said else ""
    return {"ts": record["ts"], "order": 2, "what": f"{said['event']}{clock}", "detail": from_to}


def _message(record: Record) -> dict[str, Any]:
    detail = "; ".join(f"{name} = {record[name]}" for name in _SAID if name in record)
    return {"ts": record["ts"], "order": 0, "what": f"message {record['stage']}", "detail": detail}


def _summary(policy: TicketPolicy | None, rule: Rule, decision: Record, opened: Record | None) -> Iterator[str]:
    said = decision["payload"]
    at = local_time(decision["ts"], rule.timezone, TIME)
    opened_at = local_time(said["opened"], rule.timezone, TIME)
    yield f"Ticket {said['ticket_id']} of {decision['customer_id']}, opened by {rule.id} at {opened_at}."
    yield f"{said['event'].replace('_', ' ').capitalize()} at {at}."
    to = said.get("to")
    yield f"Escalated to {to}." if to else "The level names nobody to escalate to."
    if said["event"] == ILLEGAL_TRANSITION:
        yield f"The message said {said['told']} while it was {said['from']}, which the lifecycle does not allow."
    if said["event"] == ILLEGAL_EXTENSION:
        yield f"{said['extend_days']} days more than the statutory limit are not, or not all, allowed."
    if "clock" not in said:
        return
    level = next((one for one in policy.levels if one.name == said.get("level")), None) if policy else None
    limits = dict(limits_of(level, None if opened is None else opened["payload"].get("sla")))
    limit = limits.get(said["clock"])
    if limit is not None and policy is not None:
        name = (level.calendar if level is not None else policy.calendar).name
        yield f"Its {said['clock']} has a limit of {_limit_words(limit, name)}{_by(level)}."
    yield f"It was due at {local_time(said['due'], rule.timezone, TIME)}."
    yield f"Why the ticket was opened: cem explain --action {said['ticket_id']} …"


def _by(level: ServiceLevel | None) -> str:
    return "" if level is None else f", level {level.name}"


def _limit_words(limit: Limit, calendar: str) -> str:
    if limit.unit == OPEN_TIME:
        return f"{duration(limit.amount)} of open time (calendar {calendar})"
    return f"{limit.amount} {'calendar days' if limit.unit == DAYS else f'workdays (calendar {calendar})'}"
