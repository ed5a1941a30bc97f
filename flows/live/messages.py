"""From Kafka messages to the lines that the engine reads: events with their stream, CloudEvents without their covers.

A line is what an event file would hold. A message that can be no event becomes a line that is none either, so that the
decoder finds the fault and the message, as it came, goes to the dead letters.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from confluent_kafka import Message

NOT_JSON = b"-"
"""Stands for messages without anything in them: blank lines would be skipped, a message never is."""

_KEY = b'"stream"'
_ESCAPED = b"\\u00"
"""In a message with this, a key that does not look like it may be ``stream``."""

_SPEC_VERSION = b'"specversion"'
_BINARY_TYPE = "ce_type"


class _Cover(msgspec.Struct):
    """What is looked at of a CloudEvent in structured mode."""

    specversion: str
    type: str
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: str | None = None


class _HasStream(msgspec.Struct):
    stream: msgspec.Raw = msgspec.Raw(b"")


_covers = msgspec.json.Decoder(_Cover)
_streams = msgspec.json.Decoder(_HasStream)

Headers = Sequence[tuple[str, Any]] | None


def line_of(value: bytes | None, headers: Headers, stream: str) -> bytes:
    """The line of a message from a topic of a stream.

    A CloudEvent (structured: the value is the cover; binary: the cover is in the headers) names its stream itself, by
    what its ``type`` ends with.
    """
    if not value:
        return NOT_JSON
    for name, content in headers or ():
        if name == _BINARY_TYPE and content is not None:
            return with_stream(value, _stream_of(content.decode("utf-8", "replace")))
    if _SPEC_VERSION in value:
        try:
            cover = _covers.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # an event with such a field, or no JSON at all
        else:
            data = bytes(cover.data) or _unpacked(cover.data_base64)
            return with_stream(data or value, _stream_of(cover.type))
    return with_stream(value, stream)


def _stream_of(ce_type: str) -> str:
    return ce_type.rpartition(".")[2]


def _unpacked(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def with_stream(value: bytes, stream: str) -> bytes:
    """An event as an event file has it; what is no object stays as it is.

    >>> with_stream(b'{"event_id":"e1"}', "click")
    b'{"stream":"click","event_id":"e1"}'
    """
    if value[:2] == b'{"' and _KEY not in value and _ESCAPED not in value:
        return b'{"stream":%b,' % _quoted(stream) + value[1:]
    return _with_stream_carefully(value, stream)


def _with_stream_carefully(value: bytes, stream: str) -> bytes:
    stripped = value.strip(b" \t\r\n")
    if not stripped.startswith(b"{"):
        return value if value.strip() else NOT_JSON
    if _KEY in stripped or _ESCAPED in stripped:
        try:
            found = _streams.decode(stripped)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return value  # no JSON: the decoder says so
        own = bytes(found.stream)
        if own:  # The topic decides. Of a name that comes twice the last counts.
            return value if own == _quoted(stream) else stripped[:-1] + b',"stream":%b}' % _quoted(stream)
    rest = stripped[1:].lstrip(b" \t\r\n")
    if rest.startswith(b"}"):
        return b'{"stream":%b' % _quoted(stream) + rest
    return b'{"stream":%b,' % _quoted(stream) + rest


_quoted_streams: dict[str, bytes] = {}
_QUOTED_MAX = 1_000


def _quoted(stream: str) -> bytes:
    quoted = _quoted_streams.get(stream)
    if quoted is None:
        if len(_quoted_streams) >= _QUOTED_MAX:  # senders can name what they like
            _quoted_streams.clear()
        quoted = _quoted_streams[stream] = msgspec.json.encode(stream)
    return quoted


def place_of(messages: Sequence[Message]) -> Callable[[int], str]:
    """The source of a message by its number, as dead letters name it."""
    return lambda i: f"{messages[i].topic()}/{messages[i].partition()}/{messages[i].offset()}"


def message_of(messages: Sequence[Message]) -> Callable[[int], bytes]:
    """A message by its number, as it came."""
    return lambda i: messages[i].value() or b""
