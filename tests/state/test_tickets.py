"""Which tickets of a rule are open."""

import random

from state.footprint import deep_bytes
from state.tickets import TicketBook


def test_life_of_a_ticket():
    book, key = TicketBook(), ("rule", None)
    assert book.first_open(key) is None
    book.opened(key, "t1")
    book.opened(key, "t2")
    assert book.first_open(key) == "t1"
    for stage in ("accepted", "analysing", "resolved", "followed_up"):
        book.stage("t1", stage)
        assert book.first_open(key) == "t1"
    book.stage("t1", "closed")
    assert book.first_open(key) == "t2"
    book.stage("t1", "reopened")
    assert book.first_open(key) == "t1"
    assert book.first_open(("rule", "h")) is None
    assert book.first_open(("other", None)) is None


def test_tickets_of_others_are_ignored():
    book = TicketBook()
    for stage in ("accepted", "reopened", "closed"):
        book.stage("from elsewhere", stage)
    book.stage(None, "reopened")
    book.opened(("rule", None), "mine")
    assert book.first_open(("rule", None)) == "mine"


def test_against_a_plain_list():
    rng = random.Random(2)
    book, order, state = TicketBook(), [], {}
    keys = [("a", None), ("a", "h"), ("b", None)]
    for number in range(600):
        if rng.random() < 0.3:
            key, ticket = rng.choice(keys), f"t{number}"
            book.opened(key, ticket)
            order.append((key, ticket))
            state[ticket] = True
        elif order:
            ticket, stage = rng.choice(order)[1], rng.choice(["accepted", "closed", "closed", "reopened"])
            book.stage(ticket, stage)
            state[ticket] = {"closed": False, "reopened": True}.get(stage, state[ticket])
        for key in keys:
            assert book.first_open(key) == next((t for k, t in order if k == key and state[t]), None)


def test_a_record_holds_all_of_it():
    book, other = TicketBook(), ("rule", "h")
    for number, key in enumerate([("rule", None), other, ("rule", None), other]):
        book.opened(key, f"{number:032x}")
    book.stage(f"{1:032x}", "closed")
    again = TicketBook.from_record(book.to_record())
    assert again.to_record() == book.to_record()
    assert (len(again), again.first_open(other), again.first_open(("rule", None))) == (4, f"{3:032x}", f"{0:032x}")
    again.opened(other, f"{1:032x}")  # emitted again: the same ticket, open
    assert (len(again), again.first_open(other)) == (4, f"{1:032x}")
    assert TicketBook.from_record([]).to_record() == []


def test_no_part_of_an_id_is_one():
    book, key = TicketBook(), ("rule", None)
    for ticket in ("t12", "t3"):
        book.opened(key, ticket)
    for other in ("t1", "t12\nt3", "\n", "", "2"):
        book.stage(other, "closed")
    assert book.first_open(key) == "t12"


def test_a_ticket_takes_few_bytes():
    """It is remembered for ever, as it may be reopened."""
    book, ids = TicketBook(), [f"{number:032x}" for number in range(1000)]
    for ticket in ids:
        book.opened(("rule", None), ticket)
        book.stage(ticket, "closed")
    assert deep_bytes([book]) < 48 * len(ids)
