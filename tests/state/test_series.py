"""Windowed series against plain lists: any order of insertion, any window, trims in between."""

import math
import random
import statistics
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.event import value_key
from state.series import Extremes, Sums, Times, Totals, ValueTimes

times = st.integers(0, 60)
numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(-30, 30).map(lambda n: n / 10),
    st.sampled_from([1e-5, 0.1, 1e15 + 0.25, 2**60, -(10**20)]),
)
entries = st.lists(st.tuples(times, numbers), max_size=40)
few = settings(max_examples=150, deadline=None)


def within(pairs, after_ms):
    return [x for t, x in sorted(pairs, key=lambda pair: pair[0]) if t > after_ms]


@few
@given(st.lists(times, max_size=60))
def test_count(added):
    series = Times()
    for t in added:
        series.add(t)
    for after in range(-1, 62):
        assert series.count(after) == sum(t > after for t in added)


@few
@given(entries)
def test_sum_mean_and_deviation(pairs):
    series = Sums()
    for t, x in pairs:
        series.add(t, x)
    for after in (-1, 0, 7, 30, 59, 60):
        inside = within(pairs, after)
        got = {op: series.read(op, after) for op in ("sum", "mean", "std")}
        if not inside:
            assert got == {"sum": 0, "mean": None, "std": None}
            continue
        if all(type(x) is int for x in inside):
            exact = sum(inside)
            assert (got["sum"], type(got["sum"])) == (exact, int)
        else:
            # what prints with up to four decimals counts as that decimal, anything else as the double that it is
            exact = sum(as_fraction(x) for x in inside)
            assert (got["sum"], type(got["sum"])) == (float(exact), float)
        assert got["mean"] == pytest.approx(float(exact / len(inside)), rel=1e-12, abs=1e-300)
        spread = statistics.pstdev([as_fraction(x) for x in inside])
        assert got["std"] == pytest.approx(float(spread), rel=1e-12, abs=0)


def as_fraction(x):
    decimal = Decimal(repr(x))
    return Fraction(decimal) if decimal * 10_000 % 1 == 0 else Fraction(x)


@few
@given(entries)
def test_extremes(pairs):
    lowest, highest = Extremes(1), Extremes(-1)
    for t, x in pairs:
        lowest.add(t, x)
        highest.add(t, x)
    for after in range(-1, 61):
        inside = within(pairs, after)
        assert lowest.read(after) == min(inside, default=None)
        assert highest.read(after) == max(inside, default=None)


@few
@given(st.lists(st.tuples(times, st.sampled_from([1, 1.0, True, "1", "a", ["a"], {"k": 1}])), max_size=40))
def test_distinct_and_novel(pairs):
    series = ValueTimes()
    for t, x in pairs:
        series.add(t, value_key(x))
    for after in range(-1, 61, 3):
        inside = {value_key(x) for x in within(pairs, after)}
        assert series.distinct(after) == len(inside)
        for x in (1, True, "1", "a", ["a"], "absent"):
            assert series.seen(value_key(x), after) == (value_key(x) in inside)


@pytest.mark.parametrize("seed", range(3))
def test_trims_change_no_window_that_may_still_be_read(seed):
    """Time goes on with some late entries; what is above the last trim answers as if there had been none."""
    rng = random.Random(seed)
    series = {"count": Times(), "sum": Sums(), "min": Extremes(1), "max": Extremes(-1), "distinct": ValueTimes()}
    pairs = []
    now = 0
    for step in range(4000):
        now += rng.randrange(3)
        t, x = max(0, now - rng.choice([0, 0, 0, 5, 90])), rng.choice([0.1, 2, -3.3, 7])
        pairs.append((t, x))
        for name, one in series.items():
            one.add(t, *(() if name == "count" else (x,)))
            if step % 50 == 0:
                one.trim(now - 100)
        if step % 37 == 0 or step % 50 == 0:
            after = now - (100 if step % 50 == 0 else rng.randrange(1, 101))
            inside = within(pairs[-400:], after)
            assert series["count"].count(after) == len(inside)
            assert series["sum"].read("sum", after) == (float(sum(map(as_fraction, inside))) if inside else 0)
            assert series["min"].read(after) == min(inside, default=None)
            assert series["max"].read(after) == max(inside, default=None)
            assert series["distinct"].distinct(after) == len(set(inside))
    assert all(len(one.times) < 500 for one in series.values())  # trimming does forget


def test_a_hundred_thousand_amounts_stay_exact():
    """However many were added and evicted, a sum is the double nearest to the exact decimal one."""
    rng = random.Random(1)
    series, total = Sums(), Decimal(0)
    amounts = [rng.randrange(10**12) / rng.choice([1, 100, 10_000]) for _ in range(100_000)]
    exact = [Decimal(repr(x)) for x in amounts]
    for t, x in enumerate(amounts):
        series.add(t, x)
        total += exact[t] - (exact[t - 500] if t >= 500 else 0)
        if t % 1009 == 0 or t > 99_990:
            assert series.read("sum", t - 500) == float(total)
        if t % 127 == 0:
            series.trim(t - 500)
    assert len(series.times) < 2000


def test_equal_values_have_no_deviation_at_all():
    series = Sums()
    for t in range(1000):
        series.add(t, 0.1)
    assert series.read("std", -1) == 0.0
    series.add(1000, 0.2)
    assert series.read("std", 999) == 0.0
    assert series.read("std", 998) == pytest.approx(0.05, rel=1e-15)


@few
@given(st.lists(st.one_of(numbers, st.sampled_from([None, True, "7", [1]])), max_size=30))
def test_totals(values):
    totals = Totals()
    for x in values:
        totals.add(x)
    kept = [x for x in values if type(x) in (int, float)]
    assert totals.read("count") == len(values)
    assert totals.read("min") == min(kept, default=None)
    assert totals.read("max") == max(kept, default=None)
    assert totals.read("sum") == (float(sum(map(as_fraction, kept))) if any(map(is_float, kept)) else sum(kept))
    if kept:
        assert totals.read("std") == pytest.approx(
            float(statistics.pstdev(list(map(as_fraction, kept)))), rel=1e-12, abs=0
        )
    else:
        assert (totals.read("mean"), totals.read("std")) == (None, None)


def is_float(x):
    return type(x) is float


def test_sums_that_are_not_finite_are_null():
    series = Sums()
    series.add(0, 1e308)
    assert series.read("sum", -1) == 1e308
    series.add(1, 1e308)
    assert series.read("sum", -1) is None
    assert series.read("sum", 0) == 1e308
    assert series.read("mean", 0) == 1e308
    assert math.isfinite(series.read("std", -1))
