"""Single messages and clocks: what becomes of them, by the contract's first and fourth section."""

import base64
import json
import pickle

import pytest

from config.lexicon import load_lexicon
from operators import decode as decode_module
from operators.annotate import TextAnnotator
from operators.dead_letters import DeadLetter
from operators.decode import Decoder, PartitionClock
from rules.model import STREAMS
from tests.operators.decoded_rows import Rows, rows_of

T0 = 1_760_000_000_000
DAY_MS = 86_400_000
annotate = TextAnnotator(load_lexicon())
ENVELOPE = {"event_id": "e1", "customer_id": "C1", "ts": T0}
COMPLETE = {
    "profile": {},
    "ticket": {"ticket_id": "t", "stage": "closed"},
    "label": {"subject_event_id": "s", "label": True},
    "click": {},
    "txn": {"amount": 1, "direction": "in"},
    "feedback": {},
}


def line(stream, drop=(), **fields):
    event = {"stream": stream, **ENVELOPE, **COMPLETE.get(stream, {}), **fields}
    return json.dumps({key: value for key, value in event.items() if key not in drop}, ensure_ascii=False).encode()


def with_json(stream, **texts):
    """A line with fields given as JSON text."""
    return line(stream, drop=texts)[:-1] + "".join(f', "{key}": {text}' for key, text in texts.items()).encode() + b"}"


def decode(*lines, fields=None, clock=None, lateness_ms=10_000, max_jump_ms=366 * DAY_MS, annotate=annotate):
    decoder = Decoder(fields or {}, lateness_ms=lateness_ms, max_jump_ms=max_jump_ms, annotate=annotate)
    return decoder.decode(list(lines), "f.ndjson", 1, clock or PartitionClock())


def fault(message, **options):
    decoded = decode(message, **options)
    assert len(decoded.events) == 0
    (letter,) = decoded.dead_letters
    assert (letter.raw, letter.source) == (message, "f.ndjson:1")
    return letter.reason, letter.field


def value(stream, name, text=None, annotate=annotate, **fields):
    """The value of a field, given as JSON text or not at all."""
    message = with_json(stream, **{name: text}) if text is not None else line(stream, **fields)
    decoded = decode(message, fields={stream: [name]}, annotate=annotate)
    assert decoded.dead_letters == []
    ((result,),) = rows_of(decoded).values
    return result


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_is_read(stream):
    fields = {stream: ["customer_id", "zz", "stream", "ts", "event_id", "channel"]}
    events = rows_of(decode(line(stream, zz=1, channel="app"), fields=fields))
    assert events == Rows(
        stream=[STREAMS.index(stream)],
        event_id=["e1"],
        customer_id=["C1"],
        ts_ms=[T0],
        effective_ms=[T0],
        late=[False],
        raw=[line(stream, zz=1, channel="app")],
        values=[("C1", 1, stream, T0, "e1", "app")],
    )
    assert rows_of(decode(line(stream))).values == [()]


@pytest.mark.parametrize("stream", STREAMS)
def test_required_fields_missing_null_or_of_the_wrong_type(stream):
    for name in ["event_id", "customer_id", "ts", *COMPLETE[stream]]:
        assert fault(line(stream, drop=[name])) == ("missing_field", name)
        assert fault(line(stream, **{name: None})) == ("missing_field", name)
        for wrong in ([], {}, "x" if name in ("ts", "amount", "label") else 1):
            assert fault(line(stream, **{name: wrong})) == ("wrong_type", name)


