"""Local time and the shape of a day."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from flows.simulate.columns import Array

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
LOCAL_OFFSET_MS = 8 * HOUR_MS
"""Asia/Shanghai has had no daylight saving since 1991, so a constant will do."""
DEFAULT_START_MS = 1_772_380_800_000
"""2026-03-02T00:00+08:00, a Monday."""

# Relative volume by local hour: a trough before dawn, a peak at lunch and one in the evening.
_WORKDAY = (1.2, 0.6, 0.4, 0.3, 0.3, 0.5, 1.5, 3.2, 5.2, 6.0, 6.0, 6.6, 8.4, 7.0, 5.2, 5.0, 5.2, 5.8, 6.8, 8.0, 9.0,
            8.2, 5.6, 2.8)  # fmt: skip
# At weekends people get up later and stay up longer.
_WEEKEND = (1.8, 1.0, 0.6, 0.4, 0.3, 0.4, 0.8, 1.8, 3.6, 5.6, 6.8, 7.2, 7.8, 7.0, 6.2, 6.2, 6.4, 6.6, 7.0, 7.6, 8.4,
            7.8, 5.6, 3.4)  # fmt: skip
_HOURS = np.arange(25.0)


def _cumulative(weights: tuple[float, ...]) -> Array:
    total = np.concatenate(([0.0], np.cumsum(weights)))
    return np.asarray(total / total[-1])


_WORKDAY_CDF = _cumulative(_WORKDAY)
_WEEKEND_CDF = _cumulative(_WEEKEND)


@dataclass(frozen=True, slots=True)
class Day:
    """One local calendar day of the run; `index` counts from 0."""

    index: int
    start_ms: int
    date: date

    @property
    def end_ms(self) -> int:
        return self.start_ms + DAY_MS

    @property
    def weekend(self) -> bool:
        return self.date.weekday() >= 5


def local_midnight(ts_ms: int) -> int:
    """The local midnight at or before `ts_ms`."""
    return ts_ms - (ts_ms + LOCAL_OFFSET_MS) % DAY_MS


def calendar(start_ms: int, days: int) -> list[Day]:
    """The run's days; `start_ms` must be a local midnight."""
    first = date(1970, 1, 1) + timedelta(days=(start_ms + LOCAL_OFFSET_MS) // DAY_MS)
    return [Day(i, start_ms + i * DAY_MS, first + timedelta(days=i)) for i in range(days)]


def curve_hours(rng: np.random.Generator, count: int, weekend: bool) -> Array:
    """Hours of the day (float, 0 ≤ h < 24) drawn from the bank's day curve."""
    hours: Array = np.interp(rng.random(count), _WEEKEND_CDF if weekend else _WORKDAY_CDF, _HOURS)
    return hours


def own_hours(rng: np.random.Generator, centre_h: Array, spread_h: Array, weekend: bool) -> Array:
    """Hours of the day: half from each customer's own circular (wrapped normal) habit, half from the bank's curve."""
    count = len(centre_h)
    habit = (centre_h + spread_h * rng.standard_normal(count)) % 24.0
    return np.where(rng.random(count) < 0.5, habit, curve_hours(rng, count, weekend))
