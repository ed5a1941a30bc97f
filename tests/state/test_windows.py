"""Windowed features against plain lists: any order of own times, any window, and forgetting in between."""

import random
import statistics
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.plan import Feature, Series
from state.equality import value_key
from tests.state.rows import Happening, Rows

LONG_MS = 1_000
END_MS = 60
KINDS = {"count": "times", "sum": "sums", "mean": "sums", "std": "sums", "min": "minima", "max": "maxima",
         "distinct": "values", "novel": "values"}  # fmt: skip
times = st.integers(0, END_MS)
numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(-30, 30).map(lambda n: n / 10),
    st.sampled_from([1e-5, 0.1, 1e15 + 0.25, 2**60, -(10**20)]),
)
entries = st.lists(st.tuples(times, numbers), max_size=40)
few = settings(max_examples=60, deadline=None)


def rows_of(ops, sizes, *, retention_ms=LONG_MS):
    """One series an operation, and of each the windows of some sizes."""
    series = [Series(KINDS[op], (0,), (None if op == "count" else 0,), retention_ms) for op in ops]
    windows = ["prior" if op == "novel" else "last" for op in ops]
    features = [Feature(i, op, windows[i], size) for i, op in enumerate(ops) for size in sizes]
    return Rows(series, features)


def added(rows, pairs):
    """Add events that take effect together, in any order of their own times, and read at that time."""
    rows.make(["C"])
    if pairs:
        rows.add([Happening(t, x, effective_ms=END_MS, read=False) for t, x in pairs])
    return rows.tick(END_MS)["C"]


def within(pairs, after_ms):
    return [x for t, x in sorted(pairs, key=lambda pair: pair[0]) if t > after_ms]


@few
@given(st.lists(times, max_size=60))
def test_count(own_times):
    sizes = range(1, END_MS + 2)
    got = added(rows_of(["count"], sizes), [(t, None) for t in own_times])
    assert got == [sum(t > END_MS - size for t in own_times) for size in sizes]


@few
@given(entries)
def test_sum_mean_and_deviation(pairs):
    sizes = (61, 60, 53, 30, 1)
    got = added(rows_of(["sum", "mean", "std"], sizes), pairs)
    for i, size in enumerate(sizes):
        inside = within(pairs, END_MS - size)
        total, mean, spread = got[i], got[len(sizes) + i], got[2 * len(sizes) + i]
        if not inside:
            assert (total, mean, spread) == (0, None, None)
            continue
        exact = sum(as_fraction(x) for x in inside)
        if all(type(x) is int for x in inside):
            assert (total, type(total)) == (exact, int)
        else:
            # what prints with up to four decimals counts as that decimal, anything else as the double that it is
            assert (total, type(total)) == (float(exact), float)
        assert mean == pytest.approx(float(exact / len(inside)), rel=1e-12, abs=1e-300)
        # doubles among the numbers: the squares of the largest bound what can be told apart
        largest = max(abs(as_fraction(x)) for x in inside)
        want = float(statistics.pstdev([as_fraction(x) for x in inside]))
        assert spread == pytest.approx(want, rel=1e-9, abs=float(largest) * 1e-13)


def as_fraction(x):
    decimal = Decimal(repr(x))
    return Fraction(decimal) if decimal * 10_000 % 1 == 0 else Fraction(x)


@few
@given(entries)
def test_extremes(pairs):
    sizes = range(1, END_MS + 2, 4)
    got = added(rows_of(["min", "max"], sizes), pairs)
    for i, size in enumerate(sizes):
        inside = within(pairs, END_MS - size)
        assert got[i] == min(inside, default=None)
        assert got[len(sizes) + i] == max(inside, default=None)


def test_of_equal_extremes_the_earliest_is_given():
    got = added(rows_of(["min", "max"], [61, 5]), [(1, 1.0), (58, 1), (2, 1)])
    assert [type(x) for x in got] == [float, int, float, int]


@few
@given(st.lists(st.tuples(times, st.sampled_from([1, 1.0, True, "1", "a", ["a"], {"k": 1}, None])), max_size=40))
def test_distinct_and_novel(pairs):
    sizes = range(1, END_MS + 2, 3)
    rows = rows_of(["distinct", "novel"], sizes)
    distinct = added(rows, pairs)[: len(sizes)]
    keys = {size: {value_key(x) for x in within(pairs, END_MS - size) if x is not None} for size in sizes}
    assert distinct == [len(keys[size]) for size in sizes]
    for x in (1, True, "1", "a", ["a"], "absent", None):
        row = f"{x!r} tried"  # each in a row of its own, for trying adds
        if pairs:
            rows.add([Happening(t, y, effective_ms=END_MS, row=row, read=False) for t, y in pairs])
        novel = rows.add([Happening(END_MS, x, row=row)])[0][len(sizes) :]
        assert novel == [x is not None and value_key(x) not in keys[size] for size in sizes]


