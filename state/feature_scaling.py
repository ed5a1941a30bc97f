"""Brings features to one scale, learnt as they come: how many standard deviations each lies from its mean.

The mean and the variance of a feature begin with those of the first rows, without what lies far outside the middle 99 %
of them, and are then averages that forget: a row weighs ``1 / MEMORY``, or more while there were fewer. A value farther
than 20 deviations from the mean counts as if it were 20 away, so no single row spoils the scale, and a feature that was
constant at first (a count of what had not happened yet) has its own after some hundred other values. A feature without
any deviation is measured in thousandths of its mean, or of 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled

Doubles = NDArray[np.float64]

MEMORY = 20_000
_CLIPPED_AT = 20.0
_LOW, _HIGH, _FAR = 0.005, 0.995, 3.0
_LARGEST = 1e100


class Scales(NamedTuple):
    """By feature, float64: the mean, the variance and how many values there were."""

    mean: Doubles
    variance: Doubles
    values: Doubles


def scales(features: int) -> Scales:
    """Scales of which nothing is known."""
    return Scales(np.zeros(features), np.zeros(features), np.zeros(features))


def learn_first(known: Scales, rows: Doubles) -> None:
    """Begin with the first rows, float64[n, f]; nulls are left out."""
    for on in range(rows.shape[1]):
        values = np.clip(rows[~np.isnan(rows[:, on]), on], -_LARGEST, _LARGEST)
        if not len(values):
            continue
        low, high = np.quantile(values, (_LOW, _HIGH))
        far = _FAR * (high - low)
        values = np.clip(values, low - far, high + far)
        known.mean[on], known.variance[on], known.values[on] = values.mean(), values.var(), len(values)
        if known.variance[on] <= (1e-12 * known.mean[on]) ** 2:  # what rounding left
            known.variance[on] = 0.0


@compiled
def scale_and_learn(known: Scales, values: Doubles, scaled: Doubles, learns: bool) -> None:
    """Set ``scaled`` to the deviations of one row's values from what was known, NaN for nulls; learn."""
    for on in range(len(values)):
        value = values[on]
        if math.isnan(value):
            scaled[on] = math.nan
            continue
        value = min(max(value, -_LARGEST), _LARGEST)
        if known.values[on] == 0.0 and learns:
            known.mean[on] = value
        unit = math.sqrt(known.variance[on])
        if unit == 0.0:
            unit = 1e-3 * max(1.0, abs(known.mean[on]))
        scaled[on] = (value - known.mean[on]) / unit
        if not learns:
            continue
        known.values[on] += 1.0
        weight = max(1.0 / known.values[on], 1.0 / MEMORY)
        step = min(max(scaled[on], -_CLIPPED_AT), _CLIPPED_AT) * unit
        known.mean[on] += weight * step
        known.variance[on] += weight * ((1.0 - weight) * step * step - known.variance[on])
