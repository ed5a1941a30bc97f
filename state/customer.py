"""What is remembered of the customers for whom some rule has held; all else is in rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from state.contacts import ContactLedger, RuleKey
from state.followed_tickets import FollowedTicket
from state.tickets import TicketBook
from state.timers import Firing

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(slots=True)
class Armed:
    """A rule that waits for its deadline; ``firing`` is null once it is disarmed.

    It has one timer however often it is disarmed, armed anew or put off: deadlines only move on, so the timer comes at
    or before ``deadline_ms`` and is set anew if it came too early.
    """

    deadline_ms: int
    firing: Firing | None


class Customer:
    """One customer's state; its parts are made when something goes into them."""

    __slots__ = ("_armed", "_followed", "_rose", "_shadows", "_tickets", "contacts")

    def __init__(self) -> None:
        self.contacts = ContactLedger()
        self._armed: dict[str, Armed] | None = None
        self._followed: list[FollowedTicket] | None = None
        self._rose: dict[RuleKey, tuple[bool, ...]] | None = None
        self._shadows: dict[str, ContactLedger] | None = None
        self._tickets: TicketBook | None = None

    @property
    def armed(self) -> Mapping[str, Armed]:
        """By rule, as long as there is a timer for it."""
        return _NOTHING if self._armed is None else self._armed

    def arm(self, rule_id: str, armed: Armed) -> None:
        """Let a rule wait for its deadline."""
        if self._armed is None:
            self._armed = {}
        self._armed[rule_id] = armed

    def disarm(self, rule_id: str) -> None:
        """Forget a rule that has waited."""
        assert self._armed is not None
        del self._armed[rule_id]
        if not self._armed:
            self._armed = None

    @property
    def rose(self) -> Mapping[RuleKey, tuple[bool, ...]]:
        """What the ``rises`` conditions of a rule were at its previous evaluation."""
        return _NOTHING if self._rose is None else self._rose

    def set_rose(self, key: RuleKey, rose: tuple[bool, ...]) -> None:
        """Remember what the ``rises`` conditions of a rule are."""
        if self._rose is None:
            self._rose = {}
        self._rose[key] = rose

    def shadow(self, rule_id: str) -> ContactLedger:
        """What a rule in shadow would have emitted."""
        if self._shadows is None:
            self._shadows = {}
        return self._shadows.setdefault(rule_id, ContactLedger())

    @property
    def shadows(self) -> Mapping[str, ContactLedger]:
        """What rules in shadow would have emitted, by rule."""
        return _NOTHING if self._shadows is None else self._shadows

    def set_shadow(self, rule_id: str, ledger: ContactLedger) -> None:
        """Take what a rule in shadow would have emitted."""
        self._shadows = {**self.shadows, rule_id: ledger}

    @property
    def has_tickets(self) -> bool:
        """Whether there is any ticket."""
        return bool(self._tickets)

    def set_tickets(self, tickets: TicketBook) -> None:
        """Take the tickets."""
        self._tickets = tickets

    @property
    def tickets(self) -> TicketBook:
        """The tickets of this customer."""
        if self._tickets is None:
            self._tickets = TicketBook()
        return self._tickets

    @property
    def followed(self) -> Sequence[FollowedTicket]:
        """The tickets whose stages and clocks are followed, in the order in which they were opened."""
        return self._followed or ()

    def set_followed(self, tickets: list[FollowedTicket]) -> None:
        """Follow these tickets."""
        self._followed = tickets or None

    def forget(self, t_ms: int, horizon_ms: int, cooldowns_ms: Mapping[str, int]) -> bool:
        """Drop what matters for nothing from ``t_ms`` on; whether nothing is left. See ``ContactLedger.forget``."""
        for rule_id in list(self._shadows or ()):
            assert self._shadows is not None
            if self._shadows[rule_id].forget(t_ms, horizon_ms, cooldowns_ms):
                del self._shadows[rule_id]
        if self._tickets is not None and not self._tickets:
            self._tickets = None
        emitted_nothing = self.contacts.forget(t_ms, horizon_ms, cooldowns_ms)
        return emitted_nothing and not (self._shadows or self._armed or self._rose or self._tickets or self._followed)
