"""The careful way from a message to an event: names the fault, or reads optional fields leniently.

Only messages that the typed decoder refuses come here, so it may take its time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from operators import dead_letters as reasons
from operators import event_schema as schema
from rules.fields import TS_MAX_MS
from rules.model import STREAMS

MAX_INTEGER_DIGITS = 4300
"""Python's own default limit for turning text into an integer and back, because that takes quadratic time."""

MAX_DEPTH = 256
"""Arrays and objects inside each other; more is refused, so that no message can exhaust the stack.

Pickling, by which events go from process to process, takes two frames of Python's thousand a level.
"""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)")
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a message is no event; ``field`` is null where it is the message as a whole."""

    reason: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedEvent:
    """An event that holds everything required; ``values`` in the order asked for."""

    stream: str
    event_id: str
    customer_id: str
    ts_ms: int
    values: tuple[Any, ...]


def parse_json(text: str) -> Any:
    """The JSON value of ``text``; numbers beyond a double's range and beyond 4300 digits become infinite.

    Raises
    ------
    ValueError
        It is no JSON by RFC 8259, has a lone surrogate, or is nested too deeply for the stack.
    """
    if "\\u" in text and _has_lone_surrogate(text):
        raise ValueError("lone surrogate")
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def is_too_deep(line: bytes) -> bool:
    """Whether arrays and objects in ``line`` are nested more than ``MAX_DEPTH`` deep."""
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _BRACKET.finditer(line):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token in b"]}":
            depth -= 1
    return False


def check_event(line: bytes, names: dict[str, Sequence[str]], ceiling_ms: float) -> CheckedEvent | Fault:
    """Read one message.

    Parameters
    ----------
    line
        The message.
    names
        The fields wanted in ``values``, by stream.
    ceiling_ms
        A ``ts`` above this is a ``future_ts``; infinite for no such limit.
    """
    try:
        event = parse_json(line.decode("utf-8"))
    except ValueError:
        return Fault(reasons.NOT_JSON)
    if not isinstance(event, dict):
        return Fault(reasons.NOT_OBJECT)
    stream = event.get("stream")
    if not isinstance(stream, str) or stream not in STREAMS:
        return Fault(reasons.UNKNOWN_STREAM, "stream")
    fault = (
        _check_id(event, "event_id", schema.EVENT_ID_MAX_CODE_POINTS)
        or _check_id(event, "customer_id", schema.CUSTOMER_ID_MAX_CODE_POINTS)
        or _check_ts(event, ceiling_ms)
    )
    if fault:
        return fault
    for required in schema.REQUIRED[stream]:
        fault = _check_required(event, required)
        if fault:
            return fault
    values = tuple(_field(event, stream, name) for name in names[stream])
    return CheckedEvent(stream, event["event_id"], event["customer_id"], event["ts"], values)


def _check_id(event: dict[str, Any], name: str, max_code_points: int) -> Fault | None:
    value = event.get(name)
    if value is None:
        return Fault(reasons.MISSING_FIELD, name)
    if not isinstance(value, str):
        return Fault(reasons.WRONG_TYPE, name)
    if not value:
        return Fault(reasons.BAD_VALUE, name)
    if len(value) > max_code_points:
        return Fault(reasons.TOO_LONG, name)
    return None


def _check_ts(event: dict[str, Any], ceiling_ms: float) -> Fault | None:
    ts_ms = event.get("ts")
    if ts_ms is None:
        return Fault(reasons.MISSING_FIELD, "ts")
    if isinstance(ts_ms, _HugeInteger):
        return Fault(reasons.BAD_VALUE, "ts")
    if type(ts_ms) is not int:
        return Fault(reasons.WRONG_TYPE, "ts")
    if not 0 <= ts_ms <= TS_MAX_MS:
        return Fault(reasons.BAD_VALUE, "ts")
    if ts_ms > ceiling_ms:
        return Fault(reasons.FUTURE_TS, "ts")
    return None


def _check_required(event: dict[str, Any], required: schema.Required) -> Fault | None:
    value = event.get(required.name)
    if value is None:
        return Fault(reasons.MISSING_FIELD, required.name)
    if not _is_kind(value, required.kind):
        return Fault(reasons.WRONG_TYPE, required.name)
    if required.choices and value not in required.choices:
        return Fault(reasons.BAD_VALUE, required.name)
    if required.least is not None and required.most is not None and not required.least <= value <= required.most:
        return Fault(reasons.BAD_VALUE, required.name)
    return None


def _is_kind(value: Any, kind: str) -> bool:
    if kind == schema.STRING:
        return isinstance(value, str)
    if kind == schema.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == schema.BOOLEAN:
        return isinstance(value, bool)
    return isinstance(value, list) and (kind == schema.OBJECTS or all(isinstance(item, str) for item in value))


def _field(event: dict[str, Any], stream: str, name: str) -> Any:
    value = event.get(name)
    kind = schema.OPTIONAL[stream].get(name)
    if kind == schema.STRING_OR_STRINGS:
        return value if isinstance(value, str) else _finite(value) if isinstance(value, list) else None
    if kind is not None and not _is_kind(value, kind):
        return None
    return _finite(value)


def _finite(value: Any) -> Any:
    """The value with null in place of every number that is not finite; changes lists and dicts in place."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    containers = [value]
    while containers:  # no recursion: two frames a level are too many for what the JSON parser lets through
        container = containers.pop()
        if isinstance(container, list):
            items: Any = enumerate(container)
        elif isinstance(container, dict):
            items = container.items()
        else:
            continue
        for key, item in items:
            if isinstance(item, float):
                container[key] = _finite(item)
            else:
                containers.append(item)
    return value


class _HugeInteger(float):
    """An integer of more than ``MAX_INTEGER_DIGITS`` digits: infinite, but an integer where the type matters."""


def _integer(digits: str) -> int | float:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        return _HugeInteger("-inf" if digits.startswith("-") else "inf")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _has_lone_surrogate(text: str) -> bool:
    """Whether an escape in ``text`` is half a surrogate pair."""
    wanted_at = -1  # where the other half of a high surrogate must stand
    for match in _ESCAPE.finditer(text):
        code = int(match[1], 16) if match[1] else 0
        is_low = 0xDC00 <= code <= 0xDFFF
        if is_low != (wanted_at == match.start()) or (wanted_at >= 0 and not is_low):
            return True
        wanted_at = match.end() if 0xD800 <= code <= 0xDBFF else -1
    return wanted_at >= 0
