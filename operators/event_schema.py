"""How the six streams' events are checked when they are read; the fields and their types are ``rules.fields``'."""

from __future__ import annotations

from dataclasses import dataclass

from rules.fields import AMOUNT_MAX, CLOSED_VALUES, FIELDS

EVENT_ID_MAX_CODE_POINTS = 128
CUSTOMER_ID_MAX_CODE_POINTS = 64
DEFAULT_CURRENCY = "CNY"

STRING = "string"
NUMBER = "number"
BOOLEAN = "boolean"
STRINGS = "strings"
STRING_OR_STRINGS = "string or strings"
OBJECTS = "objects"

ENVELOPE = ("stream", "event_id", "customer_id", "ts")
"""Required in every event, in the order in which faults are looked for."""


@dataclass(frozen=True, slots=True)
class Required:
    """A required field: its kind and the values it may have (``choices``) or their range, both ends included."""

    name: str
    kind: str
    choices: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None


REQUIRED: dict[str, tuple[Required, ...]] = {
    "profile": (),
    "ticket": (
        Required("ticket_id", STRING),
        Required("stage", STRING, choices=CLOSED_VALUES["ticket", "stage"]),
    ),
    "label": (Required("subject_event_id", STRING), Required("label", BOOLEAN)),
    "click": (),
    "txn": (
        Required("amount", NUMBER, least=0, most=AMOUNT_MAX),
        Required("direction", STRING, choices=CLOSED_VALUES["txn", "direction"]),
    ),
    "feedback": (),
}
"""The required fields beyond the envelope, in the table's order."""


_LISTS = {"topics": STRINGS, "keywords": STRINGS, "opt_out": STRING_OR_STRINGS, "holdings": OBJECTS}


def _optional(stream: str) -> dict[str, str]:
    required = {*ENVELOPE, *(field.name for field in REQUIRED[stream])}
    return {name: _LISTS.get(name, kind) for name, kind in FIELDS[stream].items() if name not in required}


OPTIONAL: dict[str, dict[str, str]] = {stream: _optional(stream) for stream in REQUIRED}
"""The kind of every optional field that the contract names; other fields keep whatever JSON value they have."""

ANNOTATED = ("sentiment", "topics", "keywords")
"""The fields of ``feedback`` that the engine adds from ``text``."""
