"""The tickets of one customer: which of each rule are open."""

from __future__ import annotations

from typing import Any

from state.contacts import RuleKey


class TicketBook:
    """Tickets by rule (and holding), in the order in which they were emitted, closed ones too: they may reopen."""

    __slots__ = ("_closed", "_rules")

    def __init__(self) -> None:
        self._rules: dict[str, RuleKey] = {}
        self._closed: set[str] | None = None

    def __len__(self) -> int:
        return len(self._rules)

    def opened(self, key: RuleKey, ticket_id: str) -> None:
        """Record an emitted ticket."""
        self._rules.setdefault(ticket_id, key)
        if self._closed is not None:
            self._closed.discard(ticket_id)

    def stage(self, ticket_id: str, stage: str) -> None:
        """Apply a ticket event: ``closed`` and ``reopened`` matter, of tickets that the engine has emitted."""
        if ticket_id not in self._rules:
            return
        if stage == "closed":
            if self._closed is None:
                self._closed = set()
            self._closed.add(ticket_id)
        elif stage == "reopened" and self._closed is not None:
            self._closed.discard(ticket_id)

    def first_open(self, key: RuleKey) -> str | None:
        """The open ticket of a rule that was emitted first, null if there is none."""
        closed = self._closed or ()
        return next((ticket for ticket, rule in self._rules.items() if rule == key and ticket not in closed), None)

    def to_record(self) -> list[Any]:
        """As values of JSON: rule, holding, ticket and whether it is closed, of each."""
        closed = self._closed or ()
        return [[*key, ticket, ticket in closed] for ticket, key in self._rules.items()]

    @classmethod
    def from_record(cls, record: list[Any]) -> TicketBook:
        """The tickets of a record."""
        book = cls()
        for rule_id, holding_id, ticket, is_closed in record:
            book.opened((rule_id, holding_id), ticket)
            if is_closed:
                book.stage(ticket, "closed")
        return book
