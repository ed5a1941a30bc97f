"""The standard fields of the six streams, their types and their limits.

Any other field is legal too: events keep what they bring. Types are ``string``, ``number``, ``boolean``
and ``list``; a field that is absent here has a type that is known only at run time.
"""

from __future__ import annotations

TS_MAX_MS = 253_402_300_799_999
"""The highest ``ts``: the last millisecond of the year 9999."""

AMOUNT_MAX = 10**12
"""The highest ``amount`` of a transaction, in major units."""

_STRING, _NUMBER, _BOOLEAN, _LIST = "string", "number", "boolean", "list"

_COMMON = {
    "event_id": _STRING,
    "customer_id": _STRING,
    "ts": _NUMBER,
    "channel": _STRING,
    "stream": _STRING,
}


def _typed(kind: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


FIELDS: dict[str, dict[str, str]] = {
    "click": _COMMON
    | _typed(_STRING, "session_id journey step page action query element error_code device_id city")
    | _typed(_NUMBER, "duration_ms"),
    "txn": _COMMON
    | _typed(_NUMBER, "amount balance")
    | _typed(_STRING, "direction currency kind account_id counterparty_id merchant_id terminal_id mcc")
    | _typed(_STRING, "city country device_id status"),
    "feedback": _COMMON
    | _typed(_STRING, "metric text touchpoint survey_id ticket_id")
    | _typed(_NUMBER, "score sentiment")
    | _typed(_LIST, "topics keywords"),
    "profile": _COMMON
    | _typed(_STRING, "tier segment manager_id branch risk_level birthday")
    | _typed(_NUMBER, "aum demand_balance")
    | _typed(_LIST, "opt_out holdings"),
    "ticket": _COMMON | _typed(_STRING, "ticket_id stage actor_id note") | _typed(_NUMBER, "satisfaction"),
    "label": _COMMON | _typed(_STRING, "subject_event_id source") | _typed(_BOOLEAN, "label"),
}
"""Stream -> field -> type."""

HOLDING_FIELDS = _typed(_STRING, "holding_id kind matures_on") | _typed(_NUMBER, "amount")

CLOSED_VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("txn", "direction"): ("in", "out"),
    ("ticket", "stage"): ("accepted", "analysing", "resolved", "followed_up", "reopened", "closed"),
}
"""Fields whose values are checked when an event is read: no other value ever arrives."""

STANDARD_NAMES = frozenset(name for fields in FIELDS.values() for name in fields)
"""Every name that is a standard field of at least one stream."""
