"""Numbers as exact multiples of 1/10,000, so that additions and evictions cancel to the last cent.

A value with up to four decimals becomes the integer number of its ten-thousandths; any other double becomes the
exact fraction that it is. Sums of either are exact; the result is rounded to a double once, at the end.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

Units = int | Fraction

SCALE = 10_000
_MAX_BITS = 1024
"""An integer with more bits lies beyond every double."""
_UNAMBIGUOUS = 2.0**53 / SCALE / 2
"""Below this, a double has at most one nearest number of ten-thousandths and arithmetic finds it."""


def to_units(x: int | float) -> Units:
    """The exact number of ten-thousandths in the decimal that ``x`` prints as (or in ``x`` itself beyond four).

    >>> to_units(0.1), to_units(3), to_units(1e-5) == Fraction(1e-5) * SCALE
    (1000, 30000, True)
    """
    if type(x) is int:
        return x * SCALE
    if -_UNAMBIGUOUS < x < _UNAMBIGUOUS:
        units = round(x * SCALE)
        if units / SCALE == x:
            return units
        return Fraction(x) * SCALE
    scaled = Decimal(repr(x)) * SCALE
    return int(scaled) if scaled == scaled.to_integral_value() else Fraction(x) * SCALE


def from_units(units: Units, whole: bool) -> int | float | None:
    """The double nearest to the sum, an ``int`` if ``whole`` (only integers went in); null if not finite."""
    if whole:
        total = int(units // SCALE)
        return total if total.bit_length() <= _MAX_BITS else None
    try:
        return float(units / SCALE) if type(units) is int else float(Fraction(units, SCALE))
    except OverflowError:
        return None


_ROOT_BITS = 160
"""Twice as many as a root needs to be rounded to a double once, at the end."""


def deviation(n: int, total: Units, squares: Units) -> float | None:
    """Population standard deviation from exact sums of units and of squared units, as the nearest double."""
    spread = n * squares - total * total  # exact: no cancellation, zero exactly where all are equal
    if spread <= 0:
        return 0.0
    under_root = spread.numerator * spread.denominator  # sqrt(p / q) = sqrt(p * q) / q
    shift = max(0, _ROOT_BITS - under_root.bit_length()) // 2
    root = math.isqrt(under_root << (2 * shift))
    try:
        return root / ((spread.denominator * n * SCALE) << shift)
    except OverflowError:
        return None