@pytest.mark.parametrize(
    ("stream", "name", "text", "reason"),
    [
        ("click", "event_id", '""', "bad_value"),
        ("click", "customer_id", '""', "bad_value"),
        ("click", "event_id", f'"{"行" * 129}"', "too_long"),
        ("click", "customer_id", f'"{"😀" * 65}"', "too_long"),
        ("click", "ts", "true", "wrong_type"),
        ("click", "ts", "1.0", "wrong_type"),
        ("click", "ts", "1e3", "wrong_type"),
        ("click", "ts", "1e400", "wrong_type"),
        ("click", "ts", '"1"', "wrong_type"),
        ("click", "ts", "-1", "bad_value"),
        ("click", "ts", "253402300800000", "bad_value"),
        ("click", "ts", "9" * 30, "bad_value"),
        ("click", "ts", "9" * 5000, "bad_value"),
        ("txn", "amount", "true", "wrong_type"),
        ("txn", "amount", '"1"', "wrong_type"),
        ("txn", "amount", "-0.01", "bad_value"),
        ("txn", "amount", "1000000000000.01", "bad_value"),
        ("txn", "amount", "1000000000001", "bad_value"),
        ("txn", "amount", "1e400", "bad_value"),
        ("txn", "amount", "-1e400", "bad_value"),
        ("txn", "amount", "9" * 5000, "bad_value"),
        ("txn", "direction", '"up"', "bad_value"),
        ("txn", "direction", '""', "bad_value"),
        ("ticket", "stage", '"open"', "bad_value"),
        ("label", "label", "1", "wrong_type"),
        ("label", "label", '"true"', "wrong_type"),
    ],
)
def test_required_fields_outside_their_values(stream, name, text, reason):
    assert fault(with_json(stream, **{name: text})) == (reason, name)


@pytest.mark.parametrize(
    ("stream", "name", "text"),
    [
        ("click", "event_id", f'"{"😀" * 128}"'),
        ("click", "customer_id", f'"{"行" * 64}"'),
        ("click", "ts", "0"),
        ("click", "ts", "-0"),
        ("click", "ts", "253402300799999"),
        ("txn", "amount", "0"),
        ("txn", "amount", "1e12"),
        ("txn", "amount", "1000000000000"),
        ("txn", "amount", "12.5"),
        ("ticket", "ticket_id", '""'),
        ("label", "label", "false"),
    ],
)
def test_required_fields_at_the_edge(stream, name, text):
    wanted = json.loads(text)
    found = value(stream, name, text)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize("stream", ["nope", "", "TXN", "txn ", None, 1, True, [], {}, ["txn"]])
def test_unknown_streams(stream):
    message = json.dumps({"stream": stream, **ENVELOPE}).encode()
    assert fault(message) == ("unknown_stream", "stream")


def test_no_stream():
    assert fault(line("click", drop=["stream"])) == ("unknown_stream", "stream")
    assert fault(b"{}") == ("unknown_stream", "stream")


def test_the_first_fault_is_named():
    wrong = {"event_id": 1, "customer_id": 1, "ts": "x", "amount": -1, "direction": 1}
    for name, reason in [
        ("event_id", "wrong_type"),
        ("customer_id", "wrong_type"),
        ("ts", "wrong_type"),
        ("amount", "bad_value"),
        ("direction", "wrong_type"),
    ]:
        # The order of the keys in the message does not count.
        message = json.dumps(dict(reversed({"stream": "txn", **ENVELOPE, **COMPLETE["txn"], **wrong}.items())))
        assert fault(message.encode()) == (reason, name)
        del wrong[name]


@pytest.mark.parametrize("text", ["[]", '"x"', "null", "1", "true", "[{}]", " 1 "])
def test_not_an_object(text):
    assert fault(text.encode()) == ("not_object", None)


# fmt: off
JUNK = [
    "NaN", "Infinity", "-Infinity", "01", "-01", "1.", ".5", "+1", "1e", "-", "--", "0x1", "tru", "True", "None", "nul",
    "'a'", "[1,]", '{"a":1,}', '{"a"}', "{1:2}", "[", "]", "{", "}", '"a', '"\\x"', '"\\u12"', '"\\ud800"', '"\\udc00"',
    '"\\ud83dA"', '"\\ud83d\\n"', '"\\ud83d\\u0041"', '"\\udc00\\ud83d"', '{"\\ud800":1}', "[1", "1,,1", "/**/1",
    '"\t"', '"\0"', "\u00a01", "1\x0c",
]
# fmt: on