@pytest.mark.parametrize("seed", range(3))
def test_forgetting_changes_no_window_that_may_still_be_read(seed):
    """Time goes on with some late entries; the longest window always answers as if nothing had been forgotten."""
    rng = random.Random(seed)
    ops = ["count", "sum", "min", "max", "distinct"]
    rows = rows_of(ops, [100, 37], retention_ms=100)
    pairs, now, read = [], 0, []
    for _ in range(40):
        step = []
        for _ in range(100):
            now += rng.randrange(3)
            t, x = max(0, now - rng.choice([0, 0, 0, 5, 90])), rng.choice([0.1, 2, -3.3, 7])
            step.append(Happening(t, x, effective_ms=now, read=rng.random() < 0.1))
            pairs.append((t, x))
            if step[-1].read:
                for size in (100, 37):
                    inside = within(pairs[-400:], now - size)
                    read.append([len(inside), float(sum(map(as_fraction, inside))), min(inside), max(inside),
                                 len(set(inside))])  # fmt: skip
        got = [found[which::2] for found in rows.add(step) for which in (0, 1)]
        assert got == read
        read.clear()
    assert int(rows.store.pool_counters[0]) < 4_000  # words in use: about 4,000 events came, 150 are remembered


def test_a_hundred_thousand_amounts_stay_exact():
    """However many were added and evicted, a sum is the double nearest to the exact decimal one."""
    rng = random.Random(1)
    rows = rows_of(["sum"], [500], retention_ms=500)
    amounts = [rng.randrange(10**12) / rng.choice([1, 100, 10_000]) for _ in range(100_000)]
    exact = [Decimal(repr(x)) for x in amounts]
    total, want = Decimal(0), []
    events = []
    for t, x in enumerate(amounts):
        total += exact[t] - (exact[t - 500] if t >= 500 else 0)
        events.append(Happening(t, x, read=t % 1009 == 0 or t > 99_990))
        if events[-1].read:
            want.append([float(total)])
    assert rows.add(events) == want


@pytest.mark.parametrize("columns", [1, 3])
def test_logs_that_grow_stay_within_the_pool(columns):
    """Many logs of all lengths, so that some grow where the pool is nearly full."""
    rows = rows_of(["count", "sum", "distinct"][:columns], [10**9], retention_ms=10**9)
    for t in range(120):
        found = rows.add([Happening(t, t, row=str(i), read=True) for i in range(0, 300, 1 + t % 7)])
    assert found[0][0] == 120


def test_equal_values_have_no_deviation_at_all():
    rows = rows_of(["std"], [2_000, 2, 1], retention_ms=2_000)
    found = rows.add([Happening(t, 0.1, read=t == 999) for t in range(1000)] + [Happening(1000, 0.2)])
    assert found[0] == [0.0, 0.0, 0.0]
    assert found[1][1:] == [pytest.approx(0.05, rel=1e-15), 0.0]


@few
@given(st.lists(st.one_of(numbers, st.sampled_from([None, True, "7", [1]])), max_size=30))
def test_totals(values):
    ops = ["count", "sum", "mean", "std", "min", "max"]
    rows = Rows([Series("totals", (0,), (0,), ops=("std",))], [Feature(0, op) for op in ops])
    got = dict(zip(ops, added(rows, [(i, x) for i, x in enumerate(values)]), strict=True))
    kept = [x for x in values if type(x) in (int, float)]
    assert got["count"] == len(values)
    assert (got["min"], got["max"]) == (min(kept, default=None), max(kept, default=None))
    total = sum(map(as_fraction, kept))
    assert got["sum"] == (float(total) if float in map(type, kept) else total)
    if not kept:
        assert (got["mean"], got["std"]) == (None, None)
        return
    assert got["mean"] == pytest.approx(float(total / len(kept)), rel=1e-12, abs=1e-300)
    largest = max(abs(as_fraction(x)) for x in kept)
    want = float(statistics.pstdev(list(map(as_fraction, kept))))
    assert got["std"] == pytest.approx(want, rel=1e-9, abs=float(largest) * 1e-13)


@pytest.mark.parametrize("kind", ["sums", "totals"])
def test_sums_that_are_not_finite_are_null(kind):
    windowed = kind == "sums"
    window = ("last", 2) if windowed else ("", 0)
    rows = Rows([Series(kind, (0,), (0,), 10)], [Feature(0, op, *window) for op in ("sum", "mean")])
    found = rows.add([Happening(0, 1e308), Happening(1, 1e308), Happening(2, -1e308)])
    assert found[0] == [1e308, 1e308]
    assert found[1] == [None, None]
    assert found[2] == ([0.0, 0.0] if windowed else [1e308, pytest.approx(1e308 / 3)])
