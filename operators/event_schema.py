"""What the six streams' events are made of: the contract's tables as data."""

from __future__ import annotations

from dataclasses import dataclass

EVENT_ID_MAX_CODE_POINTS = 128
CUSTOMER_ID_MAX_CODE_POINTS = 64
TS_MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
AMOUNT_MAX = 10**12
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
        Required("stage", STRING, choices=("accepted", "analysing", "resolved", "followed_up", "reopened", "closed")),
    ),
    "label": (Required("subject_event_id", STRING), Required("label", BOOLEAN)),
    "click": (),
    "txn": (
        Required("amount", NUMBER, least=0, most=AMOUNT_MAX),
        Required("direction", STRING, choices=("in", "out")),
    ),
    "feedback": (),
}
"""The required fields beyond the envelope, in the table's order."""


def _kinds(strings: str, numbers: str = "", **others: str) -> dict[str, str]:
    return dict.fromkeys(["channel", *strings.split()], STRING) | dict.fromkeys(numbers.split(), NUMBER) | others


OPTIONAL: dict[str, dict[str, str]] = {
    "profile": _kinds(
        "tier segment manager_id branch risk_level birthday",
        "aum demand_balance",
        opt_out=STRING_OR_STRINGS,
        holdings=OBJECTS,
    ),
    "ticket": _kinds("actor_id note", "satisfaction"),
    "label": _kinds("source"),
    "click": _kinds("session_id journey step page action query element error_code device_id city", "duration_ms"),
    "txn": _kinds(
        "currency kind account_id counterparty_id merchant_id terminal_id mcc city country device_id status", "balance"
    ),
    "feedback": _kinds(
        "metric text touchpoint survey_id ticket_id", "score sentiment", topics=STRINGS, keywords=STRINGS
    ),
}
"""The kind of every optional field that the contract names; other fields keep whatever JSON value they have."""

ANNOTATED = ("sentiment", "topics", "keywords")
"""The fields of ``feedback`` that the engine adds from ``text``."""
