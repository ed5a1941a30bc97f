"""Periods of many times at once, against the calendar that finds them one by one."""

import random
import tracemalloc
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from state import periods
from state.calendar import Periods, wall_time
from state.periods import PeriodTable

DAY_MS = 86_400_000
KINDS = ["day", "week", "month", "hour", "weekday"]
# Monrovia was 44 minutes and 30 seconds behind until 1972; Lord Howe changes by half an hour; Kathmandu is at 5:45.
ZONES = ["Africa/Monrovia", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Shanghai", "America/New_York"]
SPANS = {"1971": (31_536_000_000, 66_000_000_000), "recent": (1_500_000_000_000, 1_900_000_000_000),
         "all": (0, 253_402_300_799_999)}  # fmt: skip


def plain(kind, zone, t):
    if kind == "hour":
        return wall_time(t, ZoneInfo(zone)).hour, 0
    if kind == "weekday":
        return wall_time(t, ZoneInfo(zone)).weekday(), 0
    one = Periods(kind, zone)
    return one.number(t), one.start_ms(t)


def check(table, kinds, times):
    numbers, starts = table.of(np.array(times, np.int64))
    assert numbers.shape == starts.shape == (len(times), len(kinds))
    for i, t in enumerate(times):
        assert list(zip(numbers[i].tolist(), starts[i].tolist(), strict=True)) == [plain(*kind, t) for kind in kinds], t


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("span", SPANS)
def test_any_times(zone, span):
    rng = random.Random(zone + span)
    kinds = [(kind, zone) for kind in KINDS]
    table, (low, high) = PeriodTable(kinds), SPANS[span]
    for _ in range(15):
        start, width = rng.randrange(low, high), rng.choice([1, 900_000, DAY_MS, 400 * DAY_MS])
        check(table, kinds, sorted(min(high, start + rng.randrange(width)) for _ in range(rng.randrange(12))))


@pytest.mark.parametrize("zone", ZONES)
def test_around_the_ends_of_days(zone):
    """Every border of a local day, to the millisecond, over the days on which most clocks change."""
    kinds = [("day", zone), ("hour", zone)]
    table, days = PeriodTable(kinds), Periods("day", zone)
    for first in (1_743_000_000_000, 1_759_300_000_000, 60_000_000_000):
        borders = [days.start_ms(first + i * DAY_MS) for i in range(12)]
        check(table, kinds, [t + step for t in borders for step in (-1, 0, 1)])


def test_several_zones_together_and_none():
    kinds = [("day", zone) for zone in ZONES]
    check(PeriodTable(kinds), kinds, list(range(1_743_000_000_000, 1_743_000_000_000 + 3 * DAY_MS, 7_000_001)))
    check(PeriodTable([]), [], [1, 2, 3])
    check(PeriodTable(kinds), kinds, [])


def test_it_begins_anew_when_it_remembers_too_much(monkeypatch):
    monkeypatch.setattr(periods, "_REMEMBERED_SPANS", 100)
    kinds = [("day", "Asia/Shanghai")]
    table = PeriodTable(kinds)
    for day in range(0, 400, 20):
        check(table, kinds, [1_700_000_000_000 + day * DAY_MS + i * 3_600_000 for i in range(40)])


def test_more_spans_at_once_than_are_remembered(monkeypatch):
    """As at the end of a replay with a long lateness, when all that waited is taken in one step."""
    monkeypatch.setattr(periods, "_REMEMBERED_SPANS", 100)
    kinds = [("day", "Asia/Shanghai"), ("hour", "Asia/Shanghai")]
    table = PeriodTable(kinds)
    for first_ms in (1_700_000_000_000, 1_710_000_000_000):
        check(table, kinds, [first_ms + i * 3_600_000 for i in range(300)])


def test_what_is_remembered_does_not_grow_with_time():
    table = PeriodTable([("day", "Asia/Shanghai"), ("month", "Asia/Shanghai")])

    def read(days):
        for day in days:
            table.of(np.arange(96) * 900_000 + 1_700_000_000_000 + day * DAY_MS)

    read(range(60))
    tracemalloc.start()
    read(range(60, 400))
    grown_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown_bytes < 1_500_000
