"""Follows the tickets of one shard's customers: routes, service levels, clocks, stages.

What there is to tell is written as decisions of the kind ``escalate`` in the name of the ticket's rule. They are for
the bank's own people, so the contact policy neither holds them back nor counts them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from operators.decision import Decision, decision_digest
from operators.outcome import Anchor
from rules.model import Rule
from rules.plan import RulePlan
from rules.ticket_policy import TICKET_EVENTS, ServiceLevel, TicketPolicy, TicketsMeant, parse_limit
from rules.work_calendar import WorkCalendar
from state.business_time import BusinessTime
from state.calendar import MAX_LOCAL_MS, wall_time
from state.customer import Customer
from state.followed_tickets import FollowedTicket, TicketMessage
from state.ticket_clocks import CLOCKS, RESOLUTION, STATUTORY, Clock, Limit, limit_of
from state.timers import TICKET, TimerQueue

ESCALATE, REOPEN = "escalate", "reopen"


class TicketDesk:
    """Follows tickets as a policy says; the memory is the customers'.

    Its methods return the decisions there are to write.
    """

    def __init__(self, policy: TicketPolicy, rules: Sequence[RulePlan], timers: TimerQueue) -> None:
        self._policy, self._timers = policy, timers
        self._rules = [planned.rule for planned in rules]
        self._numbers = {rule.id: number for number, rule in enumerate(self._rules)}
        self._levels = {level.name: level for level in policy.levels}
        self._no_level = ServiceLevel("", TicketsMeant(), policy.calendar, (), 0, policy.warn_percent, None)

    def opened(
        self, rule: Rule, row: int, customer: Customer, ticket_id: str, holding_id: str | None,
        payload: Mapping[str, Any], t_ms: int,
    ) -> dict[str, Any]:  # fmt: skip
        """Follow a ticket from now on; its payload, with who gets it and when it is due.

        A payload gains ``level``, ``due`` (by clock, in ms), ``repeat`` (earlier tickets of the same rule within
        the policy's ``repeat``) and, where a date lies beyond the days whose holidays are known, ``holidays_known``.
        """
        said = dict(payload)
        for route in self._policy.routes:
            if route.meant.holds(rule.id, rule.rule_class, said):
                said |= route.payload
                break
        level = next(
            (one for one in self._policy.levels if one.meant.holds(rule.id, rule.rule_class, said)), self._no_level
        )
        hours = business_time(level.calendar)
        limits, warn_percent = limits_of(level, said.get("sla")), level.warn_percent
        clocks = [Clock.start(name, limit, warn_percent, t_ms, hours) for name, limit in limits]
        ticket = FollowedTicket(
            ticket_id, rule.id, holding_id, level.name, t_ms, _text(said.get("queue")), _text(said.get("to")),
            clocks=clocks,
        )  # fmt: skip
        self.drop_over(customer, t_ms)
        # the same id: delivered again after the dedup horizon
        earlier = [one for one in customer.followed if one.ticket_id != ticket_id]
        repeat = sum(one.rule_id == rule.id and t_ms - one.opened_ms < self._policy.repeat_ms for one in earlier)
        customer.set_followed([*earlier, ticket])
        self._set_timer(ticket, row, t_ms)
        due = {clock.name: clock.due_ms for clock in clocks if clock.due_ms is not None}
        said |= {"level": level.name, "due": due, "repeat": repeat}
        if any(not _is_covered(level.calendar, due_ms) for due_ms in due.values()):
            said["holidays_known"] = False
        return said

    def told(self, anchor: Anchor, customer: Customer, customer_id: str, values: Sequence[Any]) -> Iterable[Decision]:
        """Take a ticket message: ``values`` are its ticket, stage, ``paused`` and ``extend_days``."""
        ticket_id, stage, paused, extend_days = values
        event_id, t_ms = anchor.event_id, anchor.effective_ms
        ticket = self._find(customer, ticket_id, t_ms)
        if ticket is None:
            return
        message = TicketMessage(
            stage, paused if isinstance(paused, bool) else None, extend_days if type(extend_days) is int else None
        )
        about = {"from": ticket.stage, "told": stage, "extend_days": message.extend_days}
        for what in ticket.told(message, t_ms, self._hours(ticket)):
            yield self._escalation(
                ticket, customer_id, what, t_ms, about, f"{ticket_id}:{event_id}:{what}", event_id,
                late=anchor.ts_ms < t_ms,
            )  # fmt: skip
        self._set_timer(ticket, anchor.row, t_ms)

    def reopen(self, row: int, customer: Customer, ticket_id: object, t_ms: int) -> None:
        """Reopen a ticket because a rule says so, if it is one that is done."""
        ticket = self._find(customer, ticket_id, t_ms)
        if ticket is not None and ticket.reopen(t_ms, self._hours(ticket)):
            customer.tickets.stage(ticket.ticket_id, "reopened")
            self._set_timer(ticket, row, t_ms)

    def meet(self, rule: int, row: int, customer: Customer, customer_id: str, t_ms: int) -> Iterable[Decision]:
        """What the clocks of a customer's tickets of one rule (by number) have to tell by now."""
        for ticket in customer.followed:
            if ticket.rule_id != self._rules[rule].id:
                continue
            if ticket.timer_ms is not None and ticket.timer_ms <= t_ms:
                ticket.timer_ms = None
            for clock in ticket.clocks:
                what = clock.tell(t_ms)
                if what is not None:
                    about = {"clock": clock.name, "due": clock.due_ms}
                    yield self._escalation(
                        ticket, customer_id, what, t_ms, about, f"{ticket.ticket_id}:{clock.name}:{what}"
                    )
            self._set_timer(ticket, row, t_ms)

    def drop_over(self, customer: Customer, t_ms: int) -> None:
        """Follow no more what has been closed for long enough."""
        left = [one for one in customer.followed if not self._is_over(one, t_ms)]
        if len(left) < len(customer.followed):
            customer.set_followed(left)

    def _escalation(
        self, ticket: FollowedTicket, customer_id: str, what: str, t_ms: int, about: Mapping[str, Any], anchor: str,
        event_id: str | None = None, *, late: bool = False,
    ) -> Decision:  # fmt: skip
        rule = self._rules[self._numbers[ticket.rule_id]]
        level = self._levels.get(ticket.level, self._no_level)
        digest = decision_digest(
            [rule.id, rule.version, customer_id, "ticket", anchor, t_ms, ticket.holding_id, ESCALATE, 0]
        )
        payload = {
            "ticket_id": ticket.ticket_id, "event": what, **about, "stage": ticket.stage, "queue": ticket.queue,
            "owner": ticket.to, "to": level.escalate_to, "level": ticket.level, "opened": ticket.opened_ms,
        }  # fmt: skip
        return Decision(
            digest, ESCALATE, rule.id, rule.version, rule.rule_class, rule.priority, customer_id, t_ms, event_id,
            ticket.holding_id, "emitted", None, None, None, late, {},
            {name: value for name, value in payload.items() if value is not None and value != ""},
        )  # fmt: skip

    def _find(self, customer: Customer, ticket_id: object, t_ms: int) -> FollowedTicket | None:
        for ticket in customer.followed:
            if ticket.ticket_id == ticket_id and ticket.rule_id in self._numbers and not self._is_over(ticket, t_ms):
                return ticket
        return None

    def _is_over(self, ticket: FollowedTicket, t_ms: int) -> bool:
        return ticket.closed_ms is not None and t_ms - ticket.closed_ms >= self._policy.keep_ms

    def _hours(self, ticket: FollowedTicket) -> BusinessTime:
        return business_time(self._levels.get(ticket.level, self._no_level).calendar)

    def _set_timer(self, ticket: FollowedTicket, row: int, t_ms: int) -> None:
        if ticket.next_ms is None:
            return
        at_ms = max(ticket.next_ms, t_ms)
        if ticket.timer_ms is None or at_ms < ticket.timer_ms:
            ticket.timer_ms = at_ms
            self._timers.set(at_ms, TICKET, self._numbers[ticket.rule_id], row)


@lru_cache(maxsize=64)
def business_time(calendar: WorkCalendar) -> BusinessTime:
    """What is open when; one for each calendar, as it remembers days that were asked for."""
    return BusinessTime(calendar.timezone, calendar.week, calendar.days)


def is_told_of_ticket(decision: Mapping[str, Any]) -> bool:
    """Whether a decision, as it is written, is one that a ticket's clocks or stages have led to and no rule."""
    return decision["kind"] == ESCALATE and decision["payload"].get("event") in TICKET_EVENTS


def limits_of(level: ServiceLevel | None, sla: object) -> Iterable[tuple[str, Limit]]:
    """The limits of a ticket by clock; the rule's own ``sla`` stands before the level's ``resolution``."""
    limits = {} if level is None else dict(level.limits)
    own = parse_limit(sla) if isinstance(sla, str) else None
    if own is not None:
        limits[RESOLUTION] = own
    for name in CLOCKS:
        if name in limits:
            limit = limits[name]
            yield name, limit_of(limit.amount, limit.unit, level.most_days if level and name == STATUTORY else 0)


def _is_covered(calendar: WorkCalendar, due_ms: int) -> bool:
    """Whether the calendar knows the holidays of the local day of a deadline; midnight ends the day before."""
    wall = wall_time(due_ms - 1, business_time(calendar).zone)
    # after the year 9999 wall times are those of 400 years before
    return due_ms <= MAX_LOCAL_MS and calendar.first <= wall.date() <= calendar.last


def _text(value: object) -> str | None:
    """A text that many tickets may have, kept once."""
    return sys.intern(value) if isinstance(value, str) and value else None
