"""What is remembered of the customers for whom some rule has held; all else is in rows."""

from __future__ import annotations

from dataclasses import dataclass

from state.contacts import ContactLedger, RuleKey
from state.tickets import TicketBook
from state.timers import Firing


@dataclass(slots=True)
class Armed:
    """A rule that waits for its deadline; ``firing`` is null once it is disarmed.

    It has one timer however often it is disarmed, armed anew or put off: deadlines only move on, so the timer comes at
    or before ``deadline_ms`` and is set anew if it came too early.
    """

    deadline_ms: int
    firing: Firing | None


class Customer:
    """One customer's state.

    ``rose``: what the ``rises`` conditions of a rule were at its previous evaluation. ``armed``: by rule, as long as there
    is a timer for it. ``shadows``: by shadow rule, what it would have emitted.
    """

    __slots__ = ("armed", "contacts", "rose", "shadows", "tickets")

    def __init__(self) -> None:
        self.rose: dict[RuleKey, tuple[bool, ...]] = {}
        self.armed: dict[str, Armed] = {}
        self.contacts = ContactLedger()
        self.tickets = TicketBook()
        self.shadows: dict[str, ContactLedger] = {}
