"""Rules that fire: their actions are decided by the contact policy and written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from operators.customers import Customers
from operators.decision import Decision, action_ids, decision_record
from operators.json_lines import encode_line
from operators.outcome import Anchor, Outcome
from operators.policy_gate import PolicyGate
from operators.tables import PlanTables
from operators.ticket_desk import ESCALATE, REOPEN, TicketDesk
from operators.views import ViewBook
from rules.context import Evaluation
from rules.model import Rule
from rules.models import ModelSpec
from rules.plan import RulePlan
from rules.score_keys import TOP, score_key
from state.customer import Customer
from state.log import Words
from state.store import RowStore
from state.tables import MAY_HAVE_TICKETS
from state.timers import HELD, Firing, TimerQueue


def firing_of(
    planned: RulePlan, evaluation: Evaluation, stream: str, anchor_id: str, anchor_ms: int, late: bool,
    holding_id: str | None = None, warm_from_ms: int = 0,
) -> Firing:  # fmt: skip
    """A rule that fires or arms, with everything as it is at this evaluation.

    ``warm_from_ms``: from when on its windows are filled.
    """
    if evaluation.lets:  # some that `when` looked at
        features = {name: read(evaluation) for name, read in planned.lets}
    else:
        features = evaluation.lets
        for name, compute in planned.computes:
            features[name] = compute(evaluation)
    payloads = tuple([render(evaluation) for render in planned.payloads])
    warming = evaluation.t_ms < warm_from_ms
    scores = {model.name: _scored(model, evaluation) for model in planned.models} if planned.models else {}
    return Firing(stream, anchor_id, anchor_ms, late, holding_id, features, payloads, warming, scores)


def _scored(model: ModelSpec, evaluation: Evaluation) -> dict[str, Any]:
    """What a decision says of a model: its version, the score, and the features that contributed most to it."""
    read = evaluation.entity
    score = None if read is None else read(score_key(model.name))
    said: dict[str, Any] = {"version": model.version, "score": score}
    if read is not None and score is not None:
        names = model.feature_names
        top = [(read(score_key(model.name, 1 + n)), read(score_key(model.name, 1 + TOP + n))) for n in range(TOP)]
        said["because"] = {names[number]: round(part, 4) for number, part in top if number is not None}
    return said


class Desk:
    """Decides what has fired for the customers of one shard; what quiet hours hold goes to the ``timers``.

    ``tickets``: follows them, null if the policy says nothing of it. ``out``: where decisions are written; the owner
    sets it anew for each step. ``views``: notes whom they are about, if there are to be views.
    """

    def __init__(
        self, tables: PlanTables, gate: PolicyGate, store: RowStore, customers: Customers, timers: TimerQueue
    ) -> None:
        self._tables, self._rules, self._gate = tables, tables.plan.rules, gate
        self._store, self._customers, self._timers = store, customers, timers
        self.tickets = None if gate.tickets is None else TicketDesk(gate.tickets, self._rules, timers)
        ticket_fields = tables.plan.fields["ticket"]
        self._ticket_columns = [ticket_fields.index(name) for name in ("ticket_id", "stage", "paused", "extend_days")]
        self.out = Outcome()
        self.views = ViewBook(tables, store, customers, tables.views) if tables.views is not None else None

    def touch(self, rows: Words) -> None:
        """Something happened to these customers."""
        if self.views is not None:
            self.views.touch(rows)

    def look(self, t_ms: int) -> None:
        """Write the views that are due; all events below ``t_ms`` have been taken."""
        if self.views is not None:
            self.out.views = self.views.step(t_ms)

    def to_look_at(self, rows: list[int]) -> list[int]:
        """Those of some rows of which there are to be views."""
        return [] if self.views is None else self.views.waiting(rows)

    def decide(self, number: int, row: int, firing: Firing, t_ms: int, indices: tuple[int, ...] | None = None) -> None:
        """Decide the entries of a firing (all, or those that were held) and write what is decided."""
        rule = self._rules[number].rule
        customer, customer_id = self._customers.of(row), self._store.id_of(row)
        wanted = range(len(rule.actions)) if indices is None else indices
        ids = action_ids(rule, customer_id, firing, wanted)
        verdicts, held = self._gate.decide(
            customer, customer_id, partial(self._customers.profile, row), rule, firing, ids, wanted, t_ms,
            paused=rule.id in self._tables.paused,
        )  # fmt: skip
        for verdict in verdicts:
            payload = None
            if verdict.reason is None:
                payload = self._emitted(rule, row, customer, firing, verdict.index, ids[verdict.index], t_ms)
            record = decision_record(rule, customer_id, firing, verdict, ids[verdict.index], t_ms, payload)
            self._write(record, rule.id, verdict.reason)
        if self.views is not None:
            self.views.decided(row)
        if held:
            self._timers.set(self._gate.release_ms(t_ms), HELD, number, row, firing, tuple(held))

    def _emitted(
        self, rule: Rule, row: int, customer: Customer, firing: Firing, index: int, action_id: str, t_ms: int
    ) -> dict[str, Any] | None:
        """What an emitted decision changes, and its payload if that is another than the firing's."""
        kind, payload = rule.actions[index].kind, firing.payloads[index]
        if kind == "ticket":
            self._store.flag(row, MAY_HAVE_TICKETS)
            if self.tickets is not None:
                return self.tickets.opened(rule, row, customer, action_id, firing.holding_id, payload, t_ms)
        elif kind == ESCALATE and self.tickets is not None and payload.get("event") == REOPEN:
            self.tickets.reopen(row, customer, payload.get("ticket_id"), t_ms)
        return None

    def note_ticket(self, anchor: Anchor, customer: Customer) -> None:
        """Take a message about a ticket of a customer who has some."""
        values = [anchor.values[column] for column in self._ticket_columns]
        customer.tickets.stage(values[0], values[1])
        if self.tickets is None:
            customer.set_followed([])  # a policy before this one did; what is missed now can't be made up for
        elif customer.followed:
            self._escalate(anchor.row, self.tickets.told(anchor, customer, self._store.id_of(anchor.row), values))

    def meet_tickets(self, number: int, row: int, t_ms: int) -> None:
        """Tell what the clocks of a customer's tickets of one rule have to tell by now."""
        customer = self._customers.find(row)
        if customer is None:
            return
        if self.tickets is None:
            customer.set_followed([])
        else:
            self._escalate(row, self.tickets.meet(number, row, customer, self._store.id_of(row), t_ms))

    def drop_tickets(self, rows: Iterable[int], t_ms: int) -> None:
        """Follow no more those tickets of some customers that have been closed for long enough."""
        if self.tickets is None:
            return
        for row in rows:
            customer = self._customers.by_row.get(row)  # not ``find``: what it drops need not be written down
            if customer is not None and customer.followed:
                self.tickets.drop_over(customer, t_ms)

    def _escalate(self, row: int, decisions: Iterable[Decision]) -> None:
        for record in decisions:
            self._write(record, record.rule_id, None)
            if self.views is not None:
                self.views.decided(row)

    def _write(self, record: Decision, rule_id: str, reason: str | None) -> None:
        # Encoded at once: a step can decide a great many (the ticks of a year), and a line is a third of a record.
        self.out.lines.append(encode_line(record))
        self.out.counts[("decisions", rule_id, reason or "emitted")] += 1
