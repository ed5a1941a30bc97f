"""What Python remembers of a customer as values of JSON, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from state.contacts import ContactLedger
from state.customer import Armed, Customer
from state.followed_tickets import FollowedTicket
from state.tickets import TicketBook
from state.timers import Firing, Timer

Record = dict[str, Any]


def to_record(customer: Customer | None, timers: Sequence[tuple[str, Timer]]) -> Record:
    """A customer, if anything is remembered, and their timers in order, each with the id of its rule."""
    record: Record = {"timers": [_timer_record(rule_id, timer) for rule_id, timer in timers]}
    if customer is not None:
        record |= {
            "contacts": customer.contacts.to_record(),
            "armed": {
                rule_id: [armed.deadline_ms, None if armed.firing is None else _firing_record(armed.firing)]
                for rule_id, armed in customer.armed.items()
            },
            "rose": [[*key, list(rose)] for key, rose in customer.rose.items()],
            "shadows": {rule_id: ledger.to_record() for rule_id, ledger in customer.shadows.items()},
            "tickets": customer.tickets.to_record() if customer.has_tickets else [],
        }
        if customer.followed:
            record["followed"] = [ticket.to_record() for ticket in customer.followed]
    return record


def customer_of(record: Record) -> Customer | None:
    """The customer of a record; null if it has none."""
    if "contacts" not in record:
        return None
    customer = Customer()
    customer.contacts = ContactLedger.from_record(record["contacts"])
    for rule_id, (deadline_ms, firing) in record["armed"].items():
        customer.arm(rule_id, Armed(deadline_ms, None if firing is None else _firing(firing)))
    for rule_id, holding_id, rose in record["rose"]:
        customer.set_rose((rule_id, holding_id), tuple(rose))
    for rule_id, emitted in record["shadows"].items():
        customer.set_shadow(rule_id, ContactLedger.from_record(emitted))
    if record["tickets"]:
        customer.set_tickets(TicketBook.from_record(record["tickets"]))
    customer.set_followed([FollowedTicket.from_record(ticket) for ticket in record.get("followed", ())])
    return customer


def timers_of(record: Record) -> list[tuple[str, dict[str, Any]]]:
    """The timers of a record in order: the id of the rule, and what ``TimerQueue.set`` takes."""
    return [
        (rule_id, {"at_ms": at_ms, "kind": kind, "indices": tuple(indices),
                   "firing": None if firing is None else _firing(firing)})
        for rule_id, at_ms, kind, indices, firing in record["timers"]
    ]  # fmt: skip


def _timer_record(rule_id: str, timer: Timer) -> list[Any]:
    firing = None if timer.firing is None else _firing_record(timer.firing)
    return [rule_id, timer.at_ms, timer.kind, list(timer.indices), firing]


def _firing_record(firing: Firing) -> list[Any]:
    return [
        firing.anchor_stream, firing.anchor_id, firing.anchor_ms, firing.late, firing.holding_id, firing.features,
        list(firing.payloads), firing.warming, firing.scores,
    ]  # fmt: skip


def _firing(record: list[Any]) -> Firing:
    stream, anchor_id, anchor_ms, late, holding_id, features, payloads, *more = record  # format 1 has nothing more
    return Firing(stream, anchor_id, anchor_ms, late, holding_id, features, tuple(payloads), *more)
