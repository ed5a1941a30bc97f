"""A ticket that is followed through its stages, and its clocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from state.business_time import BusinessTime
from state.ticket_clocks import DAYS, FIRST_RESPONSE, OPEN_TIME, RESOLUTION, STATUTORY, WORKDAYS, Clock

CREATED, REOPENED = "created", "reopened"
ILLEGAL_TRANSITION, ILLEGAL_EXTENSION = "illegal_transition", "illegal_extension"

_NEXT = {
    CREATED: ("accepted",),
    "accepted": ("analysing",),
    "analysing": ("resolved",),
    "resolved": ("followed_up", REOPENED),
    "followed_up": ("closed", REOPENED),
    "closed": (REOPENED,),
    REOPENED: ("accepted", "analysing"),
}
_RANK = {CREATED: 0, REOPENED: 0, "accepted": 1, "analysing": 2, "resolved": 3, "followed_up": 4, "closed": 5}
_DONE = ("resolved", "followed_up", "closed")
_WORKED_ON = (RESOLUTION, STATUTORY)
"""The clocks that run until the ticket is resolved."""


@dataclass(frozen=True, slots=True)
class TicketMessage:
    """What a message of the ticket stream says; null where it says nothing."""

    stage: str
    paused: bool | None = None
    extend_days: int | None = None


@dataclass(slots=True)
class FollowedTicket:
    """A ticket that the engine has opened.

    Attributes
    ----------
    level
        The name of the service level it has.
    queue, to
        Who has it, as its payload says; null if it does not.
    closed_ms
        When it was closed, null if it is not.
    asked_to_reopen
        The engine reopened it, and no message has confirmed that yet.
    """

    ticket_id: str
    rule_id: str
    holding_id: str | None
    level: str
    opened_ms: int
    queue: str | None = None
    to: str | None = None
    stage: str = CREATED
    paused: bool = False
    closed_ms: int | None = None
    asked_to_reopen: bool = False
    clocks: list[Clock] = field(default_factory=list)

    @property
    def next_ms(self) -> int | None:
        """When one of its clocks has something to tell, null for never."""
        return min((at_ms for clock in self.clocks if (at_ms := clock.next_ms) is not None), default=None)

    @property
    def due_ms(self) -> int | None:
        """The earliest deadline that is still ahead of a running clock, null if there is none."""
        running = [clock for clock in self.clocks if clock.running and not clock.breached]
        return min((clock.due_ms for clock in running if clock.due_ms is not None), default=None)

    def clock(self, name: str) -> Clock | None:
        """One of its clocks, null if it does not have it."""
        return next((clock for clock in self.clocks if clock.name == name), None)

    def told(self, message: TicketMessage, now_ms: int, hours: BusinessTime) -> list[str]:
        """Take a message; what is wrong with it: ``ILLEGAL_TRANSITION``, ``ILLEGAL_EXTENSION``.

        A skip forward is wrong and takes effect all the same, since what it stands for has happened; a step back, or
        the same stage again without anything else said, changes nothing.
        """
        wrong = []
        says_more = message.paused is not None or message.extend_days is not None
        if message.stage == self.stage and (says_more or self.asked_to_reopen):
            self.asked_to_reopen = False
        elif message.stage in _NEXT[self.stage]:
            self._move(message.stage, now_ms, hours)
        elif message.stage != REOPENED and _RANK[message.stage] > _RANK[self.stage]:
            wrong.append(ILLEGAL_TRANSITION)
            self._move(message.stage, now_ms, hours)
        else:
            return [ILLEGAL_TRANSITION]
        if message.paused is not None:
            self._pause(message.paused, now_ms, hours)
        if message.extend_days is not None and not self._extend(message.extend_days, now_ms, hours):
            wrong.append(ILLEGAL_EXTENSION)
        return wrong

    def reopen(self, now_ms: int, hours: BusinessTime) -> bool:
        """Reopen it as the engine does, before anybody has said so; whether it could be."""
        if self.stage not in _DONE:
            return False
        self._move(REOPENED, now_ms, hours)
        self.asked_to_reopen = True
        return True

    def _move(self, stage: str, now_ms: int, hours: BusinessTime) -> None:
        self.stage, self.asked_to_reopen = stage, False
        self.closed_ms = now_ms if stage == "closed" else None
        for clock in self.clocks:
            if clock.name == FIRST_RESPONSE:
                clock.stop(now_ms, hours)
            elif stage in _DONE:
                clock.stop(now_ms, hours)
            elif stage == REOPENED:
                clock.go_on(now_ms, hours)
        if stage in _DONE:
            self.paused = False

    def _pause(self, paused: bool, now_ms: int, hours: BusinessTime) -> None:
        if paused == self.paused or self.stage in _DONE:
            return
        self.paused = paused
        clock = self.clock(RESOLUTION)
        if clock is not None and clock.limit.unit == OPEN_TIME:
            (clock.stop if paused else clock.go_on)(now_ms, hours)

    def _extend(self, days: int, now_ms: int, hours: BusinessTime) -> bool:
        """Lengthen what the law allows by so many days in all; false if that is not, or not wholly, possible."""
        clock = self.clock(STATUTORY)
        if clock is None or clock.limit.unit not in (DAYS, WORKDAYS) or not clock.limit.most:
            return False
        wanted = clock.limit.amount + days
        amount = min(wanted, clock.limit.most)
        if amount < clock.amount:
            return False
        if amount > clock.amount:
            clock.extend(amount, self.opened_ms, now_ms, hours)
        return wanted == amount

    def to_record(self) -> list[Any]:
        """As values of JSON."""
        return [
            self.ticket_id, self.rule_id, self.holding_id, self.level, self.opened_ms, self.queue, self.to, self.stage,
            self.paused, self.closed_ms, self.asked_to_reopen, [clock.to_record() for clock in self.clocks],
        ]  # fmt: skip

    @classmethod
    def from_record(cls, record: list[Any]) -> FollowedTicket:
        """The ticket of a record."""
        *plain, clocks = record
        ticket = cls(*plain)
        ticket.clocks = [Clock.from_record(clock) for clock in clocks]
        return ticket
