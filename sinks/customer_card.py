"""What the key of a customer holds in Redis: fields with JSON texts, made of what was there and what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

LAST_DECISIONS, MOST_TAGS, MOST_TICKETS = 10, 50, 100
MERGED = ("decisions", "tags", "tickets")
"""Fields of which the new value depends on what is there."""

Fields = dict[bytes | bytearray | memoryview | str | int | float, bytes | bytearray | memoryview | str | int | float]
T = TypeVar("T")


class ShownDecision(msgspec.Struct):
    """What is kept of a decision, of the fields that the contract gives it."""

    action_id: str
    kind: str
    rule_id: str
    rule_class: str = msgspec.field(name="class")
    ts: int
    decision: str
    reason: str | None
    would_be: str | None
    holding_id: str | None
    payload: msgspec.Raw


class Tag(msgspec.Struct):
    """An emitted tag; ``value`` is the payload's, null if it has none."""

    value: Any
    rule_id: str
    ts: int


class Ticket(msgspec.Struct):
    """An open ticket; ``since``: when it was emitted, null if that is not known here.

    ``stage``, ``due``: of one that is followed, where it stands and when it will be late next (ms), if it can be.
    """

    ticket_id: str
    rule_id: str
    holding_id: str | None
    since: int | None = None
    stage: str | None = None
    due: int | None = None


class View(msgspec.Struct):
    """A view as the engine writes it."""

    customer_id: str
    as_of: int
    profile: msgspec.Raw
    features: msgspec.Raw
    tickets: list[Ticket]
    armed: msgspec.Raw


class _Decided(ShownDecision):
    customer_id: str = ""


_decode_view, _decode_decision = msgspec.json.Decoder(View).decode, msgspec.json.Decoder(_Decided).decode
_encode = msgspec.json.Encoder().encode


class News:
    """What is new of one customer: the newest view, and of the decisions what may be shown."""

    __slots__ = ("decisions", "tags", "tickets", "view")

    def __init__(self) -> None:
        self.view: View | None = None
        self.decisions: dict[str, ShownDecision] = {}
        self.tags: dict[str, Tag] = {}
        self.tickets: dict[str, Ticket] = {}

    def add(self, decided: ShownDecision) -> None:
        """Take a decision."""
        self.decisions.pop(decided.action_id, None)
        self.decisions[decided.action_id] = decided
        if len(self.decisions) > 2 * LAST_DECISIONS:
            self.decisions = {one.action_id: one for one in reversed(_newest(self.decisions.values()))}
        if decided.decision != "emitted":
            return
        if decided.kind == "tag":
            payload = msgspec.json.decode(decided.payload)
            name = payload.get("name")
            key = name if isinstance(name, str) and name else decided.rule_id
            _put_tag(self.tags, key, Tag(payload.get("value"), decided.rule_id, decided.ts))
        elif decided.kind == "ticket":
            ticket = Ticket(decided.action_id, decided.rule_id, decided.holding_id, decided.ts)
            _put(self.tickets, decided.action_id, ticket, MOST_TICKETS)


def read_view(line: bytes) -> View:
    """A view from its line."""
    return _decode_view(line)


def read_decision(line: bytes) -> tuple[str, ShownDecision]:
    """Whose a decision is, and what is shown of it."""
    decided = _decode_decision(line)
    return decided.customer_id, ShownDecision(
        decided.action_id, decided.kind, decided.rule_id, decided.rule_class, decided.ts, decided.decision,
        decided.reason, decided.would_be, decided.holding_id, decided.payload,
    )  # fmt: skip


def merged(customer_id: str, stored: Mapping[str, bytes | None], news: News, written_at_ms: int) -> Fields:
    """The fields to be written, by what is stored in those of ``MERGED`` and what is new.

    Doing it again changes nothing but ``written_at``. A stored value that nobody can read counts for nothing.
    """
    fields: Fields = {"customer_id": customer_id, "written_at": written_at_ms}
    decisions = {one.action_id: one for one in reversed(_stored(stored, "decisions", list[ShownDecision], []))}
    for action_id, decided in news.decisions.items():
        decisions.pop(action_id, None)
        decisions[action_id] = decided
    tags = _stored(stored, "tags", dict[str, Tag], {})
    for name, tag in news.tags.items():
        _put_tag(tags, name, tag)
    tickets = {one.ticket_id: one for one in _stored(stored, "tickets", list[Ticket], [])}
    for ticket_id, ticket in news.tickets.items():
        _put(tickets, ticket_id, ticket, MOST_TICKETS)
    view = news.view
    if view is not None:
        tickets = _open_tickets(view, tickets)
        fields |= {
            "as_of": view.as_of, "profile": bytes(view.profile), "features": bytes(view.features),
            "armed": bytes(view.armed),
        }  # fmt: skip
    return fields | {
        "decisions": _encode(_newest(decisions.values())), "tags": _encode(tags),
        "tickets": _encode(list(tickets.values())),
    }  # fmt: skip


def _open_tickets(view: View, known: Mapping[str, Ticket]) -> dict[str, Ticket]:
    """Those that the view has, since when as far as it is known, and those that were emitted after it."""
    found = {one.ticket_id: one for one in view.tickets}
    for ticket_id, ticket in known.items():
        if ticket_id in found:
            found[ticket_id].since = ticket.since
        elif ticket.since is not None and ticket.since >= view.as_of:
            found[ticket_id] = ticket
    return found


def _newest(decisions: Iterable[ShownDecision]) -> list[ShownDecision]:
    """The last ones, the newest first; of those of one time the one that came last."""
    in_order = sorted(decisions, key=lambda one: one.ts)
    return in_order[: -LAST_DECISIONS - 1 : -1]


def _put_tag(tags: dict[str, Tag], name: str, tag: Tag) -> None:
    before = tags.get(name)
    if before is None or before.ts <= tag.ts:
        _put(tags, name, tag, MOST_TAGS)


def _put(into: dict[str, T], key: str, value: T, most: int) -> None:
    into.pop(key, None)
    into[key] = value
    if len(into) > most:
        del into[next(iter(into))]


def _stored(stored: Mapping[str, bytes | None], name: str, kind: type[T], nothing: T) -> T:
    text = stored.get(name)
    try:
        return nothing if text is None else msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return nothing
