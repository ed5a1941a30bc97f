"""The tickets of one customer: which of each rule are open."""

from __future__ import annotations

from state.contacts import RuleKey


class TicketBook:
    """Tickets by rule (and holding), in the order in which they were emitted, closed ones too: they may reopen."""

    __slots__ = ("_by_rule", "_open")

    def __init__(self) -> None:
        self._by_rule: dict[RuleKey, list[str]] = {}
        self._open: dict[str, bool] = {}

    def opened(self, key: RuleKey, ticket_id: str) -> None:
        """Record an emitted ticket."""
        if ticket_id not in self._open:
            self._by_rule.setdefault(key, []).append(ticket_id)
        self._open[ticket_id] = True

    def stage(self, ticket_id: str, stage: str) -> None:
        """Apply a ticket event: ``closed`` and ``reopened`` matter, of tickets that the engine has emitted."""
        if ticket_id in self._open and stage in ("closed", "reopened"):
            self._open[ticket_id] = stage == "reopened"

    def first_open(self, key: RuleKey) -> str | None:
        """The open ticket of a rule that was emitted first, null if there is none."""
        return next((ticket_id for ticket_id in self._by_rule.get(key, ()) if self._open[ticket_id]), None)
