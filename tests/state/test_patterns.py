"""Sequences and streaks against brute force."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from state.patterns import ConditionRun, LatestEvent, PeriodRun, SequenceProgress

few = settings(max_examples=300, deadline=None)


def test_latest_goes_by_processing_order():
    latest = LatestEvent()
    latest.set(5, "a")
    latest.set(5, None)
    assert (latest.effective_ms, latest.value) == (5, None)


@few
@given(
    st.lists(st.tuples(st.integers(0, 20), st.lists(st.booleans(), min_size=3, max_size=3)), max_size=8),
    st.integers(0, 20),
    st.integers(1, 3),
)
def test_sequence_finds_what_a_search_finds(events, anchor_ms, steps):
    """Earlier events in processing order, their own times mixed; each is used for one selector."""
    progress = SequenceProgress(steps + 1)
    for ts_ms, matched in events:
        progress.add(ts_ms, matched[:steps])
    for after in range(-1, 21):
        found = anchor_ms > after and any(
            all(events[i][1][step] and events[i][0] > after for step, i in enumerate(chosen))
            for chosen in combinations(range(len(events)), steps)
        )
        assert progress.complete(anchor_ms, after) == found


@few
@given(st.lists(st.integers(0, 3), max_size=15), st.integers(0, 3))
def test_period_run(steps, further):
    run, seen, period = PeriodRun(), set(), 0
    for step in steps:
        period += step
        seen.add(period)
        run.add(period)
    now = period + further
    length = 0
    while now - length in seen:
        length += 1
    assert run.read(now) == length


@few
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 3)), min_size=1, max_size=15),
    st.integers(0, 4),
    st.sampled_from([(">", 1), ("<", 2), ("==", 0)]),
)
def test_condition_run(steps, further, condition):
    """The sum of each period's own amounts; periods before the first event do not count, empty ones do."""
    sign, limit = condition

    def holds(totals):
        total, count = totals
        return {">": total > limit, "<": total < limit, "==": total == limit and count < 3}[sign]

    ops = ("sum", "count")
    run, period = ConditionRun(2), 0
    amounts: dict[int, list[int]] = {}
    for step, amount in steps:
        period += step
        amounts.setdefault(period, []).append(amount)
        run.advance(period, ops, holds)
        for totals in run.totals:
            totals.add(amount)
    now = period + further
    run.advance(now, ops, holds)
    length, first = 0, min(amounts)
    while now - length >= first and holds([sum(amounts.get(now - length, [])), len(amounts.get(now - length, []))]):
        length += 1
    assert run.read(ops, holds) == length
