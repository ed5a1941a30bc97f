"""Every series and feature of a plan against a search through the plain list of events."""

import random
import statistics
from decimal import Decimal

import pytest

from rules.plan import Feature, Series
from state.book import SeriesBook
from state.calendar import Periods
from state.event import Event, value_key

ZONE = "Asia/Shanghai"
HOUR_MS = 3_600_000
WINDOWS = [("last", HOUR_MS), ("last", 24 * HOUR_MS), ("prior", 3 * HOUR_MS), ("prior", 48 * HOUR_MS), ("this", 0)]
LONGEST_MS = 48 * HOUR_MS
A, B = 0, 1  # matchers; an event may match none, one or both
VALUES = [0, 1, 1.0, 0.1, 0.2, -2.5, 99.99, 7, None, True, "7", "a", ["a"], {"k": 1}]
SERIES_KIND = {
    "count": "times", "sum": "sums", "mean": "sums", "std": "sums", "min": "minima", "max": "maxima",
    "distinct": "values",
}  # fmt: skip


def number(x):
    return type(x) in (int, float)


def plan():
    """Series, shared where a plan shares them, and features that read them."""
    kinds = ["times", "sums", "minima", "maxima", "values"]
    series = [Series(kind, (A,), (None if kind == "times" else 0,), LONGEST_MS) for kind in kinds]
    features = []
    for op, kind in SERIES_KIND.items():
        for window, size_ms in WINDOWS:
            period = "day" if window == "this" else ""
            features.append(Feature(kinds.index(kind), op, window, size_ms, period, ZONE, window == "prior"))
    features.append(Feature(kinds.index("values"), "novel", "prior", 24 * HOUR_MS, before=True))
    series.append(Series("totals", (A,), (0,)))
    features += [Feature(5, op) for op in ("count", "sum", "mean", "min", "max", "std")]
    series.append(Series("latest", (A,), (0,)))
    features += [Feature(6, "last"), Feature(6, "prev", before=True)]
    series.append(Series("latest", (B,), (None,)))
    features.append(Feature(7, "age", before=True))
    series.append(Series("sequence", (A, B, A), (None, None, None)))
    features += [Feature(8, "seq", "last", size, before=True) for size in (HOUR_MS, 24 * HOUR_MS)]
    series.append(Series("run", (B,), (None,), period="day", timezone=ZONE))
    features.append(Feature(9, "streak"))
    series.append(
        Series("condition_run", (A, B), (0, None), period="day", timezone=ZONE, ops=("sum", "count"), condition=holds)
    )  # fmt: skip
    features.append(Feature(10, "streak"))
    return series, features


def holds(totals):
    return totals[0] >= totals[1]


class Plain:
    """The contract's definitions over a list of events in processing order."""

    def __init__(self, series, features):
        self.series, self.features = series, features
        self.events = []
        self.days = Periods("day", ZONE)

    def matched(self, matcher, events):
        return [event for event in events if event.mask >> matcher & 1]

    def window(self, feature, events, t):
        after = self.days.start_ms(t) - 1 if feature.window == "this" else t - feature.size_ms
        return [event for event in events if after < event.ts_ms <= t]

    def read(self, feature, t, anchor):
        series = self.series[feature.series]
        events = self.events[:-1] if feature.before and anchor is not None else self.events
        if series.kind in ("sequence", "run", "condition_run"):
            return getattr(self, series.kind)(feature, events, t, anchor)
        mine = self.matched(series.matchers[0], events)
        if feature.op == "age":
            return (t - mine[-1].effective_ms) / 1000 if mine else None
        if feature.op in ("last", "prev"):
            return mine[-1].values[0] if mine else None
        inside = self.window(feature, mine, t) if feature.window else mine
        keys = [value_key(event.values[0]) for event in inside if event.values[0] is not None]
        if feature.op == "novel":
            value = None if anchor is None or not anchor.mask >> A & 1 else anchor.values[0]
            return value is not None and value_key(value) not in keys
        if feature.op == "distinct":
            return len(set(keys))
        return len(inside) if feature.op == "count" else aggregate(feature.op, [event.values[0] for event in inside])

    def sequence(self, feature, events, t, anchor):
        if anchor is None or not anchor.mask >> A & 1 or not t - feature.size_ms < anchor.ts_ms:
            return False
        inside = self.window(feature, events, t)
        firsts = [i for i, event in enumerate(inside) if event.mask >> A & 1]
        return any(event.mask >> B & 1 for event in inside[min(firsts) + 1 :]) if firsts else False

    def run(self, feature, events, t, anchor):
        days = {self.days.number(event.effective_ms) for event in self.matched(B, events)}
        length = 0
        while self.days.number(t) - length in days:
            length += 1
        return length

    def condition_run(self, feature, events, t, anchor):
        mine = [event for event in events if event.mask]
        if not mine:
            return 0
        first, length = self.days.number(mine[0].effective_ms), 0
        while (day := self.days.number(t) - length) >= first:
            own = [event for event in mine if self.days.number(event.effective_ms) == day]
            amounts = aggregate("sum", [event.values[0] for event in self.matched(A, own)])
            if not holds([amounts, len(self.matched(B, own))]):
                break
            length += 1
        return length


