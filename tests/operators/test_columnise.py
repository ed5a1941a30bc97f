"""Columns of events against plain rows: masks, words, hashes, times and texts."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from test_decode_random import STAGES, annotate, make_line

from operators import column_masks
from operators.batch import EventBatch
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser, hash_column
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from operators.scan_values import NUMBER
from operators.span_asks import Asked
from operators.spans import SpanColumn
from rules.load import load_rules
from rules.model import STREAMS
from rules.plan import ColumnLayout, Part
from rules.planner import make_plan
from state.exact import SCALE
from state.hashing import text_hashes, value_hash
from state.texts import Texts
from state.words import KIND_BITS, WHOLE, to_python
from tests.operators.decoded_rows import plain_mask, rows_of

KEY = (3, 5)
REQUIRED = ("stream", "event_id", "customer_id", "ts", "ticket_id", "stage", "amount", "direction", "label")

SELECTORS = """
click
click[page == "首页"]
click[page != "首页"]
click[page in ["", "txn", "in"] and duration_ms > 1]
click["x" in page or is_null(duration_ms)]
click[page == "in" and page != "in"]
click[page == "in" and extra == "x"]
click[page == "首页" or extra == True]
click[extra == 1]
click[duration_ms == 12 and not is_null(extra)]
click[duration_ms != 12]
click[duration_ms < 1]
click[1 <= duration_ms <= 1000]
click[0.1 < duration_ms]
click[duration_ms >= 1e20]
click[duration_ms > 9007199254740991]
click[duration_ms > -1.5 and startswith(page, "tx")]
click[1 == 2]
click[1 == 1 and page == "in"]
click[page == event_id]
click[hour(ts) < 9]
click[hour(ts) >= 21 or weekday(ts) == 2 and hour(ts) < 15]
click[page in ["a text of more than 16 bytes", "a text of more tban 16 bytes"]]
click["more than 16" in page]
click[endswith(page, "x")]
click["16 byte" in page and endswith(page, "s")]
click[startswith(page, "a text of mo")]
click[startswith(page, "") and not endswith(page, "页")]
click["" in page]
click[not is_null(extra)]
txn[is_null(balance)]
click[the_name_of_a_long_field == "x"]
txn[amount >= 12.5]
txn[amount > 12.5 and currency == "USD"]
txn[currency == "CNY" and kind in ["fee", "txn"] and amount <= 1000]
txn[amount == 1 or balance == 3]
txn[balance < amount]
txn[stream == "txn" and len(extra) == 2]
txn["a" in extra]
txn[is_null(currency)]
ticket[stage == "closed"]
ticket[stage in ["closed", "resolved"] and satisfaction >= 4]
label[label]
label[not label and source == "人工"]
profile[tier == "gold" and aum > 1000]
profile["survey" in opt_out]
feedback[sentiment <= -0.5]
feedback[sentiment > 0 and score >= 3]
feedback["mine" in topics]
"""

NEVER = 4
"""So many of the selectors hold for no event."""

TEXTS = ["首页", "in", "x", "txn", "", "k3", "fee", "USD", "gold", "x" * 300, None]
TEXTS += [
    "a text of more than 16 bytes",
    "a text of more tban 16 bytes",
    "a text of more than 17 bytes!",
    "a text of more tcan 16 bytes",
]
NUMBERS = [0, 1, 1.0, 12, 12.5, -1.5, 4, 1e20, 2**53, 2**53 + 1, 1e-7, 10**400, 7.5e11, None]
OTHERS = [True, False, 1, 1.0, "x", ["a", "x"], ["a"], {"a": 1}, None]


PIECES = [b"", b'"', b"\\", b"\\u12", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"\xe8", b"\0", b"1", b".", b" "]
STRINGS = ['""', '"a"', '"\\n"', '"\\u00e9\\u8f6c"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\x"', '"\\\\"', '"转账"']
SCALARS = [*STRINGS, "0", "-1.5e-3", "1e999", "null", "true", "fals", "01", ""]


def make_nested(chance, depth):
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(SCALARS[: chance.choice([2, 4, 16, len(SCALARS)])])
    gap = chance.choice(["", " ", "\r"])
    items = [make_nested(chance, depth - 1) for _ in range(chance.randrange(4))]
    if chance.random() < 0.5:
        return f"[{gap}{(gap + ',').join(items)}{gap}]"
    return "{" + gap + ",".join(f"{chance.choice(STRINGS[:4])}{gap}:{item}" for item in items) + gap + "}"


def make_nested_line(chance):
    """A line with arrays and objects that no rule reads, sometimes damaged."""
    text = make_nested(chance, chance.choice([1, 2, 4]))
    if chance.random() < 0.05:
        depth = chance.choice([58, 61, 255, 257])
        text = "[" * depth + text + "]" * depth
    if chance.random() < 0.4:
        damaged = bytearray(text.encode())
        at = chance.randrange(len(damaged) + 1)
        damaged[at : at + chance.randrange(2)] = chance.choice(PIECES)
    else:
        damaged = text.encode()
    return b'{"stream":"click","nest":%b,"event_id":"e","customer_id":"C","ts":1760000000000}' % damaged


def make_event(chance):
    """A line with values that the selectors are about."""
    stream = chance.choice(STREAMS)
    event = {"stream": stream, "event_id": chance.choice(["in", "x", "e"]), "customer_id": f"C{chance.randrange(9)}"}
    event |= {"ts": 1_760_000_000_000 + chance.randrange(90_000_000), "amount": chance.choice([0, 1, 12.5, 13, 40.25])}
    event |= {name: chance.choice(NUMBERS) for name in ("duration_ms", "balance", "aum", "score", "satisfaction")}
    event |= {name: chance.choice(TEXTS) for name in ("page", "currency", "kind", "tier", "source", "text")}
    event |= {"extra": chance.choice(OTHERS), "direction": "in", "ticket_id": "t", "stage": chance.choice(STAGES)}
    event |= {
        "the_name_of_a_long_field": chance.choice(TEXTS),
        "the_name_of_b_long_field": "y",
        "the_name_of_c_long_field": "x",
    }
    event |= {"label": chance.random() < 0.5, "subject_event_id": "e", "sentiment": chance.choice([0.5, -1, None])}
    event |= {"opt_out": chance.choice(["survey", ["survey", "risk"], None]), "topics": chance.choice([["mine"], None])}
    if chance.random() < 0.5:  # what the scanner takes
        event |= {"duration_ms": 12, "extra": chance.choice([True, 1, "x", None]), "balance": 3, "text": "字"}
    kept = {name: x for name, x in event.items() if chance.random() < 0.9 or name in REQUIRED}
    return json.dumps(kept, ensure_ascii=chance.random() < 0.5).encode()


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules = ["version: 1", "timezone: Asia/Shanghai", "rules:"]
    selectors = SELECTORS.strip().splitlines()
    selectors += [f"txn[amount > {n} and kind == 'k{n}']" for n in range(40)]
    for number, selector in enumerate(selectors):
        rules += [f"  - id: r{number}", "    title: x", f"    trigger: '{selector.replace(chr(39), chr(39) * 2)}'"]
        rules += ["    then:", "      - tag: {name: x}"]
    path.write_text("\n".join(rules), encoding="utf-8")
    rule_set, diagnostics = load_rules([path])
    assert rule_set is not None, [str(d) for d in diagnostics if d.severity == "error"]
    return make_plan(rule_set)


def layout_of(plan):
    """All columns are words; all but the first are hashes."""
    words = {stream: tuple(range(len(names))) for stream, names in plan.fields.items()}
    return ColumnLayout(words, {stream: columns[1:] for stream, columns in words.items()})


def whole(row):
    return sum(word << 64 * i for i, word in enumerate(row.tolist()))


def batch_of(columniser, decoded):
    objects, rows = [], decoded.events
    event_id, customer_id = (Texts.from_strings([getattr(row, x) for row in rows]) for x in ("event_id", "customer_id"))
    return EventBatch(
        decoded.effective_ms, decoded.ts_ms, *columniser.tables(decoded.layouts, rows, objects),
        text_hashes(customer_id, KEY), event_id, customer_id, Texts.from_lines(decoded.raw), objects,
    )  # fmt: skip


def check(batch, events, layout, masks):
    values = events.values
    assert [whole(row) for row in batch.masks] == masks
    assert batch.stream.tolist() == events.stream
    assert batch.ts_ms.tolist() == events.ts_ms
    assert batch.effective_ms.tolist() == events.effective_ms
    assert (batch.ts_ms < batch.effective_ms).tolist() == events.late
    for i, stream in enumerate(events.stream):
        assert batch.event_id.bytes_at(i).decode() == events.event_id[i]
        assert batch.customer_id.bytes_at(i).decode() == events.customer_id[i]
        assert batch.raw.bytes_at(i) == events.raw[i]
        assert batch.customer_hash[i] == value_hash(events.customer_id[i], KEY)
        words = [values[i][column] for column in layout.words[STREAMS[stream]]]
        row = batch.words[i].tolist()
        assert repr([to_python(word, batch.objects) for word in row[: len(words)]]) == repr(words)
        assert not any(row[len(words) :])
        hashes = [value_hash(values[i][column], KEY) for column in layout.hashes[STREAMS[stream]]]
        row = batch.hashes[i].tolist()
        assert row[: len(hashes)] == hashes
        assert not any(row[len(hashes) :])


def in_line_order(batch):
    return batch.take(np.argsort(batch.raw.starts, kind="stable"))


def without_data(matcher):
    """The same, to be asked of every event."""
    return replace(matcher, parts=tuple(Part(part.test, part.columns, part.texts) for part in matcher.parts))


@pytest.mark.parametrize("limit", [2, 20_000])
@pytest.mark.parametrize("as_data", [True, False])
def test_columns_are_what_the_lists_are(plan, monkeypatch, limit, as_data):
    monkeypatch.setattr(column_masks, "MEMO_LIMIT", limit)
    matchers = plan.matchers if as_data else list(map(without_data, plan.matchers))
    assert len(matchers) > 64
    layout = layout_of(plan)
    chance = random.Random(limit)
    decoder = Decoder(plan.fields, lateness_ms=10_000, max_jump_ms=366 * 86_400_000, annotate=annotate)
    columniser = Columniser(layout, ColumnMasks(matchers), KEY)
    reader = ColumnReader(plan.fields, decoder, columniser)
    clock, other_clock = PartitionClock(), PartitionClock()
    matched = 0
    for _ in range(60):
        lines = [chance.choice((make_line, make_event, make_nested_line))(chance) for _ in range(chance.randrange(60))]
        if chance.random() < 0.3:
            lines = [line for line in lines if b'"click"' in line]
        decoded = decoder.decode(lines, "f", 1, clock)
        events = rows_of(decoded)
        masks = [plain_mask(matchers, *one) for one in zip(events.stream, events.values, strict=True)]
        if decoded.events:
            check(batch_of(columniser, decoded), events, layout, masks)
        read = reader.read(lines, "f", 1, other_clock)
        check(in_line_order(read.events), events, layout, masks)
        assert (read.dead_letters, read.blank_lines) == (decoded.dead_letters, decoded.blank_lines)
        assert other_clock == clock
        for mask in masks:
            matched |= mask
    assert matched.bit_count() >= len(SELECTORS.strip().splitlines()) - NEVER


def test_plain_messages_need_no_decoder_and_others_do(plan, monkeypatch):
    decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=None)
    reader = ColumnReader(plan.fields, decoder, Columniser(layout_of(plan), ColumnMasks(plan.matchers), KEY))
    start = b'{"stream":"click","event_id":"e","customer_id":"c","ts":1'
    plain = [b',"page":"\xe8\xbd\xac","duration_ms":1.5}', b' , "x" : null }\r', b',"y":-1e9}']
    plain += [b',"x":[{"a":[1,"\\u00e9"]},[]] }', b',"x":"\\n"}']
    others = [b',"page":"\\n"}', b',"page":1}', b',"duration_ms":1e2}', b',"page":[]}', b',"ts":2}']
    others += [b',"x":' + b"[" * 61 + b"]" * 61 + b"}"]
    plain, others = ([start + end for end in ends] for ends in (plain, others))
    left = []
    read_left_over = decoder.read_left_over
    monkeypatch.setattr(decoder, "read_left_over", lambda lines, _: left.extend(lines) or read_left_over(lines, _))
    events = reader.read(plain + others, "f", 1, PartitionClock()).events
    assert [events.raw.bytes_at(i) for i in range(len(events))] == plain + others
    assert left == others


def test_a_time_is_asked_within_its_quarter_of_an_hour_where_something_changes_there():
    asked = []

    def test(values):
        asked.append(values[0])
        return values[0] >= 1_000_000

    times = np.arange(0, 3_600_000, 1000)
    kinds, sizes = np.full(len(times), NUMBER, np.uint8), np.zeros(len(times), np.int32)
    column = SpanColumn(np.empty(0, np.uint8), kinds, times * SCALE << KIND_BITS | WHOLE, sizes, KEY)
    condition = Asked(65, Part(test, (0,), clock=True))
    for _ in range(2):
        masks = np.full((len(times), 2), 7, np.uint64)
        masks[-1] = 0
        condition.narrow(masks, {0: column})
        holds = (times >= 1_000_000) & (times < times[-1])
        assert ((masks[:, 1] & np.uint64(2)) > 0).tolist() == holds.tolist()
        assert (masks[:-1, 0] == 7).all()
    assert len(asked) == 4 * 2 + 2 * 900


def test_nothing_gives_an_empty_batch_of_the_same_widths(plan):
    decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=None)
    reader = ColumnReader(plan.fields, decoder, Columniser(layout_of(plan), ColumnMasks(plan.matchers), KEY))
    one = b'{"stream":"click","event_id":"e","customer_id":"c","ts":1}'
    other = one[:-1] + b',"page":"\\n"}'  # for the decoder
    batches = [
        reader.read(lines, "f", 1, PartitionClock()).events for lines in ([], [b"x"], [one], [other], [other, one])
    ]
    assert [len(batch) for batch in batches] == [0, 0, 1, 1, 2]
    for name in ("masks", "words", "hashes"):
        assert len({(getattr(batch, name).shape[1], getattr(batch, name).dtype) for batch in batches}) == 1


@pytest.mark.parametrize(
    "values", [["a", "b", ""], ["a", None, "\0"], [None, None], [1, 1.0, "1", True, None, [1], {"a": 1.0}], [0.5, -0.0]]
)
def test_columns_hash_as_their_values(values):
    assert hash_column(values, KEY).tolist() == [value_hash(value, KEY) for value in values]
