"""Numbers as exact ten-thousandths and back."""

import math
import statistics
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.exact import SCALE, deviation, from_units, to_units

many = settings(max_examples=300, deadline=None)


@many
@given(st.integers(-(10**17), 10**17), st.integers(0, 4))
def test_a_double_of_up_to_four_decimals_is_that_decimal(n, decimals):
    x = float(Decimal(n).scaleb(-decimals))
    if Decimal(repr(x)) * SCALE % 1 == 0:
        assert to_units(x) == Decimal(repr(x)) * SCALE
        assert type(to_units(x)) is int


@many
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_there_and_back(x):
    assert from_units(to_units(x), False) == x
    assert to_units(-x) == -to_units(x)


@many
@given(st.integers(-(2**80), 2**80))
def test_integers_stay_integers(n):
    assert from_units(to_units(n), True) == n
    assert type(from_units(to_units(n), True)) is int


@pytest.mark.parametrize("x", [1e-5, 5e-324, 0.12345, 2**0.5])
def test_more_decimals_count_as_the_double_that_it_is(x):
    assert to_units(x) == Fraction(x) * SCALE


def test_a_sum_of_tenths_is_the_nearest_double():
    assert 0.1 + 0.1 + 0.1 != 0.3
    assert from_units(sum(map(to_units, [0.1] * 10)), False) == 1.0
    assert from_units(sum(map(to_units, [0.1, 0.2])), False) == 0.3


def test_beyond_the_doubles_is_null():
    assert from_units(to_units(1.7e308) * 2, False) is None
    assert from_units((2**1025) * SCALE, True) is None


@many
@given(st.lists(st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_deviation(values):
    units = list(map(to_units, values))
    got = deviation(len(units), sum(units), sum(u * u for u in units))
    want = statistics.pstdev([Fraction(u) / SCALE for u in units])
    assert math.isclose(got, float(want), rel_tol=1e-12)
    if len(set(units)) == 1:
        assert got == 0.0


def test_deviation_survives_a_huge_offset():
    units = [to_units(1e9 + d) for d in (0.0001, 0.0002, 0.0003)]
    got = deviation(3, sum(units), sum(u * u for u in units))
    assert got == pytest.approx(0.0001 * (2 / 3) ** 0.5, rel=1e-12)