@pytest.mark.parametrize("junk", JUNK)
def test_what_is_no_json_is_refused_wherever_it_stands(junk):
    assert fault(with_json("click", page=junk)) == ("not_json", None)
    assert fault(with_json("click", page=junk), fields={"click": ["page"]}) == ("not_json", None)
    assert fault(with_json("click", nobody_reads_this=junk)) == ("not_json", None)
    assert fault(with_json("nope", zz=junk)) == ("not_json", None)
    assert fault(b'{"zz": ' + junk.encode() + b', "zz": 1}') == ("not_json", None)


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"x",
        line("click") + b"x",
        line("click") + b"{}",
        line("click") + b"\0",
        b"\xef\xbb\xbf" + line("click"),
        line("click").decode().encode("utf-16"),
        line("click", zz="?").replace(b"?", b"\xff"),
        line("click", zz="?").replace(b"?", b"\xed\xa0\x80"),
        line("click", zz="?").replace(b"zz", b"\xc0\x80"),
        line("click", zz="?" * 5000).replace(b"?", b"\xe4"),
    ],
)
def test_broken_messages(message):
    assert fault(message) == ("not_json", None)


def test_one_line_that_is_no_utf8_does_not_touch_its_neighbours():
    good, bad = line("click", zz="行"), line("click", zz="?").replace(b"?", b"\xff")
    decoded = decode(good, bad, good, bad)
    assert len(decoded.events) == 2
    assert [letter.source for letter in decoded.dead_letters] == ["f.ndjson:2", "f.ndjson:4"]


@pytest.mark.parametrize("escape", ["\\ud83d\\ude00", "\\\\ud800", "\\uD83D\\uDE00\\ud83d\\ude00", "\\\\\\u0041"])
def test_pairs_of_surrogates_and_escaped_backslashes_are_fine(escape):
    # The second message has a wrong optional field, which sends it through the careful reader.
    for message in (with_json("click", page=f'"{escape}"'), with_json("click", page=f'"{escape}"', city="1")):
        decoded = decode(message, fields={"click": ["page", "city"]})
        assert rows_of(decoded).values == [(json.loads(f'"{escape}"'), None)]


def test_nesting_is_bounded():
    assert fault(with_json("click", zz="[" * 256 + "]" * 256)) == ("not_json", None)
    assert fault(with_json("click", zz='{"a":' * 100_000 + "1" + "}" * 100_000)) == ("not_json", None)
    brackets_in_a_string = '"' + '[\\"' * 5000 + '"'
    wide = "[" + ",".join(["[]"] * 5000) + "]"
    for text in ("[" * 255 + "]" * 255, brackets_in_a_string, wide):
        assert len(decode(with_json("click", zz=text)).events) == 1
        events = rows_of(decode(with_json("click", zz=text, page="1"), fields={"click": ["zz", "page"]}))
        assert pickle.loads(pickle.dumps(events)).values == [(json.loads(text), None)]


def test_a_line_that_is_too_long(monkeypatch):
    monkeypatch.setattr(decode_module, "MAX_LINE_BYTES", 2000)
    assert fault(line("click", zz="x" * 2000)) == ("too_long", None)
    assert len(decode(line("click", zz="x" * 1800)).events) == 1


def test_blank_lines():
    decoded = decode(b"", b" ", b"\t\r", b"\x0b\x0c", line("click"), b"\xc2\xa0")
    assert (decoded.blank_lines, len(decoded.events)) == (4, 1)
    assert [(letter.source, letter.reason) for letter in decoded.dead_letters] == [("f.ndjson:6", "not_json")]


@pytest.mark.parametrize(
    ("first", "second", "name"), [("txn", "click", "click"), ("nope", "click", "click"), ("click", "txn", "txn")]
)
def test_of_keys_that_repeat_the_last_counts(first, second, name):
    message = line(first, amount=1, direction="in", zz=1)[:-1] + f', "zz": 2, "stream": "{second}"}}'.encode()
    events = rows_of(decode(message, fields={name: ["zz"]}))
    assert (events.stream, events.values) == ([STREAMS.index(name)], [(2,)])
    assert fault(message[:-1] + b', "str\\u0065am": "nope"}') == ("unknown_stream", "stream")


