"""Values of JSON as bytes and back, exactly: integers of any size, doubles, halves of surrogate pairs."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def to_json(value: Any) -> bytes:
    """A value as ASCII; tuples become lists."""
    return _encode(value).encode()


def from_json(data: Any) -> Any:
    """The value again, from any buffer."""
    return json.loads(bytes(data))
