"""Logs with an index against plain lists: random events, late ones too, through the kernels that the engine runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest

import state.tables
from rules.plan import Feature, Programs, Series
from state.dispatch import SignatureTable
from state.events import Events, value_of
from state.layout import Layout
from state.log import POOL_USED, bounds, index_of
from state.objects import ObjectTable
from state.periods import PeriodTable
from state.reads import row_address
from state.store import RowStore
from state.texts import Texts

STREAM, OTHER_STREAM = 4, 3
MATCHERS = [STREAM, STREAM, OTHER_STREAM]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LONGEST_MS = DAY_MS + HOUR_MS
SERIES = [
    Series(kind, (matcher,), (column,), LONGEST_MS)
    for matcher in range(3)
    for kind, column in (("times", None), ("sums", 0), ("minima", 0), ("maxima", 0), ("values", 1))
]
SERIES.append(Series("values", (1,), (0,), LONGEST_MS))  # of these only whether they are novel is asked
OPS = {
    "times": ["count"],
    "sums": ["sum", "mean", "std"],
    "minima": ["min"],
    "maxima": ["max"],
    "values": ["distinct", "novel"],
}
FEATURES = [
    Feature(index, op, window, size_ms, *(("day", "UTC") if window == "this" else ()))
    for index, series in enumerate(SERIES)
    for op in (OPS[series.kind] if index < 15 else ["novel"])
    for window, size_ms in (("last", 300), ("prior", 40), ("prior", LONGEST_MS), ("this", 0))
    if op != "novel" or window == "prior"
]


@dataclass
class Event:
    """An event of some row. ``mask``: the matchers that match."""

    row: int
    effective_ms: int
    ts_ms: int
    mask: int
    number: Any
    value: str | None

    @property
    def stream(self) -> int:
        return OTHER_STREAM if self.mask & 4 else STREAM

    def column(self, column: int | None) -> Any:
        return self.value if column else self.number


class Engine:
    """The kernels with the features above, every one of which is read after each event."""

    def __init__(self, series: Sequence[Series] = SERIES, features: Sequence[Feature] = FEATURES) -> None:
        slots = {(stream, column): column for stream in (STREAM, OTHER_STREAM) for column in (0, 1)}
        self.layout = Layout(series, features, MATCHERS, slots, slots, Programs())
        self.tables = self.layout.tables()
        self.objects = ObjectTable()
        self.store = RowStore(self.layout, self.tables, PeriodTable(list(self.layout.periods)), self.objects)
        self.signatures = SignatureTable(
            1, self.layout.record_bits, lambda mask: range(len(features)), lambda mask: (), lambda mask: False
        )
        self.features = features
        self.known: dict[Any, int] = {}

    def take(self, events: Sequence[Event]) -> list[list[Any]]:
        """Add events; the values of all features after each."""
        hashes = [[self.hash_of(e.number), self.hash_of(e.value)] for e in events]
        words = [[self.objects.word(e.number), 0] for e in events]
        read = self.take_columns(
            self.rows([e.row for e in events]), np.array([e.effective_ms for e in events]),
            np.array([e.ts_ms for e in events]), np.array([e.stream for e in events], np.uint8),
            np.array([e.mask for e in events], np.uint64), np.array(words), np.array(hashes, np.uint64),
        )  # fmt: skip
        return [
            [value_of(self.store.objects, *cell) for cell in zip(*map(np.ndarray.tolist, columns), strict=True)]
            for columns in zip(read.entity_kind, read.entity_integer, read.entity_double, strict=True)
        ]

    def rows(self, numbers: Sequence[int]) -> Any:
        """Rows of the store, by numbers from 0 on in the order in which they are first named."""
        count = len(numbers)
        nothing = Texts(np.empty(0, np.uint8), np.zeros(count, np.int64), np.zeros(count, np.int32))
        return self.store.rows(np.array(numbers, np.uint64) + 1, nothing)

    def hash_of(self, value: Any) -> int:
        if value is None:
            return 0
        number = self.known.setdefault(value, len(self.known) + 1)
        return number << 3  # so that they meet in the table

    def take_columns(
        self, rows: Any, effective_ms: Any, ts_ms: Any, stream: Any, masks: Any, words: Any, hashes: Any
    ) -> Events:
        """Add events given as columns; the values are in ``entity_…``."""
        shape = len(rows), len(self.features)
        masks = masks.reshape(-1, 1)
        events = Events(
            effective_ms, ts_ms, stream, self.signatures.signatures(masks), masks, words, hashes, rows,
            (np.full(shape, -1), np.zeros(shape, np.int64), np.zeros(shape)),
        )  # fmt: skip
        self.store.answer(self.signatures, events)
        return events

    def is_indexed(self, row: int) -> bool:
        return index_of(self.store.memory, row_address(self.store.memory, row), self.header) != 0

    def records(self, row: int) -> int:
        _, first, end = bounds(self.store.memory, row_address(self.store.memory, row), self.header)
        return end - first

    @property
    def header(self) -> int:
        return int(self.layout.headers[STREAM])


class Model:
    """The same by definition."""

    def __init__(self) -> None:
        self.events: dict[int, list[Event]] = {}

    def take(self, event: Event) -> list[Any]:
        events = self.events.setdefault(event.row, [])
        events.append(event)
        in_order = sorted(events, key=lambda one: one.ts_ms)
        return [self.read(feature, SERIES[feature.series], in_order, event) for feature in FEATURES]

    def read(self, feature: Feature, series: Series, in_order: list[Event], own: Event) -> Any:
        matcher, column = series.matchers[0], series.columns[0]
        after_ms = own.effective_ms - feature.size_ms
        if feature.window == "this":
            after_ms = own.effective_ms // DAY_MS * DAY_MS - 1
        inside = [
            e.column(column)
            for e in in_order
            if e.ts_ms > after_ms and e.mask >> matcher & 1 and (e is not own or feature.window != "prior")
        ]
        if feature.op == "novel":
            x = own.column(column)
            return bool(own.mask >> matcher & 1) and x is not None and x not in inside
        if feature.op == "count":
            return len(inside)
        if feature.op == "distinct":
            return len(set(inside) - {None})
        return aggregate(feature.op, [x for x in inside if x is not None])


def aggregate(op: str, numbers: list[Any]) -> Any:
    if not numbers:
        return 0 if op == "sum" else None
    if op in ("min", "max"):
        return min(numbers) if op == "min" else max(numbers)
    if op == "std":
        return statistics.pstdev(map(as_fraction, numbers))
    total = sum(map(as_fraction, numbers))
    if op == "mean":
        return float(total / len(numbers))
    return int(total) if all(type(x) is int for x in numbers) else float(total)


def as_fraction(x: Any) -> Fraction:
    """What prints with up to four decimals counts as that decimal."""
    written = Fraction(Decimal(repr(x)))
    return written if (written * 10_000).denominator == 1 else Fraction(x)


def random_events(rng: Random, count: int, odd_share: float) -> list[Event]:
    t_ms = 5 * DAY_MS + rng.randrange(DAY_MS)
    events = []
    values = rng.choice([3, 20, 500])
    for _ in range(count):
        t_ms += rng.choice([0, 0, 1, 1, 3, 10]) if rng.random() < 0.9 else rng.choice([500, HOUR_MS])
        t_ms += 2 * DAY_MS if rng.random() < 0.005 else 0
        late_ms = 0 if rng.random() < 0.7 else rng.choice([0, 1, 5, 50, 400, DAY_MS, LONGEST_MS + 1])
        number: Any = rng.choice([rng.randint(-5, 5), rng.randint(-50, 50) / 10, 1, 1.0, None, 10**14, 2.0**46])
        if rng.random() < odd_share:
            number = rng.choice([1e-5, 2**60, -(10**20), 10**20, 1e20, 0.123456])
        events.append(
            Event(
                rng.choice([0, 0, 0, 0, 1, 2]) if events else 0, t_ms, t_ms - rng.randint(0, late_ms), rng.choice([1,
                                                                                                                   3,
                                                                                                                   3,
                                                                                                                   2,
                                                                                                                   4]),
                number,
                rng.choice([None, np.base_repr(rng.randrange(values), 36).lower()]) if rng.random() < 0.3
                else np.base_repr(rng.randrange(values), 36).lower(),
            )
        )  # fmt: skip
    return events


def agree(feature: Feature, got: Any, want: Any, *, exact: bool) -> bool:
    """Whether a value is the expected one; sums are exact of numbers with up to four decimals."""
    if want is not None and (feature.op in ("mean", "std") or (feature.op == "sum" and not exact)):
        return got is not None and type(got) is type(want) and bool(abs(got - want) <= 1e-9 * max(abs(want), 1e-5))
    return type(got) is type(want) and bool(got == want)


@pytest.mark.parametrize(("seed", "long_log"), [(seed, (1, 2, 2, 8, 60)[seed % 5]) for seed in range(10)])
def test_every_feature_is_what_the_list_gives(seed: int, long_log: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.tables, "LONG_LOG", long_log)
    rng = Random(seed)
    engine, model = Engine(), Model()
    odd_share = (0.0, 0.0, 0.01, 0.3)[seed % 4]
    events = random_events(rng, 500, odd_share)
    at, indexed, longest = 0, 0, 0
    while at < len(events):
        some = events[at : at + rng.randint(1, 60)]
        for event, got in zip(some, engine.take(some), strict=True):
            want = model.take(event)
            for feature, x, y in zip(FEATURES, got, want, strict=True):
                assert agree(feature, x, y, exact=odd_share == 0), (
                    at,
                    event,
                    feature,
                    SERIES[feature.series].matchers,
                    x,
                    y,
                )
        at += len(some)
        indexed += engine.is_indexed(0)
        longest = max(longest, engine.records(0))
    assert indexed > 3
    assert longest > 2 * long_log


def test_index_goes_when_the_log_gets_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.tables, "LONG_LOG", 40)
    engine = Engine()
    used, indexed = [], []
    for turn in range(100):  # each time, no window reaches the earlier ones
        start_ms, count = (1 + 2 * turn) * DAY_MS, 200 if turn % 10 == 0 else 10
        events = [Event(0, start_ms + t, start_ms + t, 3, t % 7, str(t % 50)) for t in range(count)]
        model = Model()
        for event in events:
            values = engine.take([event])[-1]
            indexed.append(engine.is_indexed(0))
            if event.ts_ms % 50 == 9:
                model.events = {0: [one for one in events if one.ts_ms < event.ts_ms]}
                assert values == model.take(event)
        used.append(int(engine.store.pool_counters[POOL_USED]))
    assert indexed[199]
    assert not all(indexed[199:])
    assert len(set(used[40:])) == 1, "its blocks are used again"


def test_short_logs_have_no_index() -> None:
    engine = Engine()
    engine.take([Event(0, DAY_MS + t, DAY_MS + t, 1, t, "a") for t in range(state.tables.LONG_LOG)])
    assert not engine.is_indexed(0)
    engine.take([Event(0, DAY_MS + 500, DAY_MS + 500, 1, 1, "a")])
    assert engine.is_indexed(0)


@pytest.mark.parametrize("count", [100_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_sums_stay_exact_over_many_additions_and_evictions(count: int) -> None:
    window_ms, late_ms, chunk, samples = 5_000, 3_000, 50_000, max(2, 2_000_000 // count)
    series = [Series(kind, (0,), (column,), window_ms) for kind, column in (("times", None), ("sums", 0))]
    engine = Engine(
        series, [Feature(int(op != "count"), op, "last", window_ms) for op in ("count", "sum", "mean", "std")]
    )
    rng = np.random.default_rng(7)
    kept_ms, kept_units = np.empty(0, np.int64), np.empty(0, np.int64)
    for start in range(0, count, chunk):
        t_ms = DAY_MS + np.arange(start, start + chunk)
        ts_ms = t_ms - np.where(rng.random(chunk) < 0.001, rng.integers(0, late_ms, chunk), 0)
        units = rng.integers(-(10**10), 10**10, chunk)  # ten-thousandths
        words = np.stack([units << 3 | 2, np.zeros(chunk, np.int64)], axis=1)
        columns = np.full(chunk, STREAM, np.uint8), np.ones(chunk, np.uint64), words, np.zeros((chunk, 2), np.uint64)
        read = engine.take_columns(np.repeat(engine.rows([0]), chunk), t_ms, ts_ms, *columns)
        kept_ms, kept_units = np.concatenate([kept_ms, ts_ms]), np.concatenate([kept_units, units])
        for i in rng.integers(0, chunk, samples).tolist():
            so_far = len(kept_ms) - chunk + i + 1
            inside = kept_units[:so_far][kept_ms[:so_far] > t_ms[i] - window_ms].tolist()
            n, total, squares = len(inside), sum(inside), sum(x * x for x in inside)
            assert read.entity_integer[i, 0] == n
            assert read.entity_double[i, 1] == float(Fraction(total, 10_000))
            assert read.entity_double[i, 2] == pytest.approx(float(Fraction(total, 10_000 * n)), rel=1e-12)
            assert read.entity_double[i, 3] == pytest.approx(math.sqrt(n * squares - total**2) / n / 10_000, rel=1e-9)
        kept_ms, kept_units = kept_ms[-window_ms - late_ms :], kept_units[-window_ms - late_ms :]
    assert engine.is_indexed(0)
