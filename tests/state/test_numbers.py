"""128-bit sums and doubles in two parts, against Python's integers and fractions."""

import math
import random
from fractions import Fraction

import pytest

from state import numbers as n
from state.exact import deviation

WORD = 1 << 64


def words(x):
    """An integer as two words, each read as signed."""
    x %= WORD * WORD
    return tuple(word - WORD if word >> 63 else word for word in (x // WORD, x % WORD))


def whole(pair):
    hi, lo = pair
    return hi * WORD + lo % WORD


def sized(rng, bits):
    """An integer of either sign; of any size, so that small and large ones meet."""
    most = 1 << rng.randrange(1, bits)
    return rng.choice([rng.randrange(-most, most), most - 1, -most])


@pytest.mark.parametrize("seed", range(4))
def test_integers(seed):
    rng = random.Random(seed)
    for _ in range(3_000):
        a, b = sized(rng, 120), sized(rng, 120)
        assert whole(n.add_128(*words(a), *words(b))) == a + b
        assert whole(n.negate_128(*words(a))) == -a
        x, y = sized(rng, 62), sized(rng, 62)
        assert whole(n.multiply_128(x, y)) == x * y
        assert n.below_unsigned(x, y) == (x % WORD < y % WORD)
        z = abs(sized(rng, 63))
        assert whole(n.square_128(z)) == z * z
        q, m = abs(sized(rng, 95)), rng.randrange(1 << 31)
        assert whole(n.multiply_wide(*words(q), m)) == q * m


@pytest.mark.parametrize("seed", range(4))
def test_units_become_the_nearest_double(seed):
    rng = random.Random(seed)
    for _ in range(3_000):
        t = sized(rng, 63)
        assert n.units_to_double(*words(t)) == t / 10_000
        a = sized(rng, 120)
        assert n.to_double(*words(a)) == pytest.approx(a, rel=3e-16)
        high, low = n.in_two_parts(*words(abs(a)))
        assert abs(Fraction(high) + Fraction(low) - abs(a)) <= Fraction(abs(a), 2**100)


@pytest.mark.parametrize("seed", range(4))
def test_deviations(seed):
    rng = random.Random(seed)
    for _ in range(3_000):
        xs = [sized(rng, 50) for _ in range(rng.randrange(1, 6))]
        total, squares = sum(xs), sum(x * x for x in xs)
        want = deviation(len(xs), total, squares)
        assert n.deviation_of_units(len(xs), *words(total), *words(squares)) == pytest.approx(want, rel=1e-15, abs=0)


@pytest.mark.parametrize("seed", range(4))
def test_doubles_in_two_parts(seed):
    rng = random.Random(seed)
    high = low = 0.0
    exact = Fraction(0)
    for _ in range(2_000):
        x = rng.choice([rng.uniform(-1, 1) * 10.0 ** rng.randrange(-12, 12), -high])
        high, low = n.add_double(high, low, x)
        exact += Fraction(x)
        assert math.isclose(high + low, exact, rel_tol=1e-15, abs_tol=1e-19)
        a, b = rng.uniform(-1e9, 1e9), rng.uniform(-1e-3, 1e9)
        product, error = n.multiply_doubles(a, b)
        assert Fraction(product) + Fraction(error) == Fraction(a) * Fraction(b)


def test_sums_of_units_and_doubles():
    small = 1e-9 * n.REST_SCALE
    assert n.sum_value(*words(30_001), 0.0, 0.0) == 3.0001
    assert n.sum_value(0, 0, small, 0.0) == 1e-9
    assert n.sum_value(*words(30_001), small, 0.0) == float(Fraction(30_001, 10_000) + Fraction(1e-9))
    huge = 1e300 * n.REST_SCALE
    high, low = n.add_double(*n.add_double(huge, 0.0, small), -huge)
    assert n.sum_value(*words(0), high, low) == pytest.approx(0.0, abs=1e270)
