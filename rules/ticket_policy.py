"""How tickets are followed: service levels, their limits, and to whom tickets go. Data, as read from a policy file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rules.model import Position
from rules.work_calendar import WorkCalendar

LIMIT_HINT = "4h or 30m of open time, 3wd for workdays, 15d for calendar days"

TICKET_EVENTS = ("warning", "breach", "illegal_transition", "illegal_extension")
"""What the escalations of tickets themselves are about: no rule may say that of its own."""

_LIMIT = re.compile(r"([0-9]{1,6})(m|h|wd|d)")
_UNITS = {"m": ("open", 60_000), "h": ("open", 3_600_000), "wd": ("workdays", 1), "d": ("days", 1)}
MOST_DAYS = 3_660
_MOST_OPEN_MS = MOST_DAYS * 86_400_000


@dataclass(frozen=True, slots=True)
class TicketLimit:
    """``amount`` of ``unit``: ``open`` (milliseconds of open time), ``workdays`` or ``days``."""

    amount: int
    unit: str


@dataclass(frozen=True, slots=True)
class TicketsMeant:
    """Which tickets something is for: all conditions must hold, each of which is a list of values to choose from.

    ``payload``: by key of the ticket's payload, such as ``queue``, ``tier`` or ``topic``.
    """

    rules: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    payload: tuple[tuple[str, tuple[str, ...]], ...] = ()
    position: Position | None = field(default=None, repr=False, compare=False)

    def holds(self, rule_id: str, rule_class: str, payload: Mapping[str, Any]) -> bool:
        """Whether a ticket is one of them."""
        return (
            (not self.rules or rule_id in self.rules)
            and (not self.classes or rule_class in self.classes)
            and all(payload.get(key) in values for key, values in self.payload)
        )


@dataclass(frozen=True, slots=True)
class TicketRoute:
    """What the payload of some tickets is to say instead, such as another ``queue``."""

    meant: TicketsMeant
    payload: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What some tickets are owed.

    Attributes
    ----------
    limits
        By clock (``first_response``, ``resolution``, ``statutory``), those that there are.
    most_days
        To what the statutory limit can be extended, in its own unit; 0 if it can't.
    warn_percent
        A warning comes when so much of a limit is left; 0 for none.
    escalate_to
        Who is told; null if the file does not say.
    """

    name: str
    meant: TicketsMeant
    calendar: WorkCalendar
    limits: tuple[tuple[str, TicketLimit], ...]
    most_days: int
    warn_percent: int
    escalate_to: str | None


@dataclass(frozen=True, slots=True)
class TicketPolicy:
    """How tickets are followed; of routes and of levels the first counts that is meant for a ticket.

    Attributes
    ----------
    calendar
        That of tickets without a level.
    warn_percent
        Theirs.
    repeat_ms
        Earlier tickets of the same rule count as repeated within this.
    keep_ms
        A ticket that was closed longer ago is followed no more.
    """

    calendar: WorkCalendar
    warn_percent: int
    routes: tuple[TicketRoute, ...]
    levels: tuple[ServiceLevel, ...]
    repeat_ms: int
    keep_ms: int


def parse_limit(text: str) -> TicketLimit | None:
    """The limit that a text stands for, null if it is none.

    >>> parse_limit("4h"), parse_limit("3wd")
    (TicketLimit(amount=14400000, unit='open'), TicketLimit(amount=3, unit='workdays'))
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        return None
    unit, size = _UNITS[match[2]]
    amount = int(match[1]) * size
    return TicketLimit(amount, unit) if 0 < amount <= (_MOST_OPEN_MS if unit == "open" else MOST_DAYS) else None