@pytest.mark.parametrize(
    ("stream", "name", "text", "wanted"),
    [
        ("txn", "kind", "5", None),
        ("txn", "kind", '["a"]', None),
        ("txn", "kind", "null", None),
        ("txn", "channel", "true", None),
        ("txn", "balance", '"9"', None),
        ("txn", "balance", "true", None),
        ("txn", "balance", "1e400", None),
        ("txn", "balance", "-1e400", None),
        ("txn", "balance", "9" * 5000, None),
        ("txn", "balance", "-0.5", -0.5),
        ("txn", "balance", "7", 7),
        ("txn", "balance", "1" + "0" * 400, 10**400),
        ("txn", "currency", "null", "CNY"),
        ("txn", "currency", "5", "CNY"),
        ("txn", "currency", '""', ""),
        ("txn", "currency", '"USD"', "USD"),
        ("profile", "birthday", '"1990-02-29"', "1990-02-29"),
        ("profile", "opt_out", '"survey"', ["survey"]),
        ("profile", "opt_out", '["survey", "wechat"]', ["survey", "wechat"]),
        ("profile", "opt_out", '["survey", 1, null, ["x"]]', ["survey", 1, None, ["x"]]),
        ("profile", "opt_out", "[]", []),
        ("profile", "opt_out", "1", None),
        ("profile", "opt_out", '{"survey": 1}', None),
        ("profile", "opt_out", "null", None),
        ("profile", "holdings", '[{"holding_id": "h", "amount": 1e400}]', [{"holding_id": "h", "amount": None}]),
        ("profile", "holdings", '[{"holding_id": "h", "x": {"y": [1]}}]', [{"holding_id": "h", "x": {"y": [1]}}]),
        ("profile", "holdings", "[]", []),
        ("profile", "holdings", "[{}, 1]", [{}, 1]),
        ("profile", "holdings", "{}", None),
        ("click", "mood", "true", True),
        ("click", "mood", "1.0", 1.0),
        ("click", "mood", "1", 1),
        ("click", "mood", "-0.0", -0.0),
        ("click", "mood", "123456789012345678901234567890", 123456789012345678901234567890),
        ("click", "mood", '{"a": [1, {"b": 1e999}, -1e999]}', {"a": [1, {"b": None}, None]}),
        ("click", "mood", "1e999", None),
        ("click", "mood", "8" * 4300, 8 * (10**4300 - 1) // 9),
        ("click", "mood", "8" * 4301, None),
        ("click", "mood", '["a", 1, 1.5, null, true]', ["a", 1, 1.5, None, True]),
        ("click", "金额", '"元"', "元"),
        ("click", "__class__", "1", 1),
        ("click", "class", "1", 1),
        ("click", "v0", "1", 1),
    ],
)
def test_optional_and_extra_fields(stream, name, text, wanted):
    found = value(stream, name, text)
    assert found == wanted
    assert type(found) is type(wanted)


def test_missing_optional_fields():
    assert value("txn", "kind") is None
    assert value("txn", "currency") == "CNY"
    assert value("profile", "opt_out") is None
    assert value("profile", "holdings") is None


def test_feedback_is_annotated_but_keeps_what_it_brings():
    text = "提前还款太麻烦了，手机银行闪退"
    made = annotate(text)
    topics, keywords = list(made.topics), list(made.keywords)
    fields = {"feedback": ["keywords", "metric", "sentiment", "text", "topics", "keywords"]}

    def values(**extra):
        (found,) = rows_of(decode(line("feedback", metric="nps", **extra), fields=fields)).values
        return found

    assert values(text=text) == (keywords, "nps", made.sentiment, text, topics, keywords)
    assert values() == ([], "nps", None, None, [], [])
    assert values(text=5) == ([], "nps", None, None, [], [])
    assert values(text=text, sentiment=0, topics=["x"], keywords=[]) == ([], "nps", 0, text, ["x"], [])
    wrong = {"sentiment": "good", "topics": "x", "keywords": ["a", 1]}
    assert values(text=text, **wrong) == values(text=text)
    (only,) = rows_of(decode(line("feedback", text=text), fields={"feedback": ["sentiment"]})).values
    assert only == (made.sentiment,)
    assert value("feedback", "sentiment", "0.25") == 0.25
    unannotated = decode(line("feedback", text=text), fields={"feedback": ["sentiment", "topics"]}, annotate=None)
    assert rows_of(unannotated).values == [(None, [])]
    assert value("click", "sentiment", '"mine"') == "mine"


def test_late_events_take_effect_at_the_watermark_of_their_reading():
    clock = PartitionClock()
    times = [0, 90_000, 80_000, 79_999, 5000, 81_000, 95_000, 84_999]
    events = rows_of(decode(*[line("click", ts=T0 + time) for time in times], clock=clock))
    assert events.late == [False, False, False, True, True, False, False, True]
    assert [time - T0 for time in events.effective_ms] == [0, 90_000, 80_000, 80_000, 80_000, 81_000, 95_000, 85_000]
    assert [time - T0 for time in events.ts_ms] == times
    assert clock == PartitionClock(T0 + 95_000)


def test_the_clock_goes_on_from_batch_to_batch():
    clock = PartitionClock()
    assert rows_of(decode(clock=clock)) == Rows()
    decode(b"x", line("click", drop=["event_id"]), clock=clock)
    assert clock.high_ms is None
    decode(line("click", ts=T0 + 50_000), clock=clock)
    later = decode(line("click"), line("click", ts=T0 + 400 * DAY_MS), clock=clock)
    assert rows_of(later).effective_ms == [T0 + 40_000]
    assert [letter.reason for letter in later.dead_letters] == ["future_ts"]
    assert clock.high_ms == T0 + 50_000


def test_a_jump_into_the_future_moves_nothing():
    limit = 366 * DAY_MS
    decoded = decode(
        line("click", event_id="first", ts=T0),
        line("click", event_id="too far", ts=T0 + limit + 1),
        line("txn", event_id="its ts comes first", ts=T0 + limit + 1, amount=-1),
        line("txn", event_id="bad before", customer_id="", ts=T0 + limit + 1),
        line("click", event_id="just", ts=T0 + limit),
        line("click", event_id="from there", ts=T0 + 2 * limit),
    )
    assert rows_of(decoded).event_id == ["first", "just", "from there"]
    found = [(letter.source[-1], letter.reason, letter.field) for letter in decoded.dead_letters]
    assert found == [("2", "future_ts", "ts"), ("3", "future_ts", "ts"), ("4", "bad_value", "customer_id")]
    assert len(decode(line("click", ts=0), line("click", ts=253402300799999), max_jump_ms=0).events) == 2


def test_dead_letters_as_json():
    text = DeadLetter('{"a": "行\\ud800"'.encode(), "f:7", "not_json", None).to_json()
    assert json.loads(text) == {
        "raw": '{"a": "行\\ud800"',
        "encoding": "utf-8",
        "source": "f:7",
        "reason": "not_json",
        "field": None,
    }
    assert b"\n" not in DeadLetter(b"a\r\x00\x0b", "f:7", "not_json", None).to_json()
    packed = json.loads(DeadLetter(b"\xff\xfe", "t/0/9", "wrong_type", "ts").to_json())
    assert (base64.b64decode(packed["raw"]), packed["encoding"], packed["field"]) == (b"\xff\xfe", "base64", "ts")


def test_sources_of_topics():
    decoder = Decoder({}, lateness_ms=0, max_jump_ms=0, annotate=None)
    decoded = decoder.decode([b"x", b"y"], "topic/3", 70, PartitionClock(), separator="/")
    assert [letter.source for letter in decoded.dead_letters] == ["topic/3/70", "topic/3/71"]


def test_an_unknown_stream_is_no_set_of_fields():
    with pytest.raises(ValueError, match="nope"):
        decode(fields={"nope": []})
