"""Decides, for the entries of one firing, whether each is emitted, suppressed (and why) or held.

A rule that is paused while the engine runs has the reason paused, before all others. The order of these is the
contract's: shadow, warming, holdout, opt_out, cooldown, cap, quiet_hours, open_ticket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from rules.model import CLASSES, Rule
from rules.planner import OPT_OUT_KINDS
from rules.policy import Cap, Policy
from rules.ticket_policy import TicketPolicy
from state.calendar import CYCLE_MS, MAX_LOCAL_MS, first_at_or_after, wall_time
from state.contacts import UNCAPPED_CLASS, ContactLedger, RuleKey
from state.customer import Customer
from state.timers import Firing

PAUSED, SHADOW, WARMING, HOLDOUT, OPT_OUT, COOLDOWN, CAP, QUIET_HOURS, OPEN_TICKET = (
    "paused", "shadow", "warming", "holdout", "opt_out", "cooldown", "cap", "quiet_hours", "open_ticket",
)  # fmt: skip


@dataclass(slots=True)
class Verdict:
    """What becomes of entry ``index`` of a rule's ``then``: emitted where ``reason`` is null."""

    index: int
    reason: str | None
    would_be: str | None = None
    open_ticket_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Limits:
    """What of a policy applies to the rules of one class."""

    control_group: bool
    opt_out: bool
    caps: tuple[Cap, ...]
    quiet_hours: bool

    @classmethod
    def of(cls, policy: Policy, rule_class: str) -> _Limits:
        counted = {rule_class} if rule_class == UNCAPPED_CLASS else {rule_class, "*"}
        holdout, quiet = policy.holdout, policy.quiet_hours
        return cls(
            holdout is not None and rule_class in holdout.classes and rule_class != UNCAPPED_CLASS,
            rule_class != UNCAPPED_CLASS,
            tuple(cap for cap in policy.caps if cap.rule_class in counted),
            quiet is not None and rule_class in quiet.classes,
        )


