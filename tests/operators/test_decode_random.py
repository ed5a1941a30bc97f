"""The decoder against a plain one written for this test, over lines that were damaged at random."""

import json
import math
import random

import pytest

from config.lexicon import load_lexicon
from operators.annotate import TextAnnotator
from operators.decode import Decoder, PartitionClock
from tests.operators.decoded_rows import rows_of

STREAMS = ["profile", "ticket", "label", "click", "txn", "feedback"]
T0 = 1_760_000_000_000
LATENESS_MS = 10_000
MAX_JUMP_MS = 366 * 86_400_000
annotate = TextAnnotator(load_lexicon())

FIELDS = {
    "profile": ["tier", "aum", "opt_out", "holdings", "vip"],
    "ticket": ["stage", "note", "satisfaction"],
    "label": ["label", "source", "subject_event_id"],
    "click": ["page", "duration_ms", "ts", "extra"],
    "txn": ["amount", "currency", "kind", "balance", "extra", "stream"],
    "feedback": ["score", "sentiment", "topics", "keywords", "extra"],
}
NUMBERS = {"aum", "demand_balance", "satisfaction", "duration_ms", "balance", "score", "sentiment"}
EXTRA = {"vip", "extra"}
STAGES = ["accepted", "analysing", "resolved", "followed_up", "reopened", "closed"]

GOOD = {
    "profile": {"tier": "gold", "aum": 1.5e6, "opt_out": ["survey"], "holdings": [{"holding_id": "h", "amount": 3}]},
    "ticket": {"ticket_id": "t", "stage": "closed", "note": "好", "satisfaction": 4},
    "label": {"subject_event_id": "s", "label": False, "source": "人工"},
    "click": {"page": "首页", "duration_ms": 12, "extra": "x"},
    "txn": {"amount": 12.5, "direction": "in", "currency": "USD", "kind": "fee", "balance": 3, "extra": [1, "a"]},
    "feedback": {"metric": "nps", "score": 3, "text": "转账太慢了", "topics": ["mine"], "extra": True},
}
# fmt: off
VALUES = [
    "null", "true", "false", "0", "-0", "1", "-1", "1.0", "1e3", "-0.0", "0.1", "1e400", "-1e400", "1E-400", "1e12",
    "123456789012345678901234567890", "1000000000000", "1000000000001", "253402300799999", "253402300800000",
    "1760000001000", "1759999000000", "1799000000000", "1760000050000", "9" * 4301, "NaN", "Infinity", "01", "1.",
    '""', '"in"', '"txn"', '"click"', '"closed"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\u0000"', '"\\/"', '"a\tb"',
    '"' + "字" * 65 + '"', '"' + "x" * 129 + '"', "[]", "{}", '["a"]', '["a",1]', "[{}]", "[{},1]", '[{"a":1e999}]',
    '{"a":[1e999,{"b":2}]}', "[[1]]", "[1", "tru", '"a',
]
# fmt: on
PIECES = [b"", b'"', b"\\", b"\\u", b"{", b"]", b",", b"\xff", b"\xe8", b"\0", b"\xed\xa0\x80"]


class RefusedError(Exception):
    pass


def plain_decode(line, high_ms):
    """(kind, …) of one line, in the plainest way: straight down the contract's first section."""
    if not line.strip(b" \t\n\r\x0b\x0c"):
        return ("blank",)
    try:
        event = plain_json(line)
    except (ValueError, RefusedError):
        return ("dead", "not_json", None)
    if not isinstance(event, dict):
        return ("dead", "not_object", None)
    stream = event.get("stream")
    if stream not in STREAMS:
        return ("dead", "unknown_stream", "stream")
    checks = [("event_id", str), ("customer_id", str), ("ts", int)]
    checks += {
        "txn": [("amount", float), ("direction", str)],
        "ticket": [("ticket_id", str), ("stage", str)],
        "label": [("subject_event_id", str), ("label", bool)],
    }.get(stream, [])
    for name, kind in checks:
        value = event.get(name)
        if value is None:
            return ("dead", "missing_field", name)
        if type(value) is not kind and not (kind is float and type(value) is int):
            return ("dead", "wrong_type", name)
        if name in ("event_id", "customer_id"):
            if len(value) > {"event_id": 128, "customer_id": 64}[name]:
                return ("dead", "too_long", name)
            if value == "":
                return ("dead", "bad_value", name)
        if name == "ts" and high_ms is not None and 253402300799999 >= value > high_ms + MAX_JUMP_MS:
            return ("dead", "future_ts", name)
        inside = {
            "ts": lambda v: 0 <= v <= 253402300799999,
            "amount": lambda v: 0 <= v <= 1e12,
            "direction": lambda v: v in ("in", "out"),
            "stage": lambda v: v in STAGES,
        }.get(name, lambda v: True)
        if not inside(value):
            return ("dead", "bad_value", name)
    return ("event", stream, event["event_id"], event["customer_id"], event["ts"], plain_values(stream, event))


