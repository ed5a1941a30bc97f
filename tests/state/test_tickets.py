"""Which tickets of a rule are open."""

import random

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
