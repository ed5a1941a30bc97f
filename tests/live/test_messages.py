"""What a message of Kafka is to the engine: the line that an event file would hold, or a dead letter as it came."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.live.messages import NOT_JSON, line_of, with_stream
from operators.dead_letters import DeadLetter
from operators.decode import Decoder, PartitionClock
from operators.decode_slow import CheckedEvent, Fault, check_event
from rules.model import STREAMS

T0 = 1_760_000_000_000
CLICK: dict[str, Any] = {"event_id": "e1", "customer_id": "C1", "ts": T0, "page": "首页"}
NAMES = dict.fromkeys(STREAMS, ("page", "amount", "text", "x"))


def bytes_of(value: Any, **options: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, **options).encode()


def read(line: bytes) -> CheckedEvent | Fault:
    return check_event(line, NAMES, math.inf)


def decoded(line: bytes) -> tuple[list[Any], list[DeadLetter], int]:
    """Events, dead letters and blank lines."""
    found = Decoder(NAMES, lateness_ms=0, max_jump_ms=0, annotate=None).decode([line], "t/0", 7, PartitionClock())
    return [(type(e).__name__, e.event_id, e.ts) for e in found.events], found.dead_letters, found.blank_lines


def stream_of(line: bytes) -> str:
    event = read(line)
    assert isinstance(event, CheckedEvent), (line, event)
    return event.stream


def test_the_topic_gives_the_stream() -> None:
    line = line_of(bytes_of(CLICK), None, "click")
    assert line == b'{"stream":"click",' + bytes_of(CLICK)[1:]
    assert json.loads(line) == CLICK | {"stream": "click"}


@pytest.mark.parametrize("own", ["click", "txn", "nonsense", "", None, 5, True, {"stream": "txn"}, ["click"]])
def test_the_topic_counts_whatever_the_message_says_of_its_stream(own: Any) -> None:
    for event in (CLICK | {"stream": own}, {"stream": own} | CLICK):
        line = line_of(bytes_of(event), None, "click")
        assert json.loads(line) == CLICK | {"stream": "click"}
        assert stream_of(line) == "click"


@pytest.mark.parametrize(
    "own",
    [
        b'"\\u0073tream":"txn"', b'"str\\u0065am":"txn"', b'"stream":"txn","\\u0073tream":"label"',
        b'"stream":"click","stream":"txn"', b'"stream":"txn","stream":"click"', b'"stream":1e999',
        b'"stream":' + b"9" * 5000, b'"stream" : "txn"', b'"stream":"cl\\u0069ck"',
    ],
)  # fmt: skip
def test_no_spelling_of_the_stream_gets_around_the_topic(own: bytes) -> None:
    for value in (bytes_of(CLICK)[:-1] + b"," + own + b"}", b"{" + own + b"," + bytes_of(CLICK)[1:]):
        assert stream_of(line_of(value, None, "click")) == "click"


@pytest.mark.parametrize(
    "event",
    [
        CLICK | {"x": {"stream": "txn"}}, CLICK | {"x": "stream"}, CLICK | {"x": '"stream":"txn"'},
        CLICK | {"x": ["stream"]}, CLICK | {"streams": "txn"}, CLICK | {"Stream": "txn"}, CLICK | {"x": "\u0000\u0007"},
    ],
)  # fmt: skip
def test_a_stream_somewhere_else_in_the_message_means_nothing(event: dict[str, Any]) -> None:
    for value in (bytes_of(event), json.dumps(event).encode(), bytes_of(event, indent=2)):
        assert json.loads(line_of(value, None, "click")) == event | {"stream": "click"}


@pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
@pytest.mark.parametrize(("before", "after"), [("", ""), (" ", "\n"), ("\r\n\t", " \r\n")])
def test_blanks_and_line_breaks_are_no_matter(indent: Any, before: str, after: str) -> None:
    for event in (CLICK, CLICK | {"stream": "txn"}):
        value = before.encode() + bytes_of(event, indent=indent) + after.encode()
        assert json.loads(line_of(value, None, "click")) == CLICK | {"stream": "click"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["event_id", "customer_id", "ts", "page", "amount", "x", "specversion", "type", "Stream"])
objects = st.dictionaries(fields | st.text(max_size=6), json_values, max_size=6).filter(lambda o: "stream" not in o)


@given(objects, st.booleans(), st.sampled_from(STREAMS), st.booleans(), st.sampled_from([None, 1]))
def test_an_object_is_read_as_from_an_event_file(
    found: dict[str, Any], is_event: bool, stream: str, ascii_only: bool, indent: int | None
) -> None:
    if is_event:
        found = found | {"event_id": "e", "customer_id": "c", "ts": 5, "amount": 1, "direction": "in"}
    if isinstance(found.get("specversion"), str) and isinstance(found.get("type"), str):
        del found["type"]  # it would be a CloudEvent
    value = json.dumps(found, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    in_file = json.dumps({"stream": stream} | found, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert read(line_of(value, None, stream)) == read(in_file)


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:stream \t\n\\u0073', max_size=30).map(str.encode))
def test_what_is_no_object_never_becomes_an_event_or_a_blank_line(value: bytes) -> None:
    line = line_of(value, None, "click")
    _, letters, blank = decoded(line)
    assert blank == 0
    try:
        is_object = isinstance(json.loads(value.decode()), dict)
    except ValueError:
        is_object = False
    if not is_object:
        assert [letter.reason for letter in letters] in (["not_json"], ["not_object"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not_json"), (b"", "not_json"), (b" \r\n", "not_json"), (b"\x0b", "not_json"), (b"\x0c\n", "not_json"),
        (b"\x00", "not_json"), (b"garbage", "not_json"), (b"{", "not_json"), (b"{}}", "not_json"),
        (b'{"', "not_json"), (b'{"stream"', "not_json"), (b"\xef\xbb\xbf" + bytes_of(CLICK), "not_json"),
        (b"\xff\xfe{\x00", "not_json"), (bytes_of(CLICK) + b"\x00", "not_json"), (bytes_of(CLICK) * 2, "not_json"),
        (b'{"a":"\xff"}', "not_json"), (b'{"stream":"txn","a":"\xff"}', "not_json"), (b'{"a":"\x00"}', "not_json"),
        (b"[]", "not_object"), (b"null", "not_object"), (b'"stream"', "not_object"), (b"7", "not_object"),
        (b"{}", "missing_field"), (b" { } ", "missing_field"), (b'{"stream":"click"}', "missing_field"),
        (b"[" * 5000 + b"]" * 5000, "not_json"), (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not_json"),
        (b'{"stream":"txn","a":' + b"[" * 5000 + b"]" * 5000 + b"}", "not_json"),
    ],
)  # fmt: skip
def test_a_message_that_is_no_event_becomes_a_dead_letter(value: bytes | None, reason: str) -> None:
    events, letters, blank = decoded(line_of(value, None, "click"))
    assert (events, blank, [letter.reason for letter in letters]) == ([], 0, [reason])


def test_a_huge_message_is_read() -> None:
    event = CLICK | {"x": "很" * 1_000_000}
    for value in (bytes_of(event), bytes_of(event | {"stream": "txn"})):
        assert json.loads(line_of(value, None, "click")) == event | {"stream": "click"}


# --- CloudEvents -------------------------------------------------------------------------------------


def cover(**fields: Any) -> bytes:
    return bytes_of({"specversion": "1.0", "id": "1", "source": "/app", "type": "bank.channel.click"} | fields)


def test_the_data_of_a_structured_cloud_event_is_the_event() -> None:
    line = line_of(cover(data=CLICK), None, "txn")
    assert json.loads(line) == CLICK | {"stream": "click"}
    in_base64 = base64.b64encode(bytes_of(CLICK)).decode()
    assert line_of(cover(data_base64=in_base64), None, "txn") == line
    pretty = json.dumps(json.loads(cover(data=CLICK)), indent=2).encode()
    assert json.loads(line_of(pretty, None, "txn")) == CLICK | {"stream": "click"}


def test_the_type_of_a_cloud_event_ends_in_the_stream() -> None:
    for name in ("click", "bank.click", "com.bank.events.click"):
        assert stream_of(line_of(cover(type=name, data=CLICK | {"stream": "txn"}), None, "label")) == "click"
    unknown = read(line_of(cover(type="com.bank.clicks", data=CLICK), None, "click"))
    assert unknown == Fault("unknown_stream", "stream")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, Fault("missing_field", "event_id")),
        ({"data": None}, Fault("not_object")),
        ({"data": "text"}, Fault("not_object")),
        ({"data": [CLICK]}, Fault("not_object")),
        ({"data": {}}, Fault("missing_field", "event_id")),
        ({"data_base64": "???"}, Fault("missing_field", "event_id")),
        ({"data_base64": "字"}, Fault("missing_field", "event_id")),
        ({"data_base64": ""}, Fault("missing_field", "event_id")),
        ({"data_base64": 5}, Fault("missing_field", "event_id")),
        ({"data_base64": base64.b64encode(b"\xff").decode()}, Fault("not_json")),
    ],
)
def test_a_cloud_event_without_an_event_is_a_dead_letter(fields: dict[str, Any], fault: Fault) -> None:
    assert read(line_of(cover(**fields), None, "click")) == fault


def test_an_event_with_a_field_of_a_cloud_event_is_none() -> None:
    for event in (CLICK | {"specversion": "1.0"}, CLICK | {"type": "bank.txn", "x": "specversion"},
                  CLICK | {"specversion": 1, "type": "bank.txn"}):  # fmt: skip
        assert json.loads(line_of(bytes_of(event), None, "click")) == event | {"stream": "click"}


def test_a_binary_cloud_event_has_its_type_in_the_headers() -> None:
    headers = [("content-type", b"application/json"), ("ce_specversion", b"1.0"), ("ce_type", b"com.bank.click")]
    assert json.loads(line_of(bytes_of(CLICK), headers, "txn")) == CLICK | {"stream": "click"}
    with_such_a_field = CLICK | {"specversion": "1.0"}
    assert stream_of(line_of(bytes_of(with_such_a_field), headers, "txn")) == "click"
    assert line_of(b"", headers, "txn") == line_of(None, headers, "txn") == NOT_JSON
    assert stream_of(line_of(bytes_of(CLICK), [("ce_type", None), ("trace", b"\xff")], "click")) == "click"
    assert read(line_of(bytes_of(CLICK), [("ce_type", b"a.\xff")], "click")) == Fault("unknown_stream", "stream")


def test_senders_can_name_as_many_streams_as_they_like() -> None:
    for number in range(3_000):
        assert json.loads(with_stream(b'{"a":1}', f"s{number}")) == {"stream": f"s{number}", "a": 1}
