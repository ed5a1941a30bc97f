"""Messages that are no events, and why."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from operators.json_lines import encode_line

NOT_JSON = "not_json"
NOT_OBJECT = "not_object"
UNKNOWN_STREAM = "unknown_stream"
MISSING_FIELD = "missing_field"
WRONG_TYPE = "wrong_type"
BAD_VALUE = "bad_value"
TOO_LONG = "too_long"
FUTURE_TS = "future_ts"

REASONS = (NOT_JSON, NOT_OBJECT, UNKNOWN_STREAM, MISSING_FIELD, WRONG_TYPE, BAD_VALUE, TOO_LONG, FUTURE_TS)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be read as an event.

    ``source`` is ``file:line`` or ``topic/partition/offset``; ``reason`` is one of ``REASONS``; ``field`` is the
    field at fault, or null where the fault is the message as a whole.
    """

    raw: bytes
    source: str
    reason: str
    field: str | None

    def to_json(self) -> bytes:
        """One JSON object without a newline; ``raw`` is text where it is UTF-8 and base64 where it is not."""
        try:
            raw, encoding = self.raw.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            raw, encoding = base64.b64encode(self.raw).decode("ascii"), "base64"
        return encode_line(
            {"raw": raw, "encoding": encoding, "source": self.source, "reason": self.reason, "field": self.field}
        )
