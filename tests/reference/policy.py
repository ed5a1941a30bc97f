"""What becomes of a firing: the reasons of suppression, held decisions, open tickets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.reference.localtime import duration_ms, instant_ms, local
from tests.reference.rules import DEFAULT_ZONE, Rule, load_yaml


@dataclass(eq=False)
class Firing:
    """A rule that fired: its anchor or tick, and features and payloads as they were then."""

    rule: Rule
    customer_id: str
    stream: str  # of the anchor, or "daily"
    anchor_id: str  # its event_id, or the tick's local date
    anchor_ts: int  # its own ts, or the tick
    anchor_event_id: str | None
    holding_id: str | None
    late: bool
    features: dict[str, Any]
    payloads: list[Any]

    def action_id(self, index: int) -> str:
        rule = self.rule
        identity = [rule.id, rule.version, self.customer_id, self.stream, self.anchor_id, self.anchor_ts]
        text = json.dumps(
            [*identity, self.holding_id, rule.then[index][0], index], ensure_ascii=False, separators=(",", ":")
        )
        return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


@dataclass(eq=False)
class Held:
    """Entries of one firing that wait for the end of quiet hours."""

    to_ms: int
    order: int
    firing: Firing
    indices: list[int]


@dataclass(frozen=True)
class Emission:
    """An entry of the ledger: a decision emitted, or one that a shadow rule would have."""

    ts: int
    rule_id: str
    klass: str
    holding_id: str | None
    shadow: bool
    metric: str | None  # of a survey, if it has one


@dataclass(eq=False)
class Ticket:
    """A ticket that was emitted; kept in the order of the first emission."""

    ticket_id: str
    rule_id: str
    holding_id: str | None
    open: bool = True


@dataclass
class Customer:
    """What the policy knows of one customer."""

    customer_id: str
    profile: dict[str, Any] = field(default_factory=dict)
    ledger: list[Emission] = field(default_factory=list)
    tickets: dict[str, Ticket] = field(default_factory=dict)

    def opted_out(self) -> list[str]:
        return [entry for entry in self.profile.get("opt_out") or [] if isinstance(entry, str)]

    def on_ticket(self, ticket_id: str, stage: str) -> None:
        # Only the customer's own ticket events count, as a rule is evaluated on the customer's own events.
        if ticket_id in self.tickets and stage in ("closed", "reopened"):
            self.tickets[ticket_id].open = stage == "reopened"

    def open_ticket(self, firing: Firing) -> str | None:
        for ticket in self.tickets.values():
            if ticket.open and (ticket.rule_id, ticket.holding_id) == (firing.rule.id, firing.holding_id):
                return ticket.ticket_id
        return None


class Policy:
    def __init__(self, text: str | None, paused: frozenset[str] = frozenset()) -> None:
        self.paused = paused
        document = (load_yaml(text) if text else None) or {}
        self.zone: str = document.get("timezone", DEFAULT_ZONE)
        self.holdout: dict[str, Any] | None = document.get("holdout")
        self.caps: list[dict[str, Any]] = document.get("caps") or []
        self.quiet: dict[str, Any] | None = document.get("quiet_hours")
        self.held: list[Held] = []
        self.held_count = 0
        self.decisions: list[dict[str, Any]] = []

    def decide(self, firing: Firing, indices: list[int], customer: Customer, t: int) -> None:
        """Take the decisions of these entries of a firing, at `t`, and write or hold them."""
        rule, shadow = firing.rule, firing.rule.status == "shadow"
        if rule.id in self.paused:
            for index in indices:
                self._write(firing, index, t, "paused", None, None)
            return
        before = list(customer.ledger)
        held: list[int] = []
        for index in indices:
            kind = rule.then[index][0]
            reason = self._reason(firing, index, customer, before, t)
            if reason == "quiet_hours" and not shadow and self.quiet and self.quiet.get("action") == "defer":
                held.append(index)
                continue
            ticket = None
            if reason is None and kind == "ticket" and not shadow:
                ticket = customer.open_ticket(firing)
                reason = "open_ticket" if ticket else None
            if reason is None:
                customer.ledger.append(
                    Emission(t, rule.id, rule.klass, firing.holding_id, shadow, _metric(firing, index))
                )
            if reason is None and kind == "ticket" and not shadow:
                self._open(firing, index, customer)
            would_be = None
            if shadow:
                reason, would_be = "shadow", reason or "emitted"
            self._write(firing, index, t, reason, would_be, ticket)
        if held:
            self.held_count += 1
            self.held.append(Held(self.quiet_end(t), self.held_count, firing, held))

    def _reason(self, firing: Firing, index: int, customer: Customer, before: list[Emission], t: int) -> str | None:
        """The first that applies of the reasons 2 to 6."""
        rule = firing.rule
        kind, payload = rule.then[index][0], firing.payloads[index]
        if self._in_control_group(rule.klass, customer.customer_id):
            return "holdout"
        if kind in ("survey", "notify") and rule.klass != "risk":
            channel = payload.get("channel") if isinstance(payload, dict) else None
            if any(entry in (rule.klass, channel) for entry in customer.opted_out()):
                return "opt_out"
        own = [e.ts for e in before if e.rule_id == rule.id and e.holding_id == firing.holding_id]
        if own and t - own[-1] < rule.cooldown_ms:
            return "cooldown"
        if any(self._reached(cap, rule, _metric(firing, index), customer, t) for cap in self.caps):
            return "cap"
        if self.quiet and rule.klass in self.quiet.get("classes", ["marketing", "survey"]) and self.is_quiet(t):
            return "quiet_hours"
        return None

    def _in_control_group(self, klass: str, customer_id: str) -> bool:
        if self.holdout is None or klass == "risk":
            return False
        if klass not in self.holdout.get("classes", ["marketing", "survey"]):
            return False
        text = f"{self.holdout.get('salt', '')}|{customer_id}"
        digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % 10_000 < Decimal(str(self.holdout["percent"])) * 100

    @staticmethod
    def _reached(cap: dict[str, Any], rule: Rule, metric: str | None, customer: Customer, t: int) -> bool:
        klass = cap.get("class", "survey") if "metric" in cap else cap["class"]
        everything = klass == "*"
        if cap.get("metric", metric) != metric:
            return False
        if rule.klass == "risk" if everything else rule.klass != klass:
            return False
        counted = [
            e
            for e in customer.ledger
            if (e.klass != "risk" if everything else e.klass == klass)
            and ("metric" not in cap or e.metric == cap["metric"])
            and t - duration_ms(cap["per"]) < e.ts <= t
            and (not e.shadow or e.rule_id == rule.id)  # what a shadow rule would have counts for itself alone
        ]
        return len(counted) >= cap["max"]

    def is_quiet(self, t: int) -> bool:
        assert self.quiet
        start, end = (_minutes(self.quiet[name]) * 60_000 for name in ("from", "to"))
        now = local(t, self.zone).ms_of_day
        if start <= end:
            return start <= now < end
        return now >= start or now < end

    def quiet_end(self, t: int) -> int:
        """The first instant after `t` that is a local day's `to`."""
        assert self.quiet
        day = local(t, self.zone).day - 1
        while (instant := instant_ms(day, self.quiet["to"], self.zone)) <= t:
            day += 1
        return instant

    @staticmethod
    def _open(firing: Firing, index: int, customer: Customer) -> None:
        ticket_id = firing.action_id(index)
        if ticket_id in customer.tickets:  # emitted again after the dedup horizon
            customer.tickets[ticket_id].open = True
        else:
            customer.tickets[ticket_id] = Ticket(ticket_id, firing.rule.id, firing.holding_id)

    def _write(
        self, firing: Firing, index: int, t: int, reason: str | None, would_be: str | None, ticket: str | None
    ) -> None:
        rule = firing.rule
        self.decisions.append(
            {
                "action_id": firing.action_id(index),
                "kind": rule.then[index][0],
                "rule_id": rule.id,
                "rule_version": rule.version,
                "class": rule.klass,
                "priority": rule.priority,
                "customer_id": firing.customer_id,
                "ts": t,
                "anchor_event_id": firing.anchor_event_id,
                "holding_id": firing.holding_id,
                "decision": "suppressed" if reason else "emitted",
                "reason": reason,
                "would_be": would_be,
                "open_ticket_id": ticket,
                "late": firing.late,
                "features": firing.features,
                "payload": firing.payloads[index],
            }
        )


def _metric(firing: Firing, index: int) -> str | None:
    payload = firing.payloads[index]
    metric = payload.get("metric") if firing.rule.then[index][0] == "survey" and isinstance(payload, dict) else None
    return metric if isinstance(metric, str) else None


def _minutes(hhmm: str) -> int:
    hour, minute = hhmm.split(":")
    return int(hour) * 60 + int(minute)
