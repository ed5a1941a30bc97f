"""Decides, for the entries of one firing, whether each is emitted, suppressed (and why) or held.

The order of the reasons is the contract's: shadow, warming, holdout, opt_out, cooldown, cap, quiet_hours, open_ticket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from rules.model import Rule
from rules.planner import OPT_OUT_KINDS
from rules.policy import Policy
from state.calendar import CYCLE_MS, MAX_LOCAL_MS, first_at_or_after, wall_time
from state.contacts import UNCAPPED_CLASS, ContactLedger, RuleKey
from state.customer import Customer
from state.timers import Firing

SHADOW, WARMING, HOLDOUT, OPT_OUT, COOLDOWN, CAP, QUIET_HOURS, OPEN_TICKET = (
    "shadow", "warming", "holdout", "opt_out", "cooldown", "cap", "quiet_hours", "open_ticket",
)  # fmt: skip


@dataclass(slots=True)
class Verdict:
    """What becomes of entry ``index`` of a rule's ``then``: emitted where ``reason`` is null."""

    index: int
    reason: str | None
    would_be: str | None = None
    open_ticket_id: str | None = None


class PolicyGate:
    """Applies a policy to firings; the memory is the customer's."""

    def __init__(self, policy: Policy, opt_out_column: int | None) -> None:
        self._policy = policy
        self._opt_out_column = opt_out_column
        self._zone = ZoneInfo(policy.timezone)
        self._cap_horizon_ms = max((cap.per_ms for cap in policy.caps), default=0)
        self._minute_of_day = lru_cache(maxsize=65_536)(self._read_clock)
        self._in_control_group = lru_cache(maxsize=65_536)(self._draw)

    def decide(
        self, customer: Customer, customer_id: str, read_profile: Callable[[], Sequence[Any] | None], rule: Rule,
        firing: Firing, ticket_ids: Sequence[str], indices: Sequence[int], t_ms: int,
    ) -> tuple[list[Verdict], list[int]]:  # fmt: skip
        """Verdicts for some entries of one firing at ``t_ms``, and the indices of those to be held.

        ``read_profile`` gives the customer's attributes as they are then. ``ticket_ids`` are the entries' action ids.
        """
        key = (rule.id, firing.holding_id)
        shadow = rule.status == SHADOW
        ledger = customer.shadow(rule.id) if shadow else customer.contacts
        held_out = self._is_held_out(rule.rule_class, customer_id)
        last_ms = ledger.last_ms(key)  # as it was before this firing, for all its entries
        cooling = last_ms is not None and t_ms - last_ms < rule.cooldown_ms
        quiet = rule.rule_class in self._quiet_classes() and self._is_quiet(t_ms)
        verdicts: list[Verdict] = []
        held: list[int] = []
        for index in indices:
            kind = rule.actions[index].kind
            reason = (
                (WARMING if firing.warming else None)
                or (HOLDOUT if held_out else None)
                or (
                    OPT_OUT if self._is_opted_out(read_profile, rule.rule_class, kind, firing.payloads[index]) else None
                )
                or (COOLDOWN if cooling else None)
                or (CAP if self._is_capped(customer, ledger if shadow else None, rule.rule_class, t_ms) else None)
                or (QUIET_HOURS if quiet else None)
            )
            if shadow:
                verdicts.append(Verdict(index, SHADOW, would_be=reason or "emitted"))
            elif reason == QUIET_HOURS and self._defers():
                held.append(index)
                continue
            elif reason is not None:
                verdicts.append(Verdict(index, reason))
                continue
            else:
                verdicts.append(self._ticket_verdict(customer, key, kind, index, ticket_ids[index]))
            if reason is None and verdicts[-1].reason in (None, SHADOW):
                ledger.record(key, rule.rule_class, t_ms, self._cap_horizon_ms)
        return verdicts, held

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

    def _is_held_out(self, rule_class: str, customer_id: str) -> bool:
        holdout = self._policy.holdout
        return (
            holdout is not None
            and rule_class in holdout.classes
            and rule_class != UNCAPPED_CLASS
            and self._in_control_group(customer_id)
        )

    def _draw(self, customer_id: str) -> bool:
        holdout = self._policy.holdout
        assert holdout is not None
        digest = blake2b(f"{holdout.salt}|{customer_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % 10_000 < holdout.percent_hundredths

    def _is_opted_out(
        self, read_profile: Callable[[], Sequence[Any] | None], rule_class: str, kind: str, payload: dict[str, object]
    ) -> bool:
        if kind not in OPT_OUT_KINDS or rule_class == UNCAPPED_CLASS:
            return False
        profile = read_profile()
        if profile is None or self._opt_out_column is None:
            return False
        refused = profile[self._opt_out_column] or ()
        channel = payload.get("channel")
        return rule_class in refused or (isinstance(channel, str) and channel in refused)

    def _is_capped(self, customer: Customer, shadow: ContactLedger | None, rule_class: str, t_ms: int) -> bool:
        for cap in self._policy.caps:
            if cap.rule_class == "*" and rule_class == UNCAPPED_CLASS:
                continue
            if cap.rule_class in (rule_class, "*"):
                count = customer.contacts.count(cap.rule_class, t_ms - cap.per_ms)
                if shadow is not None:
                    count += shadow.count(cap.rule_class, t_ms - cap.per_ms)
                if count >= cap.max:
                    return True
        return False

    def _quiet_classes(self) -> tuple[str, ...]:
        quiet = self._policy.quiet_hours
        return () if quiet is None else quiet.classes

    def _defers(self) -> bool:
        quiet = self._policy.quiet_hours
        return quiet is not None and quiet.defer

    def _read_clock(self, half_minute: int) -> int:
        wall = wall_time(half_minute * 30_000, self._zone)  # some offsets from UTC were no whole minutes
        return wall.hour * 60 + wall.minute

    def _is_quiet(self, t_ms: int) -> bool:
        quiet = self._policy.quiet_hours
        if quiet is None:
            return False
        minute = self._minute_of_day(t_ms // 30_000)
        if quiet.from_minute <= quiet.to_minute:
            return quiet.from_minute <= minute < quiet.to_minute
        return minute >= quiet.from_minute or minute < quiet.to_minute
