"""Lines of several partitions read at once, each partition with its own clock."""

import json
import random
from itertools import accumulate

import numpy as np
import pytest
from test_decode_random import LATENESS_MS, MAX_JUMP_MS, T0, annotate, make_line, plain_decode

from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader, Run
from operators.scan import NO_CEILING
from rules.load import load_rules
from rules.planner import make_plan
from state.sequencer import BEFORE_ALL_MS

RULES = """
version: 1
rules:
  - {id: a, trigger: 'click[page == "in"]', let: {n: 'count(txn[amount > 1], last="1h")'}, then: [{tag: {name: x}}]}
  - {id: b, trigger: 'feedback[score < 3]', then: [{tag: {name: y}}]}
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(RULES)
    rules, problems = load_rules([path])
    assert rules, problems
    plan = make_plan(rules)
    decoder = Decoder(plan.fields, lateness_ms=LATENESS_MS, max_jump_ms=MAX_JUMP_MS, annotate=annotate)
    return ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), (3, 5)))


def click(ts, event_id="e", **fields):
    return json.dumps({"stream": "click", "event_id": event_id, "customer_id": "c", "ts": ts} | fields).encode()


def place(name):
    return lambda i: f"{name}/{i}"


def rows(batch):
    """Everything of the events of a batch, by their messages in the order of the lines."""
    order = np.argsort(batch.raw.starts, kind="stable")
    found = []
    for i in order.tolist():
        texts = [getattr(batch, name).bytes_at(i) for name in ("raw", "event_id", "customer_id")]
        numbers = [int(getattr(batch, name)[i]) for name in ("ts_ms", "effective_ms", "stream", "customer_hash")]
        words = [batch.masks[i].tolist(), batch.words[i].tolist(), batch.hashes[i].tolist()]
        found.append((*texts, *numbers, *words))
    return found


def letters(read):
    return [(x.raw, x.source, x.reason, x.field) for x in read.dead_letters]


def random_clock(chance):
    high = chance.choice([None, T0 - MAX_JUMP_MS, T0 + chance.randrange(90_000)])
    floor = chance.choice([BEFORE_ALL_MS, T0 + chance.randrange(60_000)])
    return PartitionClock(high, floor, chance.choice([NO_CEILING, T0 + chance.randrange(90_000)]))


def copy(clock):
    return PartitionClock(clock.high_ms, clock.floor_ms, clock.latest_ms)


@pytest.mark.parametrize("seed", range(4))
def test_runs_read_at_once_are_as_runs_read_alone(reader, seed):
    chance = random.Random(seed)
    for _ in range(25):
        runs = [[make_line(chance) for _ in range(chance.randrange(12))] for _ in range(chance.randrange(1, 6))]
        clocks = [random_clock(chance) for _ in runs]
        alone = [copy(clock) for clock in clocks]
        parts = [Run(len(lines), clock, place(i)) for i, (lines, clock) in enumerate(zip(runs, clocks, strict=True))]
        read = reader.read_runs([line for lines in runs for line in lines], parts)
        separate = [
            reader.read_runs(lines, [Run(len(lines), clock, place(i))])
            for i, (lines, clock) in enumerate(zip(runs, alone, strict=True))
        ]
        assert rows(read.events) == [row for part in separate for row in rows(part.events)]
        assert letters(read) == [letter for part in separate for letter in letters(part)]
        starts = accumulate((len(lines) for lines in runs), initial=0)
        dead = [start + i for start, part in zip(starts, separate, strict=False) for i in part.dead_lines]
        assert read.dead_lines == dead
        assert read.blank_lines == sum(part.blank_lines for part in separate)
        assert clocks == alone


@pytest.mark.parametrize("seed", range(4))
def test_clocks_against_a_plain_reader(reader, seed):
    """The first fault by the contract's order, effective times by floor and lateness, line by line."""
    chance = random.Random(100 + seed)
    reasons = set()
    for _ in range(25):
        lines = [make_line(chance) for _ in range(40)]
        clock = random_clock(chance)
        high, floor, latest = clock.high_ms, clock.floor_ms, clock.latest_ms
        events, dead = [], []
        for i, line in enumerate(lines):
            ceiling = latest if high is None else min(latest, high + MAX_JUMP_MS)
            kind, *found = plain_decode(line, None if ceiling == NO_CEILING else ceiling - MAX_JUMP_MS)
            if kind == "dead":
                dead.append((line, f"p/{i}", *found))
            elif kind == "event":
                ts = found[3]
                events.append((line, ts, max(ts, floor, -1 if high is None else high - LATENESS_MS)))
                high = ts if high is None else max(high, ts)
        read = reader.read_runs(lines, [Run(len(lines), clock, place("p"))])
        assert [(row[0], row[3], row[4]) for row in rows(read.events)] == events
        assert letters(read) == dead
        assert clock == PartitionClock(high, floor, latest)
        reasons |= {(reason, field) for _, _, reason, field in dead}
    assert {("future_ts", "ts"), ("not_json", None), ("missing_field", "event_id")} <= reasons


def test_one_run_is_what_read_gives(reader):
    chance = random.Random(5)
    lines = [make_line(chance) for _ in range(200)]
    one, other = PartitionClock(), PartitionClock()
    read = reader.read(lines, "f", 1, one)
    as_run = reader.read_runs(lines, [Run(len(lines), other, lambda i: f"f:{i + 1}")])
    assert rows(read.events) == rows(as_run.events)
    assert letters(read) == letters(as_run)
    assert (read.dead_lines, read.blank_lines, one) == (as_run.dead_lines, as_run.blank_lines, other)


