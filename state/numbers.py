"""Exact sums in kernels: 128-bit integers of ten-thousandths, and doubles kept in two parts.

A sum of amounts is an integer number of ten-thousandths, held as ``hi * 2**64 + lo`` in two int64 words (``lo`` is
read as unsigned), so that additions and evictions cancel to the last cent. What is no multiple of 1/10,000 goes into a
second sum of doubles in two parts (about 106 bits; Dekker 1971, "A floating-point technique for extending the
available precision").
"""

from __future__ import annotations

import math

import numpy as np

from state.compiled import compiled

_LOW = 0xFFFFFFFF
_SCALE = 10_000
_TWO_64 = 18446744073709551616.0
_SPLIT = 134217729.0  # 2**27 + 1: halves the 53 bits of a double


@compiled
def below_unsigned(a: int, b: int) -> bool:
    """``a < b`` of two words read as unsigned."""
    return (a ^ -9223372036854775808) < (b ^ -9223372036854775808)


@compiled
def add_128(hi: int, lo: int, other_hi: int, other_lo: int) -> tuple[int, int]:
    """The sum of two 128-bit integers; wraps around beyond 2**127."""
    low = lo + other_lo
    carry = 1 if below_unsigned(low, lo) else 0
    return hi + other_hi + carry, low


@compiled
def negate_128(hi: int, lo: int) -> tuple[int, int]:
    """Minus a 128-bit integer."""
    return (-hi, 0) if lo == 0 else (~hi, -lo)


@compiled
def multiply_128(a: int, b: int) -> tuple[int, int]:
    """The product of two words, each below 2**62 in size."""
    negative = (a < 0) != (b < 0)
    a, b = abs(a), abs(b)
    a1, a0, b1, b0 = a >> 32, a & _LOW, b >> 32, b & _LOW
    low = a0 * b0
    middle = a1 * b0
    middle_2 = a0 * b1
    carry = ((low >> 32) & _LOW) + (middle & _LOW) + (middle_2 & _LOW)
    lo = (low & _LOW) | (carry << 32)
    hi = a1 * b1 + (middle >> 32) + (middle_2 >> 32) + (carry >> 32)
    if negative:
        return negate_128(hi, lo)
    return hi, lo


@compiled
def to_double(hi: int, lo: int) -> float:
    """The double nearest to a 128-bit integer, or next to it above 2**64."""
    if hi == lo >> 63:
        return float(lo)
    negative = hi < 0
    if negative:
        hi, lo = negate_128(hi, lo)
    low = float(lo) if lo >= 0 else float(lo) + _TWO_64
    value = float(hi) * _TWO_64 + low
    return -value if negative else value


@compiled
def divide_128(hi: int, lo: int) -> tuple[int, int, int]:
    """A non-negative 128-bit integer of ten-thousandths: the whole part (two words) and what is left."""
    rest = hi % _SCALE
    upper = (rest << 32) | ((lo >> 32) & _LOW)
    lower = ((upper % _SCALE) << 32) | (lo & _LOW)
    return hi // _SCALE, (upper // _SCALE) << 32 | lower // _SCALE, lower % _SCALE


