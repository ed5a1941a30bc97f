"""The latest event, sequences and streaks, as the kernels keep them, against brute force."""

from datetime import date
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import opcodes as p
from rules.plan import Feature, Series
from tests.state.rows import Happening, Rows

DAY_MS = 86_400_000
few = settings(max_examples=100, deadline=None)


def test_the_latest_goes_by_processing_order():
    series = [Series("latest", (0,), (0,)), Series("latest", (0,), (None,))]
    rows = Rows(series, [Feature(0, "last"), Feature(0, "prev"), Feature(1, "age")])
    assert rows.add([Happening(3, "a", effective_ms=5), Happening(5, None), Happening(1, 7, effective_ms=2_005)]) == [
        ["a", None, None], [None, "a", 0.0], [7, None, 2.0],
    ]  # fmt: skip
    assert rows.tick(3_005) == {"C": [7, 7, 1.0]}


@few
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 7)), max_size=8),
    st.integers(0, 20),
    st.integers(1, 3),
)
def test_a_sequence_finds_what_a_search_finds(events, anchor_ms, steps):
    """Earlier events in processing order, their own times mixed; each is used for one selector."""
    sizes = range(1, 23)
    series = Series("sequence", tuple(range(steps + 1)), (None,) * (steps + 1))
    rows = Rows([series], [Feature(0, "seq", "last", size) for size in sizes])
    anchor = Happening(anchor_ms, mask=1 << steps, effective_ms=20)
    found = rows.add(
        [Happening(ts, mask=mask & (1 << steps) - 1, effective_ms=20, read=False) for ts, mask in events] + [anchor]
    )
    for size, got in zip(sizes, found[0], strict=True):
        after = 20 - size
        want = anchor_ms > after and any(
            all(events[i][1] >> step & 1 and events[i][0] > after for step, i in enumerate(chosen))
            for chosen in combinations(range(len(events)), steps)
        )
        assert got == want, size


def days_of(steps):
    day, days = 20_000, []
    for step in steps:
        day += step
        days.append(day)
    return days


@few
@given(st.lists(st.integers(0, 3), max_size=15), st.integers(0, 3))
def test_a_streak_of_days(steps, further):
    rows = Rows([Series("run", (0,), (None,), period="day", timezone="UTC")], [Feature(0, "streak")])
    rows.make(["C"])
    days = days_of(steps)
    for day in days:
        rows.add([Happening(day * DAY_MS, read=False)])
    now = (days[-1] if days else 20_000) + further
    length = 0
    while now - length in days:
        length += 1
    assert rows.tick(now * DAY_MS + 5) == {"C": [length]}


@few
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 3)), min_size=1, max_size=15),
    st.integers(0, 4),
    st.sampled_from([(">", 1), ("<", 2), ("==", 0)]),
)
def test_a_streak_of_a_condition(steps, further, condition):
    """The sum of each period's own amounts; periods before the first event do not count, empty ones do."""
    sign, limit = condition

    def holds(amounts):
        total = sum(amounts)
        return {">": total > limit, "<": total < limit, "==": total == limit and len(amounts) < 3}[sign]

    code = {
        ">": [(p.PUSH_NUMBER, 0), (p.PART, 0), (p.LESS, 0)],
        "<": [(p.PART, 0), (p.PUSH_NUMBER, 0), (p.LESS, 0)],
        "==": [(p.PART, 0), (p.PUSH_NUMBER, 0), (p.EQUAL, 0), (p.TRUTH, 0),
               (p.PART, 1), (p.PUSH_NUMBER, 1), (p.LESS, 0), (p.TRUTH, 0), (p.AND, 0)],
    }[sign]  # fmt: skip
    series = Series("condition_run", (0, 0), (0, None), period="day", timezone="UTC", ops=("sum", "count"), program=0)
    rows = Rows([series], [Feature(0, "streak")], [code], constants=[limit, 3])
    amounts: dict[int, list[int]] = {}
    for day, (_, amount) in zip(days_of(step for step, _ in steps), steps, strict=True):
        amounts.setdefault(day, []).append(amount)
        rows.add([Happening(day * DAY_MS, amount, read=False)])
    now, first = max(amounts) + further, min(amounts)
    length = 0
    while now - length >= first and holds(amounts.get(now - length, [])):
        length += 1
    assert rows.tick(now * DAY_MS + 5) == {"C": [length]}


@pytest.mark.parametrize(("period", "shift_days"), [("week", 7), ("month", 31)])
def test_streaks_of_other_periods(period, shift_days):
    rows = Rows([Series("run", (0,), (None,), period=period, timezone="UTC")], [Feature(0, "streak")])
    start = date(2026, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
    found = rows.add([Happening((start + shift_days * i) * DAY_MS) for i in range(3)])
    assert found == [[1], [2], [3]]