def test_a_partition_does_not_look_at_the_clock_of_another(reader):
    slow, fast = PartitionClock(), PartitionClock()
    lines = [click(1_000_000), click(5_000), click(2_000_000), click(2_000)]
    read = reader.read_runs(lines, [Run(1, fast, place("f")), Run(1, slow, place("s")), Run(2, fast, place("f"))])
    assert read.events.effective_ms.tolist() == [1_000_000, 5_000, 2_000_000, 2_000_000 - LATENESS_MS]
    assert (slow.high_ms, fast.high_ms) == (5_000, 2_000_000)


def test_nothing_takes_effect_below_the_floor(reader):
    clock = PartitionClock(None, floor_ms=50_000)
    lines = [click(10_000), click(70_000), click(55_000), click(70_000 - LATENESS_MS - 1), click(49_999)]
    read = reader.read_runs(lines, [Run(len(lines), clock, place("p"))])
    assert read.events.ts_ms.tolist() == [10_000, 70_000, 55_000, 59_999, 49_999]
    assert read.events.effective_ms.tolist() == [50_000, 70_000, 60_000, 60_000, 60_000]
    clock = PartitionClock(None, floor_ms=65_000)
    read = reader.read_runs([click(70_000), click(61_000)], [Run(2, clock, place("p"))])
    assert read.events.effective_ms.tolist() == [70_000, 65_000]


def test_what_is_ahead_of_the_wall_clock_is_a_dead_letter_and_moves_no_clock(reader):
    clock = PartitionClock(T0, latest_ms=T0 + 1_000)
    lines = [click(T0 + 1_000), click(T0 + 1_001), click(T0 + 1_001, page=7, duration_ms="x"), click(T0 - 5)]
    read = reader.read_runs(lines, [Run(len(lines), clock, place("p"))])
    assert letters(read) == [(lines[i], f"p/{i}", "future_ts", "ts") for i in (1, 2)]
    assert read.dead_lines == [1, 2]
    assert clock.high_ms == T0 + 1_000


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"amount": "x", "direction": "in"}, "future_ts", "ts"),
        ({"direction": "sideways"}, "future_ts", "ts"),
        ({"event_id": "", "amount": 1, "direction": "in"}, "bad_value", "event_id"),
        ({"customer_id": "x" * 65, "amount": 1, "direction": "in"}, "too_long", "customer_id"),
        ({"stream": "nonsense"}, "unknown_stream", "stream"),
        ({"ts": 253402300800000, "amount": 1, "direction": "in"}, "bad_value", "ts"),
        ({"ts": float(T0 + 500), "amount": 1, "direction": "in"}, "wrong_type", "ts"),
    ],
)
def test_the_first_fault_counts_where_there_are_several(reader, fields, reason, field):
    event = {"stream": "txn", "event_id": "e", "customer_id": "c", "ts": T0 + 500} | fields
    line = json.dumps(event).encode()
    read = reader.read_runs([line], [Run(1, PartitionClock(latest_ms=T0), place("p"))])
    assert letters(read) == [(line, "p/0", reason, field)]


def test_a_dead_letter_is_the_message_as_it_came(reader):
    came = [b"\xff\x00", b"", json.dumps({"event_id": "e"}).encode()]
    lines = [b"\xff\x00", b"-", b'{"stream":"click","event_id":"e"}']
    good = click(T0)
    runs = [
        Run(1, PartitionClock(), place("a"), lambda _: b"not asked for"),
        Run(3, PartitionClock(), lambda i: f"bank.click/3/{40 + i}", lambda i: came[i]),
    ]
    read = reader.read_runs([good, *lines], runs)
    assert letters(read) == [
        (came[0], "bank.click/3/40", "not_json", None),
        (came[1], "bank.click/3/41", "not_json", None),
        (came[2], "bank.click/3/42", "missing_field", "customer_id"),
    ]
    written = [json.loads(letter.to_json()) for letter in read.dead_letters]
    assert [(x["raw"], x["encoding"]) for x in written] == [
        ("/wA=", "base64"),
        ("", "utf-8"),
        (came[2].decode(), "utf-8"),
    ]
    assert len(read.events) == 1


def test_runs_may_be_empty(reader):
    clocks = [PartitionClock(high_ms=7) for _ in range(3)]
    read = reader.read_runs([click(T0)], [Run(0, clocks[0], place("a")), Run(1, clocks[1], place("b")),
                                          Run(0, clocks[2], place("c"))])  # fmt: skip
    assert (len(read.events), len(read.dead_letters)) == (0, 1)  # more than a year ahead
    assert read.dead_letters[0].source == "b/0"
    nothing = reader.read_runs([], [Run(0, clocks[0], place("a"))])
    assert (len(nothing.events), nothing.dead_letters, clocks[0].high_ms) == (0, [], 7)


def test_lines_may_hold_line_breaks(reader):
    event = {"stream": "click", "event_id": "e1", "customer_id": "c", "ts": T0, "page": "in"}
    pretty = json.dumps(event, indent=2).encode()
    lines = [
        click(T0, "e0"),
        pretty,
        b'{"stream":"click",',
        b'"event_id":"e","customer_id":"c","ts":1}',
        click(T0, "e2"),
    ]
    read = reader.read_runs(lines, [Run(len(lines), PartitionClock(), place("p"))])
    assert [row[1] for row in rows(read.events)] == [b"e0", b"e1", b"e2"]
    assert [row[0] for row in rows(read.events)] == [lines[0], pretty, lines[4]]
    assert read.dead_lines == [2, 3]
