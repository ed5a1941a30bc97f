"""Every series and feature of a plan against a search through the plain list of events."""

import random
import statistics
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from rules import opcodes as p
from rules.plan import Feature, Series
from state.calendar import Periods
from state.equality import value_key
from tests.state.rows import Happening, Rows

ZONE = "Asia/Shanghai"
HOUR_MS = 3_600_000
WINDOWS = [("last", HOUR_MS), ("last", 24 * HOUR_MS), ("prior", 3 * HOUR_MS), ("prior", 48 * HOUR_MS), ("this", 0)]
LONGEST_MS = 48 * HOUR_MS
START_MS = 1_760_000_000_000
A, B = 0, 1  # matchers; an event may match none, one or both
VALUES = [0, 1, 1.0, 0.1, 0.2, -2.5, 99.99, 7, 1e15 + 0.25, 1e-5, None, True, "7", "a", ["a"], {"k": 1}]
SERIES_KIND = {
    "count": "times", "sum": "sums", "mean": "sums", "std": "sums", "min": "minima", "max": "maxima",
    "distinct": "values",
}  # fmt: skip
AMOUNT_AT_LEAST_COUNT = [(p.PART, 1), (p.PART, 0), (p.LESS_EQUAL, 0)]


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
            features.append(Feature(kinds.index(kind), op, window, size_ms, period, ZONE))
    features.append(Feature(kinds.index("values"), "novel", "prior", 24 * HOUR_MS))
    series.append(Series("totals", (A,), (0,), ops=("std",)))
    features += [Feature(5, op) for op in ("count", "sum", "mean", "min", "max", "std")]
    series.append(Series("latest", (A,), (0,)))
    features += [Feature(6, "last"), Feature(6, "prev")]
    series.append(Series("latest", (B,), (None,)))
    features.append(Feature(7, "age"))
    series.append(Series("sequence", (A, B, A), (None, None, None)))
    features += [Feature(8, "seq", "last", size) for size in (HOUR_MS, 24 * HOUR_MS)]
    series.append(Series("run", (B,), (None,), period="day", timezone=ZONE))
    features.append(Feature(9, "streak"))
    series.append(
        Series("condition_run", (A, B), (0, None), period="day", timezone=ZONE, ops=("sum", "count"), program=0)
    )
    features.append(Feature(10, "streak"))
    return series, features


@dataclass(frozen=True)
class Seen:
    effective_ms: int
    ts_ms: int
    mask: int
    value: Any


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
        before = feature.window == "prior" or feature.op in ("prev", "age", "novel", "seq")
        events = self.events[:-1] if before and anchor is not None else self.events
        if series.kind in ("sequence", "run", "condition_run"):
            return getattr(self, series.kind)(feature, events, t, anchor)
        mine = self.matched(series.matchers[0], events)
        if feature.op == "age":
            return (t - mine[-1].effective_ms) / 1000 if mine else None
        if feature.op in ("last", "prev"):
            return mine[-1].value if mine else None
        inside = self.window(feature, mine, t) if feature.window else mine
        keys = [value_key(event.value) for event in inside if event.value is not None]
        if feature.op == "novel":
            value = None if anchor is None or not anchor.mask >> A & 1 else anchor.value
            return value is not None and value_key(value) not in keys
        if feature.op == "distinct":
            return len(set(keys))
        return len(inside) if feature.op == "count" else aggregate(feature.op, [event.value for event in inside])

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
            amounts = aggregate("sum", [event.value for event in self.matched(A, own)])
            if not amounts >= len(self.matched(B, own)):
                break
            length += 1
        return length


def aggregate(op, values):
    numbers = [x for x in values if number(x)]
    if not numbers:
        return 0 if op == "sum" else None
    exact = [Decimal(str(x)) if Decimal(str(x)) * 10_000 % 1 == 0 else Decimal(x) for x in numbers]
    total = float(sum(exact)) if any(type(x) is float for x in numbers) else sum(numbers)
    match op:
        case "sum":
            return total
        case "mean":
            return total / len(numbers)
        case "std":
            return statistics.pstdev(exact)
        case "min":
            return min(numbers)
    return max(numbers)


