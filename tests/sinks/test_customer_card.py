"""What is kept under a customer's key, made of what was there and what is new."""

import json
from typing import Any

import msgspec
import pytest

from sinks.customer_card import News, merged, read_decision, read_view


def decision(number: int, ts: int | None = None, **more: Any) -> bytes:
    record = {
        "action_id": f"a{number}", "kind": "notify", "rule_id": "r", "rule_version": 1, "class": "service",
        "priority": 50, "customer_id": "C", "ts": number if ts is None else ts, "anchor_event_id": "e",
        "holding_id": None, "decision": "emitted", "reason": None, "would_be": None, "open_ticket_id": None,
        "late": False, "features": {"x": 1}, "payload": {"text": "你好"},
    }  # fmt: skip
    return json.dumps(record | more).encode()


def view(as_of: int, tickets: tuple[str, ...] = ()) -> bytes:
    shown = [{"ticket_id": ticket, "rule_id": "r", "holding_id": None} for ticket in tickets]
    return json.dumps(
        {"customer_id": "C", "as_of": as_of, "profile": None, "features": {}, "tickets": shown, "armed": []}
    ).encode()


def news(*lines: bytes) -> News:
    found = News()
    for line in lines:
        if b"as_of" in line:
            found.view = read_view(line)
        else:
            found.add(read_decision(line)[1])
    return found


class Card:
    """The fields of one key."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def take(self, *lines: bytes) -> dict[str, Any]:
        stored = {name: value for name, value in self.fields.items() if isinstance(value, bytes)}
        self.fields |= merged("C", stored, news(*lines), 1)
        return {
            name: json.loads(value) if isinstance(value, bytes) else value for name, value in self.fields.items()
        }  # fmt: skip


def test_a_decision_is_shown_with_what_a_desk_wants_to_know() -> None:
    (shown,) = Card().take(decision(1))["decisions"]
    assert shown == {
        "action_id": "a1", "kind": "notify", "rule_id": "r", "class": "service", "ts": 1, "decision": "emitted",
        "reason": None, "would_be": None, "holding_id": None, "payload": {"text": "你好"},
    }  # fmt: skip


def test_the_last_ten_decisions_newest_first_each_once() -> None:
    card = Card()
    card.take(*[decision(n) for n in range(8)])
    found = card.take(*[decision(n) for n in range(5, 14)])
    assert [one["action_id"] for one in found["decisions"]] == [f"a{n}" for n in range(13, 3, -1)]
    again = card.take(*[decision(n) for n in range(14)], view(20))
    assert again["decisions"] == found["decisions"]
    late = card.take(decision(99, ts=12))
    assert [one["action_id"] for one in late["decisions"]][:3] == ["a13", "a99", "a12"]  # of one time: came last
    assert [one["action_id"] for one in Card().take(*[decision(n) for n in range(100)])["decisions"]] == [
        f"a{n}" for n in range(99, 89, -1)
    ]


def test_tags_are_the_emitted_ones_the_newest_of_each_name() -> None:
    def tag(number: int, name: Any, value: Any, **more: Any) -> bytes:
        return decision(number, kind="tag", payload={"name": name, "value": value}, **more)

    card = Card()
    card.take(tag(1, "mood", "bad"), tag(2, "salary", 5), tag(3, "mood", "good"), tag(4, None, 1))
    found = card.take(tag(2, "mood", "older"), tag(9, "x", 1, decision="suppressed", reason="cap"))
    assert {name: (one["value"], one["ts"]) for name, one in found["tags"].items()} == {
        "mood": ("good", 3), "salary": (5, 2), "r": (1, 4),
    }  # fmt: skip
    many = card.take(*[tag(10 + n, f"t{n}", n) for n in range(60)])
    assert list(many["tags"]) == [f"t{n}" for n in range(10, 60)]


def test_open_tickets_with_the_time_of_their_decision() -> None:
    def ticket(number: int) -> bytes:
        return decision(number, kind="ticket")

    card = Card()
    assert [(one["ticket_id"], one["since"]) for one in card.take(ticket(1), ticket(2))["tickets"]] == [
        ("a1", 1), ("a2", 2),
    ]  # fmt: skip
    found = card.take(view(5, ("a2", "elsewhere")), ticket(7))  # closed: a1; emitted after the view: a7
    assert {one["ticket_id"]: one["since"] for one in found["tickets"]} == {"a2": 2, "elsewhere": None, "a7": 7}
    assert {one["ticket_id"] for one in card.take(view(8, ("a2",)))["tickets"]} == {"a2"}
    again = card.take(ticket(1), ticket(2), ticket(7), view(8, ("a2",)))  # all over again after a crash
    assert {one["ticket_id"]: one["since"] for one in again["tickets"]} == {"a2": 2}


def test_what_nobody_can_read_counts_for_nothing() -> None:
    card = Card()
    card.fields = {"decisions": b"{", "tags": b"[]", "tickets": b"\xff"}
    found = card.take(decision(1))
    assert (len(found["decisions"]), found["tags"], found["tickets"]) == (1, {}, [])


def test_a_line_that_is_no_view_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_view(b'{"customer_id":1}')