def aggregate(op, values):
    numbers = [x for x in values if number(x)]
    if not numbers:
        return 0 if op == "sum" else None
    exact = [Decimal(str(x)) for x in numbers]
    total = float(sum(exact)) if any(type(x) is float for x in numbers) else sum(numbers)
    match op:
        case "sum":
            return total
        case "mean":
            return total / len(numbers)
        case "std":
            return statistics.pstdev(numbers)
        case "min":
            return min(numbers)
    return max(numbers)


def same(got, want, op):
    if op in ("std", "mean") and want is not None:
        return got == pytest.approx(want, rel=1e-9, abs=1e-12)
    return (got, type(got)) == (want, type(want)) or (
        number(got) and number(want) and got == want and op in ("min", "max")
    )


@pytest.mark.parametrize(("seed", "late_share"), [(1, 0), (2, 0.3), (3, 0.05)])
def test_against_plain_definitions(seed, late_share):
    rng = random.Random(seed)
    series, features = plan()
    book, plain, row = SeriesBook(series, features), Plain(series, features), {}
    now = 1_760_000_000_000
    for step in range(350):
        now += rng.choice([0, 1, HOUR_MS // 2, HOUR_MS, 3 * HOUR_MS, 20 * HOUR_MS if step % 25 == 0 else 0])
        ts = now - rng.choice([HOUR_MS, 5 * HOUR_MS, 47 * HOUR_MS]) if rng.random() < late_share else now
        mask = rng.choice([0, 1, 1, 2, 3])
        event = Event(now, 4, f"e{step}", "C", b"", ts, ts < now, mask, (rng.choice(VALUES),))
        got = {i: book.readers[i](row, now, event) for i, feature in enumerate(features) if feature.before}
        for add in book.adders(mask):
            add(row, event)
        plain.events.append(event)
        got |= {i: book.readers[i](row, now, event) for i, feature in enumerate(features) if not feature.before}
        for i, feature in enumerate(features):
            want = plain.read(feature, now, event)
            assert same(got[i], want, feature.op), (step, series[feature.series].kind, feature, got[i], want)
        if step % 7 == 0:  # a tick, which has no anchor
            tick = now + rng.choice([0, 1, HOUR_MS])
            now = tick
            for i, feature in enumerate(features):
                got_one, want = book.readers[i](row, tick, None), plain.read(feature, tick, None)
                assert same(got_one, want, feature.op), (step, "tick", feature, got_one, want)


def test_a_row_that_nothing_was_added_to():
    series, features = plan()
    book = SeriesBook(series, features)
    for i, feature in enumerate(features):
        got = book.readers[i]({}, 1_760_000_000_000, None)
        assert got == Plain(series, features).read(feature, 1_760_000_000_000, None), feature


def test_only_the_series_that_a_matcher_feeds_are_touched():
    series, features = plan()
    book = SeriesBook(series, features)
    event = Event(1_760_000_000_000, 4, "e", "C", b"", 1_760_000_000_000, False, 2, (1,))
    row = {}
    for add in book.adders(2):
        add(row, event)
    assert set(row) == {7, 8, 9, 10}
    assert book.adders(0) == ()
