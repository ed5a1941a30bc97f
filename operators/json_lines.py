"""Records as lines of JSON that every reader splits in the same places."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encoder = msgspec.json.Encoder()

# JSON allows these in strings as they are, but readers that split at every Unicode line end (Python's
# `str.splitlines` is one) would cut a record there.
_LINE_ENDS = ((b"\xc2\x85", rb"\u0085"), (b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))


def encode_line(record: Any) -> bytes:
    """A record as one line of JSON, without the newline.

    >>> encode_line({"text": "a\\u2028b"})
    b'{"text":"a\\\\u2028b"}'
    """
    try:
        line = _encoder.encode(record)
    except OverflowError:  # an integer of more than 64 bits, which only the standard encoder writes
        line = _to_json(msgspec.to_builtins(record)).encode()
    if 0xE2 in line or 0xC2 in line:  # their first bytes: one is found much faster than several
        for raw, escaped in _LINE_ENDS:
            line = line.replace(raw, escaped)
    return line
