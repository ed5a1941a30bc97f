"""A customer's habits in the kernels, against plain arithmetic over the list of earlier events."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rules.plan import Feature, Series
from tests.state.rows import Happening, Rows

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_700_000_000_000
ZONE = "Asia/Shanghai"
SERIES = [
    Series("unusual_amount", (0,), (0,)),
    Series("unusual_hour", (0,), (None,), period="hour", timezone=ZONE),
    Series("unusual_value", (0,), (0,)),
    Series("unusual_pace", (0,), (None,)),
]


def rows_of(*kinds: str) -> Rows:
    chosen = [one for one in SERIES if one.kind in kinds]
    return Rows(chosen, [Feature(number, "habit") for number in range(len(chosen))])


def plain_amount(values: list[Any]) -> list[float | None]:
    found: list[float | None] = []
    m, s, n = 0.0, 1.0, 0
    for value in values:
        if not isinstance(value, int | float) or isinstance(value, bool):
            found.append(None)
            continue
        x = math.copysign(math.log1p(abs(value)), value)
        if n == 0:
            m = x
        found.append((x - m) / max(s, 0.05) if n >= 3 else None)
        if n:
            w = max(1 / (n + 1), 0.02)
            most = 1.5 * max(s, 0.05)
            e = min(max(x - m, -most), most)
            m, s = m + w * e, s + w * (1.2533141373155001 * abs(e) - s)
        n += 1
    return found


def test_an_amount_is_measured_against_the_customers_own() -> None:
    values = [
        *np.random.default_rng(1).lognormal(4, 0.5, 200).round(2).tolist(),
        None,
        "text",
        True,
        -50,
        0,
        1e-9,
        1e15,
    ]
    found = [got for (got,) in rows_of("unusual_amount").add(Happening(i, value) for i, value in enumerate(values))]
    for got, want in zip(found, plain_amount(values), strict=True):
        assert got == (None if want is None else pytest.approx(want, rel=1e-9))
    assert [place for place, got in enumerate(found) if got is None] == [0, 1, 2, 200, 201, 202]


def test_one_huge_amount_hardly_moves_what_is_usual() -> None:
    usual = [Happening(i, 100 + i % 7) for i in range(50)]
    rows, shaken = rows_of("unusual_amount"), rows_of("unusual_amount")
    rows.add(usual)
    shaken.add([*usual, Happening(50, 1e12)])
    ((before,),), ((after,),) = rows.add([Happening(60, 500)]), shaken.add([Happening(60, 500)])
    assert after == pytest.approx(before, rel=0.1)
    assert before > 10


def test_an_hour_is_rare_where_few_events_were_near() -> None:
    at_ten = START_MS // DAY_MS * DAY_MS + 2 * HOUR_MS  # 10:00 in Shanghai
    rows = rows_of("unusual_hour")
    found = rows.add(Happening(at_ten + day * DAY_MS) for day in range(40))
    assert [got for (got,) in found[:5]] == [None] * 5
    count = sum((63 / 64) ** age for age in range(5))
    assert found[5][0] == pytest.approx(-math.log((0.3 * count + 2 / 24) / (count + 2)), abs=0.01)
    assert all(later <= earlier for (earlier,), (later,) in pairwise(found[5:]))
    later_ms = at_ten + 50 * DAY_MS
    by_distance = []
    for hours in (0, 1, 2, 3, 4, 12):
        alone = rows_of("unusual_hour")
        alone.add(Happening(at_ten + day * DAY_MS) for day in range(40))
        by_distance += alone.add([Happening(later_ms + hours * HOUR_MS)])[0]
    assert by_distance[:5] == sorted(set(by_distance[:5]))
    assert by_distance[4] == by_distance[5] > 5


def test_the_clock_has_no_end() -> None:
    midnight = START_MS // DAY_MS * DAY_MS + 16 * HOUR_MS
    found = []
    for hour in (-1, 1):
        rows = rows_of("unusual_hour")
        rows.add(Happening(midnight + day * DAY_MS) for day in range(30))
        found += rows.add([Happening(midnight + 40 * DAY_MS + hour * HOUR_MS)])[0]
    assert found[0] == found[1] < 3


def plain_value(values: list[Any]) -> list[float | None]:
    found: list[float | None] = []
    known: dict[Any, tuple[float, int]] = {}
    n = 0
    for value in values:
        if value is None:
            found.append(None)
            continue
        count, seen = known.get(value, (0.0, 0))
        count *= math.exp((seen - n) / 64)
        everything = (1 - math.exp(-n / 64)) / (1 - math.exp(-1 / 64))
        found.append(-math.log((count + 0.5) / (everything + 4)) if n else None)
        if value not in known and len(known) == 8:
            del known[min(known, key=lambda one: known[one][1])]
        n += 1
        known[value] = (count * math.exp(-1 / 64) + 1, n)
    return found


def test_a_value_is_rare_where_the_customer_seldom_had_it() -> None:
    values: list[Any] = np.random.default_rng(2).zipf(1.5, 400).clip(1, 30).tolist()
    values[50:60:3] = [None] * 4
    values = [None if value is None else f"t{value}" for value in values]
    found = [got for (got,) in rows_of("unusual_value").add(Happening(i, value) for i, value in enumerate(values))]
    for got, want in zip(found, plain_value(values), strict=True):
        assert got == (None if want is None else pytest.approx(want, abs=0.002))


def test_a_burst_is_faster_than_the_customers_pace() -> None:
    rows = rows_of("unusual_pace")
    slow = [got for (got,) in rows.add(Happening(START_MS + day * DAY_MS) for day in range(60))]
    assert slow[0] is None
    assert max(slow[10:]) < 0.1
    burst = rows.add(Happening(START_MS + 60 * DAY_MS + minute * 60_000) for minute in range(10))
    fast = [got for (got,) in burst]
    assert fast == sorted(fast)
    h, d = 6 * HOUR_MS, 30 * DAY_MS
    times = [day * DAY_MS for day in range(60)] + [60 * DAY_MS + minute * 60_000 for minute in range(9)]
    now = 60 * DAY_MS + 9 * 60_000
    a = sum(math.exp(-(now - t) / h) for t in times)
    b = sum(math.exp(-(now - t) / d) for t in times)
    want = math.log((a + 1) / (b * h / (d * (1 - math.exp(-now / d)) + h) + 1))
    assert fast[-1] == pytest.approx(want, rel=1e-9)
    assert want > 1.5


def test_only_an_event_that_matches_is_compared_and_learned_from() -> None:
    other = 1 << 1
    series = [*SERIES, Series("totals", (1,), (None,))]
    rows = Rows(series, [Feature(number, "habit") for number in range(4)])
    mixed, alone = [], []
    for i in range(60):
        alone.append(Happening(START_MS + i * HOUR_MS, 10.0 + i % 5))
        mixed += [alone[-1], Happening(START_MS + i * HOUR_MS + 5, 1e6, mask=other)]
    found = rows.add(mixed)
    assert found[1::2] == [[None] * 4] * 60
    assert found[0::2] == Rows(SERIES, [Feature(number, "habit") for number in range(4)]).add(alone)
    assert rows.tick(START_MS + 70 * HOUR_MS) == {"C": [None] * 4}


def test_batches_change_nothing() -> None:
    generator = np.random.default_rng(4)
    times = START_MS + np.sort(generator.integers(0, 90 * DAY_MS, 600))
    events = [
        Happening(int(t), round(float(x), 2), row=f"C{c}")
        for t, x, c in zip(times, generator.lognormal(3, 1, 600), generator.integers(0, 3, 600), strict=True)
    ]
    features = [Feature(number, "habit") for number in range(4)]
    whole = Rows(SERIES, features).add(events)
    rows, found = Rows(SERIES, features), []
    for first, last in pairwise([0, 1, 2, 90, 91, 400, 600]):
        found += rows.add(events[first:last])
    assert found == whole
