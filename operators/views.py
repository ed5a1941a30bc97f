"""Views of customers as they are now, for desks to read: of those touched, at most so often and so many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from operators.customers import Customers
from operators.feature_values import FeatureReader
from operators.json_lines import encode_line
from operators.tables import PlanTables
from operators.view_pace import ViewPace
from rules import model as m
from rules.context import Evaluation
from rules.evaluate import Reader
from rules.plan import RulePlan
from rules.walk import walk
from state.customer import Customer
from state.log import Words
from state.store import RowStore

_TOUCHED, _URGENT, _COOLING, _QUEUED = 1, 2, 4, 8
"""What is known of a row: it is to be looked at; it has a decision to show; it was looked at lately; it is in line."""

_LOOK_EVERY_MS = 250
"""Rows are looked at together: one by one they cost several times as much."""

_MOST_TOUCHED = 1 << 18
"""Rows that are noted as they come, the same ones again and again, before they are put in line."""


class ViewBook:
    """Knows which customers of a shard are to be looked at, and writes views of them.

    A customer with something new is looked at when ``pace.every_ms`` have passed since the last time and when it is
    their turn: those with decisions first, otherwise as they came. What is remembered is a byte for each row and its
    places in the lines, of which it has two at most.
    """

    def __init__(self, tables: PlanTables, store: RowStore, customers: Customers, pace: ViewPace) -> None:
        self._tables, self._store, self._customers = tables, store, customers
        self._pace, self._share = pace, pace.share()
        self._viewed_rules = [view for planned in tables.plan.rules if (view := _RuleView(tables, planned)).lets]
        wanted = {number for view in self._viewed_rules for number in view.wanted}
        self._reader = FeatureReader(tables, wanted) if wanted else None
        self._profile_names = tables.plan.fields["profile"]
        self._flags = np.zeros(64, np.uint8)
        self._touched: list[Words] = []
        self._touched_rows = 0
        self._decided: set[int] = set()
        self._urgent, self._queue = _Line(), _Line()
        self._cooling: deque[tuple[int, Words]] = deque()
        self._looked_ms: int | None = None

    def touch(self, rows: Words) -> None:
        """Something happened to these customers."""
        self._touched.append(rows)
        self._touched_rows += len(rows)
        if self._touched_rows > _MOST_TOUCHED:
            self._take_in()

    def decided(self, row: int) -> None:
        """Something was decided about a customer."""
        self._decided.add(row)

    def waiting(self, rows: Iterable[int]) -> list[int]:
        """Those of some rows that are to be looked at: they must stay."""
        self._take_in()
        return [row for row in rows if self._flags.item(row) & (_TOUCHED | _URGENT)]

    def step(self, t_ms: int) -> list[bytes]:
        """The views that are due, as lines of JSON.

        ``t_ms``: all events below it have been taken; the views are as of then.
        """
        now_ms = self._pace.clock()
        if self._looked_ms is not None and 0 <= now_ms - self._looked_ms < _LOOK_EVERY_MS:
            return []
        self._looked_ms = now_ms
        self._warm_up(now_ms)
        self._take_in()
        most = self._share.take(now_ms, self._urgent.length + self._queue.length)
        rows = self._due(most)
        if not len(rows):
            return []
        self._share.used(len(rows))
        self._flags[rows] = (self._flags[rows] & ~np.uint8(_TOUCHED | _URGENT)) | _COOLING
        self._cooling.append((now_ms + self._pace.every_ms, rows))
        return self._views(rows, t_ms)

    # --- whose turn it is ------------------------------------------------------------------------

    def _take_in(self) -> None:
        """Put those who were touched in line, unless they were looked at lately."""
        more = len(self._store) - len(self._flags)
        if more > 0:
            self._flags = np.concatenate([self._flags, np.zeros(more + len(self._flags) // 4, np.uint8)])
        if not self._touched and not self._decided:
            return
        decided = np.fromiter(self._decided, np.int64, len(self._decided))
        rows = np.unique(np.concatenate([*self._touched, decided]))
        self._touched.clear()
        self._touched_rows = 0
        self._decided.clear()
        flags = self._flags[rows]
        new_urgent = decided[(self._flags[decided] & _URGENT) == 0]
        self._flags[rows] |= _TOUCHED
        self._flags[decided] |= _URGENT
        self._urgent.add(new_urgent[(self._flags[new_urgent] & _COOLING) == 0])
        self._put_in_line(rows[(flags & (_COOLING | _QUEUED)) == 0])

    def _put_in_line(self, rows: Words) -> None:
        self._flags[rows] |= _QUEUED
        self._queue.add(rows)

    def _warm_up(self, now_ms: int) -> None:
        """Those who were looked at long enough ago are in line again, if there is something new."""
        last_ms = now_ms + self._pace.every_ms  # beyond it are those from before the clock was put back
        while self._cooling and not now_ms < self._cooling[0][0] <= last_ms:
            rows = self._cooling.popleft()[1]
            self._flags[rows] &= ~np.uint8(_COOLING)
            flags = self._flags[rows]
            self._urgent.add(rows[(flags & _URGENT) != 0])
            self._put_in_line(rows[(flags & (_TOUCHED | _QUEUED)) == _TOUCHED])

    def _due(self, most: int) -> Words:
        """Take at most so many from the lines. Who stands in both is looked at once."""
        found: list[Words] = []
        left = most
        while left and self._urgent.length:
            rows = self._urgent.take(left)
            rows = rows[(self._flags[rows] & (_URGENT | _COOLING)) == _URGENT]
            self._flags[rows] &= ~np.uint8(_URGENT | _TOUCHED)
            left -= len(rows)
            found.append(rows)
        while left and self._queue.length:
            rows = self._queue.take(left)
            self._flags[rows] &= ~np.uint8(_QUEUED)
            rows = rows[(self._flags[rows] & (_TOUCHED | _COOLING)) == _TOUCHED]
            left -= len(rows)
            found.append(rows)
        return np.concatenate(found) if found else np.empty(0, np.int64)

    # --- what is seen ----------------------------------------------------------------------------

    def _views(self, rows: Words, t_ms: int) -> list[bytes]:
        if self._reader is None:
            values: list[list[Any]] = [[]] * len(rows)
        else:
            values = self._reader.read(self._store, rows, t_ms)
        return [encode_line(self._view(row, of, t_ms)) for row, of in zip(rows.tolist(), values, strict=True)]

    def _view(self, row: int, values: list[Any], t_ms: int) -> dict[str, Any]:
        customers = self._customers
        evaluation = Evaluation(t_ms, -1, None, row, customers.profile, (), None)
        features = {}
        for view in self._viewed_rules:
            evaluation.lets = {}
            evaluation.features = [values[number] for number in view.features]
            features[view.rule_id] = {name: read(evaluation) for name, read in view.lets}
        profile = evaluation.profile
        customer = customers.by_row.get(row)
        return {
            "customer_id": self._store.id_of(row),
            "as_of": t_ms,
            "profile": None if profile is None else {
                name: value for name, value in zip(self._profile_names, profile, strict=False) if value is not None
            },
            "features": features,
            "tickets": [] if customer is None else list(_open_tickets(customer)),
            "armed": [] if customer is None else [
                {"rule_id": rule_id, "deadline": armed.deadline_ms}
                for rule_id, armed in customer.armed.items() if armed.firing is not None
            ],
        }  # fmt: skip


def _open_tickets(customer: Customer) -> Iterator[dict[str, Any]]:
    """The open ones; of those that are followed also where they stand, and when they will be late next."""
    if not customer.has_tickets:
        return
    followed = {ticket.ticket_id: ticket for ticket in customer.followed}
    for rule_id, holding_id, ticket_id, is_closed in customer.tickets.to_record():
        if not is_closed:
            shown = {"ticket_id": ticket_id, "rule_id": rule_id, "holding_id": holding_id}
            ticket = followed.get(ticket_id)
            yield shown if ticket is None else shown | {"stage": ticket.stage, "due": ticket.due_ms}


class _Line:
    """Rows in the order in which they came."""

    def __init__(self) -> None:
        self._parts: deque[Words] = deque()
        self.length = 0

    def add(self, rows: Words) -> None:
        """Put some at the end."""
        if len(rows):
            self._parts.append(rows)
            self.length += len(rows)

    def take(self, most: int) -> Words:
        """Take some from the beginning: at least one, if there is any, and at most so many."""
        first = self._parts.popleft()
        if len(first) > most:
            self._parts.appendleft(first[most:])
            first = first[:most]
        self.length -= len(first)
        return first


_NEEDS_AN_EVENT = (m.AnchorField, m.HoldingField, m.Novel, m.Sequence, m.Rises, m.Score)


class _RuleView:
    """The ``let`` values of a rule that say something of a customer with whom nothing happens just now."""

    def __init__(self, tables: PlanTables, planned: RulePlan) -> None:
        self.rule_id, self.features = planned.rule.id, planned.features
        numbers = {node: number for number, node in enumerate(tables.plan.customer.aggregates)}
        readers = dict(planned.lets)
        self.lets: list[tuple[str, Reader]] = []
        self.wanted: set[int] = set()
        shown: set[str] = set()
        for name, expr in planned.rule.lets:
            nodes = list(walk(expr))
            if all(_is_lasting(node, shown) for node in nodes):
                shown.add(name)
                self.lets.append((name, readers[name]))
                self.wanted.update(numbers[node] for node in nodes if node in numbers)


def _is_lasting(node: m.Expr, shown: set[str]) -> bool:
    if isinstance(node, m.LetRef):
        return node.name in shown
    return not isinstance(node, _NEEDS_AN_EVENT) and not (isinstance(node, m.Aggregate) and node.per)
