"""What the contact policy would say now of a rule that fired for a customer, check by check.

Each check is put to the engine's own gate, with a policy that has this part only and over a copy of the customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from flows.explain.verdicts import TIME, cap_text, clock
from flows.words import duration, local_time, value_text
from operators.policy_gate import (
    CAP,
    COOLDOWN,
    HOLDOUT,
    OPEN_TICKET,
    OPT_OUT,
    PAUSED,
    QUIET_HOURS,
    SHADOW,
    WARMING,
    PolicyGate,
    Verdict,
)
from operators.views import open_tickets
from rules.model import Rule
from rules.plan import Plan
from rules.planner import OPT_OUT_KINDS
from rules.policy import Cap, Policy
from state.contacts import ContactLedger
from state.customer import Customer
from state.timers import Firing


@dataclass(frozen=True, slots=True)
class Check:
    """One reason in the contract's order: whether it would hold the rule back now, why (not), and until when (ms)."""

    reason: str
    holds_back: bool
    text: str
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyNow:
    """A policy and one customer at a time.

    ``profile``: the values of the attributes that the plan reads. ``paused``: why the rule is, empty if it is not.
    ``warm_from_ms``: from when on the rule's windows are filled.
    """

    policy: Policy
    plan: Plan
    customer: Customer
    customer_id: str
    profile: tuple[Any, ...] | None
    t_ms: int
    paused: str
    warm_from_ms: int

    def verdicts(self, rule: Rule, firing: Firing) -> tuple[list[Verdict], list[int], int | None]:
        """What the engine would decide of each action; those that it would hold, and until when (ms)."""
        gate = PolicyGate(self.policy, self.plan.profile_column("opt_out"), self.plan.cooldowns_ms)
        verdicts, held = self._ask(gate, rule, firing, paused=bool(self.paused))
        return verdicts, held, gate.release_ms(self.t_ms) if held else None

    def checks(self, rule: Rule, firing: Firing) -> Iterator[Check]:
        """All reasons in the contract's order."""
        yield Check(PAUSED, bool(self.paused), self.paused or "the rule is not paused")
        on_trial = rule.status == SHADOW
        yield Check(SHADOW, on_trial, "the rule is on trial: nothing is sent" if on_trial else "the rule is live")
        text = "what the rule looks at is all there"
        if firing.warming:
            text = f"its windows are not all filled before {self._local(self.warm_from_ms, rule)}"
        yield Check(WARMING, firing.warming, text, self.warm_from_ms if firing.warming else None)
        yield self._holdout(rule, firing)
        yield self._opt_out(rule, firing)
        yield self._cooldown(rule, firing)
        yield self._caps(rule, firing)
        yield self._quiet_hours(rule, firing)
        yield self._open_ticket(rule, firing)

    def _ask(
        self, gate: PolicyGate, rule: Rule, firing: Firing, *, paused: bool = False
    ) -> tuple[list[Verdict], list[int]]:
        indices = range(len(rule.actions))
        ids = {index: f"not decided, action {index}" for index in indices}
        return gate.decide(
            deepcopy(self.customer), self.customer_id, lambda: self.profile, rule, firing, ids, indices, self.t_ms,
            paused=paused,
        )  # fmt: skip

    def _is_held_back(
        self, reason: str, rule: Rule, firing: Firing, *, cools: bool = False, opts_out: bool = False, **parts: Any
    ) -> bool:
        """Whether a policy of these parts alone, without cooldown and what the profile says if not wanted, says so."""
        gate = PolicyGate(
            replace(self.policy, **({"holdout": None, "caps": (), "quiet_hours": None} | parts)),
            self.plan.profile_column("opt_out") if opts_out else None, self.plan.cooldowns_ms,
        )  # fmt: skip
        asked = rule if cools else replace(rule, cooldown_ms=0)
        verdicts, _ = self._ask(gate, asked, replace(firing, warming=False))
        return any((verdict.would_be or verdict.reason) == reason for verdict in verdicts)

    def _local(self, t_ms: int, rule: Rule) -> str:
        return local_time(t_ms, rule.timezone, TIME)

    def _ledgers(self, rule: Rule) -> list[ContactLedger]:
        """Where contacts count: the first also for the rule's own cooldown."""
        shadow = self.customer.shadows.get(rule.id, ContactLedger())
        return [shadow, self.customer.contacts] if rule.status == SHADOW else [self.customer.contacts]

    def _holdout(self, rule: Rule, firing: Firing) -> Check:
        holdout = self.policy.holdout
        if holdout is None:
            return Check(HOLDOUT, False, "the policy has no control group")
        drawn = self._is_held_back(HOLDOUT, rule, firing, holdout=holdout)
        group = f"the control group of {holdout.percent_hundredths / 100:g}% (salt {holdout.salt!r})"
        if drawn:
            return Check(HOLDOUT, True, f"the customer is in {group}, for good")
        if rule.rule_class not in holdout.classes or rule.rule_class == "risk":
            return Check(HOLDOUT, False, f"{group} is not for class {rule.rule_class!r}")
        return Check(HOLDOUT, False, f"the customer is not in {group}")

    def _opt_out(self, rule: Rule, firing: Firing) -> Check:
        kinds = list(dict.fromkeys(action.kind for action in rule.actions if action.kind in OPT_OUT_KINDS))
        if not kinds or rule.rule_class == "risk":
            what = "a rule of class 'risk'" if kinds else "what the rule does"
            return Check(OPT_OUT, False, f"nobody can opt out of {what}")
        column = self.plan.profile_column("opt_out")
        listed = None if self.profile is None or column is None else self.profile[column]
        said = (
            f"opt_out lists {value_text(listed or None)}" if self.profile is not None else "the customer has no profile"
        )
        held_back = self._is_held_back(OPT_OUT, rule, firing, opts_out=True)
        return Check(OPT_OUT, held_back, f"{' and '.join(kinds)}: {said}")

    def _cooldown(self, rule: Rule, firing: Firing) -> Check:
        last_ms = self._ledgers(rule)[0].last_ms((rule.id, firing.holding_id))
        if not rule.cooldown_ms:
            return Check(COOLDOWN, False, "the rule has none")
        acted = "would have acted" if rule.status == SHADOW else "acted"
        if last_ms is None:
            return Check(COOLDOWN, False, f"{duration(rule.cooldown_ms)}; the state knows of no time the rule {acted}")
        until_ms = last_ms + rule.cooldown_ms
        cooling = self._is_held_back(COOLDOWN, rule, firing, cools=True)
        ends = "ends" if cooling else "ended"
        return Check(
            COOLDOWN, cooling,
            f"{duration(rule.cooldown_ms)}; the rule last {acted} at {self._local(last_ms, rule)}, it {ends} at "
            f"{self._local(until_ms, rule)}",
            until_ms if cooling else None,
        )  # fmt: skip

    def _caps(self, rule: Rule, firing: Firing) -> Check:
        caps = PolicyGate(self.policy, None).caps_of(rule, firing)
        if not caps:
            return Check(CAP, False, f"the policy has none for class {rule.rule_class!r}")
        ledgers = self._ledgers(rule)
        texts, until_ms = [], self.t_ms
        for cap in caps:
            count = _counted(cap, ledgers, self.t_ms)
            texts.append(cap_text(cap, count))
            if count >= cap.max > 0:
                free_ms = _room_ms(cap, ledgers, self.t_ms)
                until_ms = max(until_ms, free_ms)
                texts[-1] += f" (room from {self._local(free_ms, rule)} on)"
        full = self._is_held_back(CAP, rule, firing, caps=self.policy.caps)
        return Check(CAP, full, "; ".join(texts), until_ms if until_ms > self.t_ms else None)

    def _quiet_hours(self, rule: Rule, firing: Firing) -> Check:
        quiet = self.policy.quiet_hours
        if quiet is None or rule.rule_class not in quiet.classes:
            return Check(QUIET_HOURS, False, f"the policy has none for class {rule.rule_class!r}")
        is_quiet = self._is_held_back(QUIET_HOURS, rule, firing, quiet_hours=replace(quiet, defer=False))
        now = local_time(self.t_ms, self.policy.timezone, "%H:%M:%S")
        text = f"{clock(quiet.from_minute)} to {clock(quiet.to_minute)} in {self.policy.timezone}; it is {now}"
        if not is_quiet:
            return Check(QUIET_HOURS, False, text)
        until_ms = PolicyGate(self.policy, None).release_ms(self.t_ms)
        return Check(QUIET_HOURS, True, f"{text}, until {self._local(until_ms, rule)}", until_ms)

    def _open_ticket(self, rule: Rule, firing: Firing) -> Check:
        if all(action.kind != "ticket" for action in rule.actions):
            return Check(OPEN_TICKET, False, "the rule opens no tickets")
        if rule.status == SHADOW:
            return Check(OPEN_TICKET, False, "a rule on trial opens none")
        if not self._is_held_back(OPEN_TICKET, replace(rule, actions=_first_ticket(rule)), firing):
            return Check(OPEN_TICKET, False, "no ticket of the rule is open")
        key = {"rule_id": rule.id, "holding_id": firing.holding_id}
        ticket = next(one for one in open_tickets(self.customer) if key.items() <= one.items())
        text = f"ticket {ticket['ticket_id']} is open"
        if "stage" in ticket:
            text += f", {ticket['stage']}"
            if ticket["due"] is not None:
                text += f", due {self._local(ticket['due'], rule)}"
        return Check(OPEN_TICKET, True, text)


def _first_ticket(rule: Rule) -> tuple[Any, ...]:
    """Two of one firing are in each other's way, which is not what is asked."""
    return tuple(action for action in rule.actions if action.kind == "ticket")[:1]


def _counted(cap: Cap, ledgers: list[ContactLedger], t_ms: int) -> int:
    return sum(ledger.count(cap.rule_class, t_ms - cap.per_ms, cap.metric) for ledger in ledgers)


def _room_ms(cap: Cap, ledgers: list[ContactLedger], t_ms: int) -> int:
    """When a cap that is full at a time has room again, if nothing is added: fewer and fewer count."""
    full_ms, free_ms = t_ms, t_ms + cap.per_ms
    while free_ms - full_ms > 1:
        middle_ms = (full_ms + free_ms) // 2
        if _counted(cap, ledgers, middle_ms) >= cap.max:
            full_ms = middle_ms
        else:
            free_ms = middle_ms
    return free_ms