@compiled
def units_to_double(hi: int, lo: int) -> float:
    """The double nearest to so many ten-thousandths; beyond 2**63 (not units) the last bit may differ.

    Below 2**53 units the division rounds once. Below 2**63, the whole part is exact and the fraction too small to
    matter but for ties, which are sums of powers of two and exact. Above, a last bit stands for all that does not fit.
    """
    if hi == lo >> 63:
        if -9007199254740992 <= lo <= 9007199254740992:
            return lo / _SCALE
        whole = abs(lo) // _SCALE
        value = float(whole) + (abs(lo) - whole * _SCALE) / _SCALE
        return -value if lo < 0 else value
    negative = hi < 0
    a_hi, a_lo = negate_128(hi, lo) if negative else (hi, lo)
    whole_hi, whole, rest = divide_128(a_hi, a_lo)
    if whole_hi != 0 or whole < 0:
        return to_double(hi, lo) / _SCALE
    if whole < 1 << 55:
        rest <<= 8
        value = float(whole << 8 | rest // _SCALE | (1 if rest % _SCALE else 0)) / 256.0
    else:
        value = float(whole | (1 if rest else 0))
    return -value if negative else value


@compiled
def add_double(hi: float, lo: float, x: float) -> tuple[float, float]:
    """A sum in two parts plus a double."""
    total = hi + x
    part = total - hi
    error = (hi - (total - part)) + (x - part) + lo
    high = total + error
    return high, error - (high - total)


@compiled
def multiply_doubles(a: float, b: float) -> tuple[float, float]:
    """The product of two doubles in two parts, exactly."""
    product = a * b
    big = _SPLIT * a
    a_high = big - (big - a)
    a_low = a - a_high
    big = _SPLIT * b
    b_high = big - (big - b)
    b_low = b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


REST_SCALE = 2.0**-32
"""What is no multiple of 1/10,000 is added up so much smaller, so that huge numbers that cancel don't overflow."""


@compiled
def sum_value(hi: int, lo: int, rest: float, rest_low: float) -> float:
    """A sum of units and of (scaled) doubles as one double."""
    if rest == 0.0 and rest_low == 0.0:
        return units_to_double(hi, lo)
    if hi == 0 and lo == 0:
        return (rest + rest_low) / REST_SCALE
    units = units_to_double(hi, lo)
    high, low = add_double(rest, rest_low, units * REST_SCALE)
    if hi == lo >> 63 and -9007199254740992 <= lo <= 9007199254740992:
        product, error = multiply_doubles(units, 10_000.0)
        low += ((float(lo) - product) - error) / _SCALE * REST_SCALE  # what the division lost
    return (high + low) / REST_SCALE


@compiled
def in_two_parts(hi: int, lo: int) -> tuple[float, float]:
    """A non-negative 128-bit integer as a sum of two doubles."""
    high, low = (hi >> 32) * 79228162514264337593543950336.0, 0.0
    high, low = add_double(high, low, (hi & _LOW) * _TWO_64)
    high, low = add_double(high, low, ((lo >> 32) & _LOW) * 4294967296.0)
    return add_double(high, low, float(lo & _LOW))


@compiled
def root_over(high: float, low: float, divisor: float) -> float:
    """The root of a positive number in two parts, divided; the double nearest to it but in the rarest cases."""
    root = math.sqrt(high)
    product, error = multiply_doubles(root, root)
    root_low = ((high - product) - error + low) / (2.0 * root)
    value = root / divisor
    product, error = multiply_doubles(value, divisor)
    return value + ((root - product) - error + root_low) / divisor


@compiled
def deviation_of_units(n: int, hi: int, lo: int, squares_hi: int, squares_lo: int) -> float:
    """Population standard deviation of ``n`` numbers from exact sums of their units and of the units' squares.

    Exact up to the root where the sums are below 2**63 and ``n`` times the squares below 2**126.
    """
    if hi == lo >> 63 and squares_hi < 4611686018427387904 // max(n, 1):
        a_hi, a_lo = multiply_wide(squares_hi, squares_lo, n)
        b_hi, b_lo = square_128(abs(lo))
        b_hi, b_lo = negate_128(b_hi, b_lo)
        s_hi, s_lo = add_128(a_hi, a_lo, b_hi, b_lo)
        if s_hi == 0 and s_lo == 0:
            return 0.0
        spread, spread_low = in_two_parts(s_hi, s_lo)
        return root_over(spread, spread_low, float(n) * _SCALE)
    total, spread = to_double(hi, lo), to_double(squares_hi, squares_lo)
    spread = spread * n - total * total
    return math.sqrt(spread) / (float(n) * _SCALE) if spread > 0 else 0.0


@compiled
def deviation_of_doubles(n: int, total: float, total_low: float, squares: float, squares_low: float) -> float:
    """Population standard deviation of ``n`` numbers from the sums of them and of their squares, each in two parts."""
    a, a_low = multiply_doubles(squares, float(n))
    a_low += squares_low * n
    b, b_low = multiply_doubles(total, total)
    b_low += 2.0 * total * total_low
    spread, low = add_double(a, a_low, -b)
    spread, low = add_double(spread, low, -b_low)
    return root_over(spread, low, float(n)) if spread > abs(a) * 1e-28 else 0.0


@compiled
def multiply_wide(hi: int, lo: int, n: int) -> tuple[int, int]:
    """A non-negative 128-bit integer times a number below 2**31, where the product fits."""
    l0, l1 = lo & _LOW, (lo >> 32) & _LOW
    p0, p1 = l0 * n, l1 * n
    carry = (p0 >> 32) + (p1 & _LOW)
    low = (p0 & _LOW) | (carry << 32)
    return hi * n + (p1 >> 32) + (carry >> 32), low


@compiled
def square_128(x: int) -> tuple[int, int]:
    """The square of a word of up to 63 bits; it must stay below 2**126."""
    x1, x0 = x >> 32, x & _LOW
    low_product = np.uint64(x0) * np.uint64(x0)
    low = int(np.int64(low_product))
    cross = np.uint64(x1) * np.uint64(x0)
    # 2 * cross * 2**32: its low 31 bits go into the low word
    cross_low = int(np.int64((cross & np.uint64(0x7FFFFFFF)) << np.uint64(33)))
    cross_high = int(cross >> np.uint64(31))
    return add_128(x1 * x1 + cross_high, low, 0, cross_low)
