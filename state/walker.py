"""Walks over the events of a step by calling the kernel as often as it takes."""

from __future__ import annotations

from typing import Any, Protocol

from state.dispatch import SignatureTable
from state.events import RecordBuffer
from state.layout import Layout
from state.log import Memory
from state.reads import Step
from state.tables import Tables
from state.walk import walk


class WalkedRows(Protocol):
    """The rows that events go into."""

    @property
    def tables(self) -> Tables:
        """Of the plan."""

    @property
    def memory(self) -> Memory:
        """Where the rows are now."""

    def grow_pool(self) -> None:
        """Make more room for logs."""


class Walk:
    """Takes the events of one step, stopping where the caller says and where the records are full.

    ``kept``: the arrays that ``step`` has the addresses of.
    """

    def __init__(
        self, rows: WalkedRows, layout: Layout, table: SignatureTable, step: Step, kept: Any, records: RecordBuffer
    ) -> None:
        self._rows, self._table, self._records = rows, table, records
        self._step, self._kept = step, kept
        self._most = 1 + layout.rules, layout.captures

    def take(self, start: int, stop: int) -> int:
        """Take events from ``start`` until ``stop`` or until the records are full; returns the first not taken."""
        rows, records = self._rows, self._records
        records.counters[:] = 0
        while True:
            reached: int = walk(
                rows.memory, rows.tables, self._table.dispatch, self._step, records.addresses, start, stop, *self._most
            )
            if reached == stop or records.counters[0]:
                return reached
            rows.grow_pool()
            start = reached
