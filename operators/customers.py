"""What Python remembers of one shard's customers, by row; all else is in the rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rules.context import Evaluation
from rules.plan import RulePlan
from state.customer import Customer
from state.footprint import sampled_bytes
from state.packed_rows import PackedRows
from state.packing import Packer
from state.walk import ASKED_BIT

Holdings = list[tuple[str | None, dict[str, Any] | None]]
"""Holdings with their ids."""


class Customers:
    """The customers for whom a rule has held, and the profiles that rules look at.

    Parameters
    ----------
    holdings_column
        Where a profile's values have the holdings, null if no rule reads them.

    Attributes
    ----------
    by_row, profiles
        The customers, and the profiles' values as the ``packer`` packs them.
    changed
        The rows of which something changed, if anybody wants to know them.
    """

    def __init__(self, holdings_column: int | None) -> None:
        self._holdings_column = holdings_column
        self.by_row: dict[int, Customer] = {}
        self.profiles = PackedRows()
        self.packer = Packer()
        self._unpacked: tuple[bytes, tuple[Any, ...]] = (b"", ())
        self.changed: set[int] | None = None

    def __len__(self) -> int:
        """Number of customers for whom a rule has held."""
        return len(self.by_row)

    def make_room(self, rows: int) -> None:
        """There are so many rows now."""
        self.profiles.make_room(rows)

    def find(self, row: int) -> Customer | None:
        """The customer, if anything is remembered; it may be changed."""
        customer = self.by_row.get(row)
        if customer is not None and self.changed is not None:
            self.changed.add(row)
        return customer

    def of(self, row: int) -> Customer:
        """The customer, of whom something is to be remembered."""
        if self.changed is not None:
            self.changed.add(row)
        customer = self.by_row.get(row)
        if customer is None:
            customer = self.by_row[row] = Customer()
        return customer

    def profile(self, row: int) -> tuple[Any, ...] | None:
        """The profile's values that the rules read."""
        packed = self.profiles[row]
        if packed is None:
            return None
        if packed != self._unpacked[0]:  # one decision often looks at it more than once
            self._unpacked = packed, self.packer.unpack(packed)
        return self._unpacked[1]

    def keep_profile(self, row: int, values: tuple[Any, ...]) -> None:
        """Take a newer profile."""
        if self.changed is not None:
            self.changed.add(row)
        self.profiles[row] = self.packer.pack(values)

    def holdings(self, profile: tuple[Any, ...] | None) -> Holdings:
        """The holdings of a profile, each id once; none of one that came when no rule looked at profiles."""
        if profile is None:
            return []
        assert self._holdings_column is not None
        found: dict[str | None, dict[str, Any] | None] = {}
        for entry in profile[self._holdings_column] or ():
            holding_id = entry.get("holding_id") if isinstance(entry, dict) else None
            if isinstance(holding_id, str):
                found.setdefault(holding_id, entry)
        return list(found.items())

    def holdings_at(self, planned: RulePlan, profile: tuple[Any, ...] | None, place: int | None) -> Holdings:
        """The holdings that a record of a tick is about: the one at a place, or all where there is none."""
        if not planned.rule.each_holding:
            return [(None, None)]
        holdings = self.holdings(profile)
        return holdings if place is None else [holdings[place]]

    @property
    def armed(self) -> int:
        """Number of rules that wait for their deadline."""
        return sum(a.firing is not None for customer in self.by_row.values() for a in customer.armed.values())

    def used_bytes(self, rule_ids: Sequence[str]) -> int:
        """Bytes of all this; the ids of rules are the plan's."""
        found = sampled_bytes(self.by_row.items(), len(self.by_row), list(rule_ids))
        return found + sys.getsizeof(self.by_row) + self.profiles.used_bytes

    def forget(
        self, rows: Sequence[int], now_ms: int, kept: set[int], cap_horizon_ms: int, cooldowns_ms: Mapping[str, int]
    ) -> set[int]:
        """Forget what cannot matter at or after a time; ``kept`` with those of ``rows`` of whom something stays."""
        remembered = set(kept)
        for row in rows:
            customer = self.by_row.get(row)
            if customer is None:
                continue
            if row in remembered or not customer.forget(now_ms, cap_horizon_ms, cooldowns_ms):
                remembered.add(row)
            else:
                del self.by_row[row]
        return remembered

    def holds(self, planned: RulePlan, row: int, evaluation: Evaluation, holding_id: str | None,
               rose: int | None = None) -> bool:  # fmt: skip
        """Evaluate one rule's condition, for one holding where it has ``each``.

        ``rose``: whether the row leaves it to us to remember the ``rises``, and what it remembers of them.
        """
        evaluation.lets = {}
        if not planned.rises:
            return planned.when is None or bool(planned.when(evaluation))
        key = (planned.rule.id, holding_id)
        remembered = self.by_row[row].rose if row in self.by_row else {}
        evaluation.rose_before = (
            remembered.get(key) if rose is None else _rose(rose, remembered.get(key), planned.rises)
        )
        evaluation.rises_now = [False] * planned.rises
        for _, read in planned.lets:
            read(evaluation)  # `rises` remembers at every evaluation, whatever `when` looks at
        holds = planned.when is None or bool(planned.when(evaluation))
        if rose is None or rose & ASKED_BIT:
            self.of(row).set_rose(key, tuple(evaluation.rises_now))
        return holds


def _rose(before: int, asked: tuple[bool, ...] | None, count: int) -> tuple[bool, ...] | None:
    """What the ``rises`` of a rule were before, two bits each; ``asked``: those that the kernels could not tell."""
    if not before & 3:
        return None
    states = [before >> 2 * slot & 3 for slot in range(count)]
    return tuple(asked[slot] if state == 3 and asked else state == 2 for slot, state in enumerate(states))
