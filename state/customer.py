"""Everything that the engine remembers of one customer."""

from __future__ import annotations

from typing import Any

from state.book import Row
from state.contacts import ContactLedger, RuleKey
from state.tickets import TicketBook


class Customer:
    """One customer's state.

    ``profile``: values of the latest profile event, null before the first. ``row``: series of the plan. ``rose``: what
    the ``rises`` conditions of a rule were at its previous evaluation. ``armed``: by rule, the sequence number of the
    deadline that counts; deadlines of other numbers were disarmed or replaced. ``shadows``: by shadow rule, what it
    would have emitted.
    """

    __slots__ = ("armed", "contacts", "profile", "rose", "row", "shadows", "tickets")

    def __init__(self) -> None:
        self.profile: tuple[Any, ...] | None = None
        self.row: Row = {}
        self.rose: dict[RuleKey, tuple[bool, ...]] = {}
        self.armed: dict[str, int] = {}
        self.contacts = ContactLedger()
        self.tickets = TicketBook()
        self.shadows: dict[str, ContactLedger] = {}