class PolicyGate:
    """Applies a policy to firings; the memory is the customer's.

    ``cooldowns_ms``, of all rules by id: lets what was emitted be forgotten once it matters for nothing.
    """

    def __init__(
        self, policy: Policy, opt_out_column: int | None, cooldowns_ms: Mapping[str, int] | None = None
    ) -> None:
        self._policy, self._cooldowns_ms = policy, cooldowns_ms
        self._opt_out_column = opt_out_column
        self._zone = ZoneInfo(policy.timezone)
        self._limits = {rule_class: _Limits.of(policy, rule_class) for rule_class in CLASSES}
        self._defers = policy.quiet_hours is not None and policy.quiet_hours.defer
        self._cap_horizon_ms = max((cap.per_ms for cap in policy.caps), default=0)

    def decide(
        self, customer: Customer, customer_id: str, read_profile: Callable[[], Sequence[Any] | None], rule: Rule,
        firing: Firing, ticket_ids: Mapping[int, str], indices: Sequence[int], t_ms: int, *, paused: bool = False,
    ) -> tuple[list[Verdict], list[int]]:  # fmt: skip
        """Verdicts for some entries of one firing at ``t_ms``, and the indices of those to be held.

        ``read_profile`` gives the customer's attributes as they are then. ``ticket_ids`` are the entries' action ids.
        ``paused``: whether the rule is. What is suppressed for that is remembered nowhere and never held.
        """
        if paused:
            return [Verdict(index, PAUSED) for index in indices], []
        key = (rule.id, firing.holding_id)
        shadow = rule.status == SHADOW
        ledger = customer.shadow(rule.id) if shadow else customer.contacts
        limits = self._limits[rule.rule_class]
        held_out = limits.control_group and self._is_drawn(customer_id)
        last_ms = ledger.last_ms(key)  # as it was before this firing, for all its entries
        cooling = last_ms is not None and t_ms - last_ms < rule.cooldown_ms
        quiet = limits.quiet_hours and self._is_quiet(t_ms)
        verdicts: list[Verdict] = []
        held: list[int] = []
        for index in indices:
            kind = rule.actions[index].kind
            reason = None
            if firing.warming:
                reason = WARMING
            elif held_out:
                reason = HOLDOUT
            elif (
                limits.opt_out
                and kind in OPT_OUT_KINDS
                and self._is_opted_out(read_profile(), rule.rule_class, firing.payloads[index])
            ):
                reason = OPT_OUT
            elif cooling:
                reason = COOLDOWN
            elif limits.caps and _is_capped(limits.caps, customer.contacts, ledger if shadow else None, t_ms):
                reason = CAP
            elif quiet:
                reason = QUIET_HOURS
            if shadow:
                verdicts.append(Verdict(index, SHADOW, would_be=reason or "emitted"))
            elif reason == QUIET_HOURS and self._defers:
                held.append(index)
                continue
            elif reason is not None:
                verdicts.append(Verdict(index, reason))
                continue
            else:
                verdicts.append(self._ticket_verdict(customer, key, kind, index, ticket_ids[index]))
            if reason is None and verdicts[-1].reason in (None, SHADOW):
                ledger.record(key, rule.rule_class, t_ms, self._cap_horizon_ms, self._cooldowns_ms)
        return verdicts, held

    @property
    def tickets(self) -> TicketPolicy | None:
        """How tickets are followed, null if they are not."""
        return self._policy.tickets

    @property
    def cap_horizon_ms(self) -> int:
        """What was emitted longer ago counts for no cap."""
        return self._cap_horizon_ms

    def release_ms(self, t_ms: int) -> int:
        """When quiet hours end that hold at ``t_ms``."""
        quiet = self._policy.quiet_hours
        assert quiet is not None
        # at the very end of the calendar their end is found 400 years before
        shift_ms = CYCLE_MS if t_ms > MAX_LOCAL_MS - 2 * 86_400_000 else 0
        found = first_at_or_after(t_ms + 1 - shift_ms, *divmod(quiet.to_minute, 60), self._zone)
        assert found is not None
        return found[1] + shift_ms

    @staticmethod
    def _ticket_verdict(customer: Customer, key: RuleKey, kind: str, index: int, ticket_id: str) -> Verdict:
        if kind != "ticket":
            return Verdict(index, None)
        open_ticket_id = customer.tickets.first_open(key)
        if open_ticket_id is not None:
            return Verdict(index, OPEN_TICKET, open_ticket_id=open_ticket_id)
        customer.tickets.opened(key, ticket_id)
        return Verdict(index, None)

    def _is_drawn(self, customer_id: str) -> bool:
        holdout = self._policy.holdout
        assert holdout is not None
        digest = blake2b(f"{holdout.salt}|{customer_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % 10_000 < holdout.percent_hundredths

    def _is_opted_out(self, profile: Sequence[Any] | None, rule_class: str, payload: dict[str, object]) -> bool:
        if profile is None or self._opt_out_column is None:
            return False
        refused = profile[self._opt_out_column] or ()
        channel = payload.get("channel")
        return rule_class in refused or (isinstance(channel, str) and channel in refused)

    def _is_quiet(self, t_ms: int) -> bool:
        quiet = self._policy.quiet_hours
        if quiet is None:
            return False
        minute = _minute_of_day(t_ms // 30_000, self._zone)
        if quiet.from_minute <= quiet.to_minute:
            return quiet.from_minute <= minute < quiet.to_minute
        return minute >= quiet.from_minute or minute < quiet.to_minute


def _is_capped(caps: Sequence[Cap], contacts: ContactLedger, shadow: ContactLedger | None, t_ms: int) -> bool:
    for cap in caps:
        count = contacts.count(cap.rule_class, t_ms - cap.per_ms)
        if shadow is not None:
            count += shadow.count(cap.rule_class, t_ms - cap.per_ms)
        if count >= cap.max:
            return True
    return False


@lru_cache(maxsize=4_096)  # one for all shards: they are at about the same time
def _minute_of_day(half_minute: int, zone: ZoneInfo) -> int:
    wall = wall_time(half_minute * 30_000, zone)  # some offsets from UTC were no whole minutes
    return wall.hour * 60 + wall.minute
