"""Reading: dead letters, the types of fields, lateness and the processing order."""

from __future__ import annotations

import base64
import json
import math
import sys
from dataclasses import dataclass, field
from typing import Any

sys.set_int_max_str_digits(0)

STREAM_ORDER = ["profile", "ticket", "label", "click", "txn", "feedback"]
MAX_TS_MS = 253_402_300_799_999  # the last millisecond of year 9999
STAGES = ("accepted", "analysing", "resolved", "followed_up", "reopened", "closed")

# Optional fields and their types. The contract states none for `label.source`: a string, like every other name.
STRINGS = {
    "click": "session_id journey step page action query element error_code device_id city",
    "txn": "currency kind account_id counterparty_id merchant_id terminal_id mcc city country device_id status",
    "feedback": "metric text touchpoint survey_id ticket_id",
    "profile": "tier segment manager_id branch risk_level birthday",
    "ticket": "actor_id note",
    "label": "source",
}
NUMBERS = {
    "click": "duration_ms",
    "txn": "balance",
    "feedback": "score",
    "profile": "aum demand_balance",
    "ticket": "satisfaction",
    "label": "",
}


@dataclass(eq=False)
class Event:
    """One accepted event. `fields` are typed: a wrong optional one is null."""

    stream: str
    event_id: str
    customer_id: str
    ts: int
    effective: int
    late: bool
    raw: bytes
    fields: dict[str, Any]
    matches: dict[Any, bool] = field(default_factory=dict)  # of selectors, so that each is tried once

    def order(self) -> tuple[Any, ...]:
        return (self.effective, STREAM_ORDER.index(self.stream), self.event_id, self.customer_id, self.raw)


class FaultError(Exception):
    """Why a line is a dead letter."""

    def __init__(self, reason: str, field_name: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field_name


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_strings(value: Any) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # UnicodeEncodeError (a ValueError) for a lone surrogate
    elif isinstance(value, list):
        for entry in value:
            _check_strings(entry)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        _check_strings(key)
        _check_strings(value)
    return dict(pairs)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_json(line: bytes) -> Any:
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant)
        _check_strings(value)
    except (ValueError, RecursionError):
        raise FaultError("not_json") from None
    return value


def _required(message: dict[str, Any], name: str) -> Any:
    if message.get(name) is None:
        raise FaultError("missing_field", name)
    return message[name]


def _required_string(message: dict[str, Any], name: str) -> str:
    value = _required(message, name)
    if not isinstance(value, str):
        raise FaultError("wrong_type", name)
    return value


def _identifier(message: dict[str, Any], name: str, longest: int) -> str:
    value = _required_string(message, name)
    if value == "":
        raise FaultError("bad_value", name)
    if len(value) > longest:
        raise FaultError("too_long", name)
    return value


def check(message: Any, highest_ts: int | None, max_jump_ms: int) -> None:
    """Raise the first fault of a parsed message. `highest_ts` is its partition's so far, None before any."""
    if not isinstance(message, dict):
        raise FaultError("not_object")
    stream = message.get("stream")
    if not isinstance(stream, str) or stream not in STREAM_ORDER:
        raise FaultError("unknown_stream", "stream")
    _identifier(message, "event_id", 128)
    _identifier(message, "customer_id", 64)
    ts = _required(message, "ts")
    if not isinstance(ts, int) or isinstance(ts, bool):
        raise FaultError("wrong_type", "ts")
    if not 0 <= ts <= MAX_TS_MS:
        raise FaultError("bad_value", "ts")
    if max_jump_ms and highest_ts is not None and ts > highest_ts + max_jump_ms:
        raise FaultError("future_ts", "ts")
    if stream == "txn":
        amount = _required(message, "amount")
        if not is_number(amount):
            raise FaultError("wrong_type", "amount")
        if not 0 <= amount <= 10**12:  # 1e400 reads as infinity and fails here
            raise FaultError("bad_value", "amount")
        if _required_string(message, "direction") not in ("in", "out"):
            raise FaultError("bad_value", "direction")
    elif stream == "ticket":
        _required_string(message, "ticket_id")
        if _required_string(message, "stage") not in STAGES:
            raise FaultError("bad_value", "stage")
    elif stream == "label":
        _required_string(message, "subject_event_id")
        if not isinstance(_required(message, "label"), bool):
            raise FaultError("wrong_type", "label")


def typed(message: dict[str, Any]) -> dict[str, Any]:
    """The fields as rules see them: wrong optional types are null, defaults filled in."""
    fields = {name: _finite(value) for name, value in message.items()}
    stream = fields["stream"]
    for name in ["channel", *STRINGS[stream].split()]:
        if not isinstance(fields.get(name), str):
            fields.pop(name, None)
    for name in NUMBERS[stream].split():
        if not is_number(fields.get(name)):
            fields.pop(name, None)
    if stream == "txn":
        fields.setdefault("currency", "CNY")
    if stream == "profile":
        if isinstance(fields.get("opt_out"), str):
            fields["opt_out"] = [fields["opt_out"]]
        for name in ("opt_out", "holdings"):
            if not isinstance(fields.get(name), list):
                fields.pop(name, None)
    return fields


def _finite(value: Any) -> Any:
    """1e400 is JSON, but no double: it counts as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    return value


def dead_letter(line: bytes, source: str, fault: FaultError) -> dict[str, Any]:
    try:
        raw, encoding = line.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        raw, encoding = base64.b64encode(line).decode("ascii"), "base64"
    return {"raw": raw, "encoding": encoding, "source": source, "reason": fault.reason, "field": fault.field}


def read_partition(
    lines: list[bytes], name: str, lateness_ms: int, max_jump_ms: int
) -> tuple[list[Event], list[dict[str, Any]]]:
    """One partition's events in the order read, with their effective times, and its dead letters."""
    events: list[Event] = []
    dead: list[dict[str, Any]] = []
    highest: int | None = None
    for index, line in enumerate(lines):
        if not line.strip(b" \t\r\n"):
            continue
        try:
            message = parse_json(line)
            check(message, highest, max_jump_ms)
        except FaultError as fault:
            dead.append(dead_letter(line, f"{name}:{index + 1}", fault) | {"line": index})
            continue
        ts = message["ts"]
        watermark = ts if highest is None else highest - lateness_ms
        late = ts < watermark
        effective = watermark if late else ts
        highest = ts if highest is None else max(highest, ts)
        identity = (message["stream"], message["event_id"], message["customer_id"])
        events.append(Event(*identity, ts, effective, late, line, typed(message)))
    return events, dead


def drop_duplicates(events: list[Event], dedup_ms: int) -> list[Event]:
    """The events kept, of all of them in processing order."""
    kept: list[Event] = []
    took_effect: dict[tuple[str, str, str], int] = {}
    for event in events:
        key = (event.stream, event.customer_id, event.event_id)
        before = took_effect.get(key)
        if before is not None and event.effective - before < dedup_ms:
            continue
        took_effect[key] = event.effective
        kept.append(event)
    return kept
