"""The tickets of one customer: which of each rule are open."""

from __future__ import annotations

import sys
from typing import Any

from state.contacts import RuleKey, short_key

_BETWEEN = "\n"
"""Between two ids; no id that the engine gives holds one."""


class TicketBook:
    """Tickets by rule (and holding), in the order in which they were emitted, closed ones too: they may reopen.

    A customer's tickets are never forgotten, as one may be reopened at any time, so they are kept in few bytes: the ids
    in one text, and as bits of one number which of them are closed.
    """

    __slots__ = ("_closed", "_ids", "_keys")

    def __init__(self) -> None:
        self._keys: tuple[Any, ...] = ()
        self._ids = ""
        self._closed = 0

    def __len__(self) -> int:
        return len(self._keys)

    def opened(self, key: RuleKey, ticket_id: str) -> None:
        """Record an emitted ticket."""
        place = self._place(ticket_id)
        if place is not None:
            self._closed &= ~(1 << place)
            return
        self._ids = f"{self._ids}{_BETWEEN}{ticket_id}" if self._keys else ticket_id
        self._keys = (*self._keys, short_key(key))

    def stage(self, ticket_id: str, stage: str) -> None:
        """Apply a ticket event: ``closed`` and ``reopened`` matter, of tickets that the engine has emitted."""
        if stage not in ("closed", "reopened"):
            return
        place = self._place(ticket_id)
        if place is None:
            return
        if stage == "closed":
            self._closed |= 1 << place
        else:
            self._closed &= ~(1 << place)

    def first_open(self, key: RuleKey) -> str | None:
        """The open ticket of a rule that was emitted first, null if there is none."""
        short, closed = short_key(key), self._closed
        for place, other in enumerate(self._keys):
            if other == short and not closed >> place & 1:
                return self._ids.split(_BETWEEN)[place]
        return None

    def to_record(self) -> list[Any]:
        """As values of JSON: rule, holding, ticket and whether it is closed, of each."""
        ids = self._ids.split(_BETWEEN)
        return [
            [*(key if isinstance(key, tuple) else (key, None)), ids[place], bool(self._closed >> place & 1)]
            for place, key in enumerate(self._keys)
        ]

    @classmethod
    def from_record(cls, record: list[Any]) -> TicketBook:
        """The tickets of a record."""
        book = cls()
        book._keys = tuple(short_key((sys.intern(rule_id), holding_id)) for rule_id, holding_id, _, _ in record)
        book._ids = _BETWEEN.join([ticket for _, _, ticket, _ in record])
        book._closed = sum(1 << place for place, (*_, is_closed) in enumerate(record) if is_closed)
        return book

    def _place(self, ticket_id: str | None) -> int | None:
        """Where a ticket is among them, null if it is none of them."""
        if not self._keys or not ticket_id or ticket_id not in self._ids:
            return None
        ids = self._ids.split(_BETWEEN)
        return ids.index(ticket_id) if ticket_id in ids else None
