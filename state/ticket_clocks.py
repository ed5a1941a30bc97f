"""The clocks of a ticket: how long is left for its first response, its resolution and what the law allows.

Pure: the time is an argument, and what is open when is a ``BusinessTime``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from state.business_time import BusinessTime

FIRST_RESPONSE, RESOLUTION, STATUTORY = CLOCKS = ("first_response", "resolution", "statutory")
"""The clocks of a ticket, in the order in which those of one time are told."""

OPEN_TIME, WORKDAYS, DAYS = ("open", "workdays", "days")
"""Units of a limit: milliseconds of open time, workdays and calendar days after that of the opening."""

WARNING, BREACH = "warning", "breach"


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` of ``unit``; extended at most to ``most`` of them (0: not at all)."""

    amount: int
    unit: str
    most: int = 0


@dataclass(slots=True)
class Clock:
    """One clock of a ticket.

    Attributes
    ----------
    limit, amount
        What it was started with, and how much it is now, having been extended.
    due_ms, warn_ms
        When it will be too late, and when to warn of that; null for never, and for a limit of open time while the clock
        stands still.
    left_ms
        Of a limit of open time: what was left when it was stopped.
    warns, breached
        Whether a warning is still to come, and whether it was too late.
    """

    name: str
    limit: Limit
    warn_percent: int
    amount: int
    due_ms: int | None = None
    warn_ms: int | None = None
    left_ms: int = 0
    running: bool = True
    warns: bool = True
    breached: bool = False

    @classmethod
    def start(cls, name: str, limit: Limit, warn_percent: int, opened_ms: int, hours: BusinessTime) -> Clock:
        """The clock of a ticket that is opened."""
        clock = cls(name, limit, warn_percent, limit.amount)
        clock._reckon(opened_ms, limit.amount, hours)
        clock._warn_only_after(opened_ms)
        return clock

    @property
    def next_ms(self) -> int | None:
        """When it has something to tell, null for never; in the past if it stood still meanwhile."""
        if not self.running:
            return None
        times = (self.warn_ms if self.warns else None, None if self.breached else self.due_ms)
        return min((at_ms for at_ms in times if at_ms is not None), default=None)

    def stop(self, now_ms: int, hours: BusinessTime) -> None:
        """Stand still."""
        if self.running and self.limit.unit == OPEN_TIME:
            self.left_ms = 0 if self.due_ms is None else hours.between_ms(now_ms, max(now_ms, self.due_ms))
            self.due_ms = self.warn_ms = None
        self.running = False

    def go_on(self, now_ms: int, hours: BusinessTime) -> None:
        """Run on with what is left; a limit in days keeps its date."""
        if not self.running and self.limit.unit == OPEN_TIME and not self.breached:
            self._reckon(now_ms, self.left_ms, hours)
        self.running = True
        self._warn_only_after(now_ms)

    def extend(self, amount: int, opened_ms: int, now_ms: int, hours: BusinessTime) -> None:
        """Give a limit in days another length; a clock that has run out runs anew if that is not over yet."""
        self.amount = amount
        self._reckon(opened_ms, amount, hours)
        if self.due_ms is None or self.due_ms > now_ms:
            self.warns, self.breached = True, False
            self._warn_only_after(now_ms)

    def tell(self, now_ms: int) -> str | None:
        """What is due by now: ``WARNING`` or ``BREACH``, each told once."""
        if not self.running:
            return None
        if self.due_ms is not None and self.due_ms <= now_ms and not self.breached:
            self.breached, self.warns = True, False
            return BREACH
        if self.warns and self.warn_ms is not None and self.warn_ms <= now_ms:
            self.warns = False
            return WARNING
        return None

    def _warn_only_after(self, now_ms: int) -> None:
        """What could not be warned of in advance is not warned of."""
        self.warns = self.warns and self.warn_ms is not None and self.warn_ms > now_ms

    def _reckon(self, from_ms: int, amount: int, hours: BusinessTime) -> None:
        """Set the times for ``amount`` of the limit's unit from a time on."""
        if self.limit.unit == OPEN_TIME:
            spare_ms = self.limit.amount - self.limit.amount * (100 - self.warn_percent) // 100
            self.due_ms = hours.add_ms(from_ms, amount)
            self.warn_ms = hours.add_ms(from_ms, max(0, amount - spare_ms)) if self.warn_percent else None
            return
        end_ms = hours.workday_close_ms if self.limit.unit == WORKDAYS else hours.day_end_ms
        self.due_ms = end_ms(from_ms, amount)
        before = amount - max(1, amount * self.warn_percent // 100)
        self.warn_ms = end_ms(from_ms, before) if self.warn_percent else None

    def to_record(self) -> list[Any]:
        """As values of JSON."""
        limit = self.limit
        return [
            self.name, limit.amount, limit.unit, limit.most, self.warn_percent, self.amount, self.due_ms, self.warn_ms,
            self.left_ms, self.running, self.warns, self.breached,
        ]  # fmt: skip

    @classmethod
    def from_record(cls, record: list[Any]) -> Clock:
        """The clock of a record."""
        name, amount, unit, most, *rest = record
        return cls(name, Limit(amount, unit, most), *rest)