def same(got, want, op):
    if op in ("std", "mean") and want is not None:
        return got == pytest.approx(float(want), rel=1e-9, abs=1e-12)
    return (got, type(got)) == (want, type(want)) or (
        number(got) and number(want) and got == want and op in ("min", "max")
    )


def check(plain, t, anchor, got, where):
    for feature, value in zip(plain.features, got, strict=True):
        want = plain.read(feature, t, anchor)
        assert same(value, want, feature.op), (where, plain.series[feature.series].kind, feature, value, want)


@pytest.mark.parametrize(
    ("seed", "late_share", "most_together"), [(1, 0, 1), (2, 0.3, 1), (3, 0.05, 40), (4, 0.3, 40), (5, 1, 7)]
)
def test_against_plain_definitions(seed, late_share, most_together):
    """Three customers' events, one at a time or many in one step, with ticks in between."""
    rng = random.Random(seed)
    series, features = plan()
    rows = Rows(series, features, [AMOUNT_AT_LEAST_COUNT])
    plains = {row: Plain(series, features) for row in "CDE"}
    rows.make(plains)
    now, taken = START_MS, 0
    while taken < 350:
        step = []
        for _ in range(rng.randrange(1, most_together + 1)):
            now += rng.choice([0, 1, HOUR_MS // 2, HOUR_MS, 3 * HOUR_MS, 20 * HOUR_MS if rng.random() < 0.04 else 0])
            ts = now - rng.choice([HOUR_MS, 5 * HOUR_MS, 47 * HOUR_MS]) if rng.random() < late_share else now
            step.append(Happening(ts, rng.choice(VALUES), rng.choice([0, 1, 1, 2, 3]), now, rng.choice("CCCDE")))
        taken += len(step)
        for event, got in zip(step, rows.add(step), strict=True):
            plain, anchor = plains[event.row], Seen(event.at_ms, event.ts_ms, event.mask, event.value)
            plain.events.append(anchor)
            check(plain, event.at_ms, anchor, got, event)
        if rng.random() < 0.15:
            now += rng.choice([0, 1, HOUR_MS])
            for row, got in rows.tick(now).items():
                check(plains[row], now, None, got, "tick")


def test_a_row_that_nothing_was_added_to():
    series, features = plan()
    rows = Rows(series, features, [AMOUNT_AT_LEAST_COUNT])
    rows.make(["C"])
    check(Plain(series, features), START_MS, None, rows.tick(START_MS)["C"], "nothing")


def test_only_what_a_matcher_feeds_changes_a_row():
    series, features = plan()
    layout = Rows(series, features, [AMOUNT_AT_LEAST_COUNT]).layout
    kinds = [one.kind for one in series if one.kind not in ("times", "sums", "minima", "maxima", "values")]
    fed = dict(
        zip(
            [(kind, series.index(one)) for kind, one in zip(kinds, series[5:], strict=True)], layout.fed_by, strict=True
        )
    )
    assert [key for key, matchers in fed.items() if B in matchers] == [
        ("latest", 7), ("sequence", 8), ("run", 9), ("condition_run", 10),
    ]  # fmt: skip
    assert fed["sequence", 8] == (A, B)  # its last selector is the anchor's
    assert layout.record_bits(1 << B) == [0]  # no window counts it, so nothing is logged
    assert layout.record_bits(1 << A) != [0]


def test_events_of_a_step_see_those_before_them_and_none_after():
    rows = Rows(
        [Series("times", (A,), (None,), 10)], [Feature(0, "count", "last", 10), Feature(0, "count", "prior", 10)]
    )
    assert rows.add([Happening(t, row=row) for t in (1, 1, 5, 11) for row in "CD"]) == [
        [n, before] for n, before in ((1, 0), (2, 1), (3, 2), (2, 1)) for _ in "CD"
    ]