def plain_json(line):
    def pairs(items):
        for key, value in items:
            check_text(key)
            check_text(value)
        return dict(items)

    def check_text(value):
        if isinstance(value, str):
            value.encode("utf-8")  # raises UnicodeEncodeError, a ValueError, for a lone surrogate
        elif isinstance(value, list):
            for item in value:
                check_text(item)

    def refuse(name):
        raise RefusedError

    def integer(text):
        return int(text) if len(text.strip("-")) <= 4300 else 10**4300

    value = json.loads(line.decode("utf-8"), object_pairs_hook=pairs, parse_constant=refuse, parse_int=integer)
    check_text(value)
    return value


def plain_values(stream, event):
    found = []
    for name in FIELDS[stream]:
        value = event.get(name)
        if name in EXTRA:
            value = clean(value)
        elif name == "opt_out":
            value = [value] if isinstance(value, str) else value
            value = clean(value) if isinstance(value, list) else None
        elif name == "holdings":
            value = clean(value) if isinstance(value, list) else None
        elif name in ("topics", "keywords"):
            good = isinstance(value, list) and all(isinstance(x, str) for x in value)
            value = value if good else list(getattr(annotate(text_of(event)), name))
        elif name in NUMBERS:
            value = clean(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
            if name == "sentiment" and value is None:
                value = annotate(text_of(event)).sentiment
        elif name not in ("ts", "label", "amount"):
            value = value if isinstance(value, str) else None
            if name == "currency" and value is None:
                value = "CNY"
        found.append(value)
    return tuple(found)


def text_of(event):
    return event["text"] if isinstance(event.get("text"), str) else None


def clean(value):
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if type(value) is int and abs(value) >= 10**4300:
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_line(chance):
    """A line that is good, or has some fields exchanged, or some bytes damaged, or is nonsense."""
    stream = chance.choice(STREAMS)
    event = {"stream": stream, "event_id": f"e{chance.randrange(99)}", "customer_id": "C1"}
    event |= {"ts": T0 + chance.randrange(60_000), "channel": "app"} | GOOD[stream]
    items = [(json.dumps(key, ensure_ascii=chance.random() < 0.5), json.dumps(value)) for key, value in event.items()]
    if chance.random() < 0.3:
        chance.shuffle(items)
    while chance.random() < 0.5:
        at = chance.randrange(len(items))
        choice = chance.randrange(5)
        if choice == 0:
            del items[at]
        elif choice == 1:
            items.insert(at, (items[at][0], chance.choice(VALUES)))  # the later, good one counts
        elif choice == 2:
            items.append((items[at][0], chance.choice(VALUES)))
        else:
            items[at] = (items[at][0], chance.choice(VALUES))
        if not items:
            break
    gap = chance.choice(["", "", " ", "\r", "\t "])
    line = ("{" + ",".join(f"{key}:{gap}{value}" for key, value in items) + "}" + gap).encode()
    if chance.random() < 0.25:
        damaged = bytearray(line)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(3)] = chance.choice(PIECES)
        line = bytes(damaged)
    elif chance.random() < 0.02:
        line = chance.choice([b"", b" \r", b"null", b"[]", b"\xa0", b"\x0b", b"1e5", bytes(chance.randbytes(20))])
    return line.replace(b"\n", b"")


def compare(seed, count):
    chance = random.Random(seed)
    decoder = Decoder(FIELDS, lateness_ms=LATENESS_MS, max_jump_ms=MAX_JUMP_MS, annotate=annotate)
    number, kinds = 1, set()
    while number <= count:
        clock = PartitionClock()
        high_ms = None
        for _ in range(3):  # batches of one partition
            lines = [make_line(chance) for _ in range(chance.randrange(1, 60))]
            decoded = decoder.decode(lines, "f", number, clock)
            events, letters, blanks = [], [], 0
            for offset, line in enumerate(lines):
                kind, *rest = plain_decode(line, high_ms)
                kinds.add((kind, *(rest if kind == "dead" else ())))
                if kind == "blank":
                    blanks += 1
                elif kind == "dead":
                    letters.append((line, f"f:{number + offset}", *rest))
                else:
                    stream, event_id, customer_id, ts, values = rest
                    watermark = ts if high_ms is None else high_ms - LATENESS_MS
                    row = (STREAMS.index(stream), event_id, customer_id, ts, max(ts, watermark), ts < watermark)
                    events.append(repr((*row, line, values)))
                    high_ms = ts if high_ms is None else max(high_ms, ts)
            got = rows_of(decoded)
            columns = (got.stream, got.event_id, got.customer_id, got.ts_ms, got.effective_ms, got.late, got.raw)
            assert [repr(row) for row in zip(*columns, got.values, strict=True)] == events
            assert [(x.raw, x.source, x.reason, x.field) for x in decoded.dead_letters] == letters
            assert decoded.blank_lines == blanks
            assert clock.high_ms == high_ms
            assert len(events) + len(letters) + blanks == len(lines)
            for letter in decoded.dead_letters:
                json.loads(letter.to_json())
            number += len(lines)
    return kinds


@pytest.mark.parametrize("seed", range(4))
def test_damaged_lines_give_what_a_plain_decoder_gives(seed):
    kinds = compare(seed, 5000)
    # The lines are of use only while they reach everything.
    reasons = {kind[1] for kind in kinds if kind[0] == "dead"}
    assert len(reasons) == 8
    assert {"event", "blank"} <= {kind[0] for kind in kinds}
    assert len(kinds) >= 24
