"""Null and types: what every operator and scalar function yields, row by row."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import values as v

BIG = 2**1030
NUMBERS = [0, 1, -1, 1.0, 2.5, -0.0, 2**60, 1e308]
OTHERS = ["", "a", "1", True, False, None, [], [1], ["a"], {}, {"k": 1}]
ALL = NUMBERS + OTHERS
C = v.COMPARISONS
A = v.ARITHMETIC


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (1, 1.0, True), (True, True, True), ("a", "a", True), ([1], [1.0], True), ([], [], True),
        ([[1]], [[1.0]], True),
        (0, -0.0, True), (2**53, 2.0**53, True),
        (True, 1, False), (1, True, False), (True, 1.0, False), (False, 0, False), ("1", 1, False), ("", None, False),
        (None, None, False), (None, 0, False), ([1], [True], False), ([None], [None], False), ([1], [1, 1], False),
        ([1], 1, False), (2**53 + 1, 2.0**53, False), ("a", "A", False),
    ],
)  # fmt: skip
def test_equal(a, b, want):
    assert C["=="](a, b) is want
    assert C["=="](b, a) is want
    assert C["!="](a, b) is (not want)


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (1, 2, True), (1, 1.5, True), (1, 1, False), ("a", "b", True), ("a", "a", False), ("Z", "a", True),
        ("\uffff", "\U00010000", True),  # by code point, not by UTF-16
        (False, True, True), (True, True, False),
        (False, 1, False), (0, True, False), ("1", 2, False), (1, "2", False), (None, 1, False), (1, None, False),
        (None, None, False), ([1], [2], False), ({}, {"a": 1}, False),
    ],
)  # fmt: skip
def test_order(a, b, want):
    assert C["<"](a, b) is want
    assert C[">"](b, a) is want


@pytest.mark.parametrize("a", ALL)
@pytest.mark.parametrize("b", ALL)
def test_order_and_equality_agree(a, b):
    ordered = C["<"](a, b), C["<="](a, b), C[">"](a, b), C[">="](a, b)
    assert all(type(x) is bool for x in ordered)
    comparable = C["<="](a, b) or C[">="](a, b)
    if comparable:
        assert C["<="](a, b) is (C["<"](a, b) or C["=="](a, b))
        assert C["<"](a, b) + C[">"](a, b) + C["=="](a, b) == 1
    else:
        assert ordered == (False,) * 4
    assert C["not in"](a, b) is (not C["in"](a, b))
    assert C["!="](a, b) is (not C["=="](a, b))


@pytest.mark.parametrize(
    ("x", "container", "want"),
    [
        ("a", "cat", True), ("", "cat", True), ("x", "cat", False), (1, "1", False), (None, "None", False),
        ("a", None, False),
        ("a", ["a"], True), (1, [1.0], True), (True, [1], False), (1, [True], False), (None, [None], False),
        ("a", [], False), ([1], [[1]], True), ("a", {"a": 1}, False), ("a", 7, False), ("a", ["cat"], False),
    ],
)  # fmt: skip
def test_in(x, container, want):
    assert C["in"](x, container) is want


@pytest.mark.parametrize("operator", "+-*/%")
@pytest.mark.parametrize("other", OTHERS)
def test_arithmetic_with_what_is_no_number_is_null(operator, other):
    for number in [*NUMBERS, other]:
        assert A[operator](number, other) is None
        assert A[operator](other, number) is None


@pytest.mark.parametrize(
    ("a", "operator", "b", "want"),
    [
        (1, "/", 0, None), (1, "%", 0, None), (1.5, "%", 0.0, None), (0, "/", 0, None), (7, "/", 2, 3.5),
        (4, "/", 2, 2.0),
        (-7, "%", 3, 2), (7, "%", -3, -2), (0.1, "+", 0.2, 0.1 + 0.2), (1e308, "*", 10, None),
        (1e308, "+", 1e308, None),
        (2**1000, "*", 2**1000, None), (2**1023, "+", 1, 2**1023 + 1), (2**1023, "*", 0.5, 2.0**1022),
        (1, "-", 1.0, 0.0),
        (10**400, "*", 1.5, None), (10**400, "/", 3, None),
    ],
)  # fmt: skip
def test_arithmetic(a, operator, b, want):
    got = A[operator](a, b)
    assert (got, type(got)) == (want, type(want))


@pytest.mark.parametrize("x", [x for x in ALL if not v.is_number(x)])
def test_functions_of_numbers_are_null_for_other_types(x):
    zone = ZoneInfo("UTC")
    assert v.negate(x) is v.absolute(x) is v.rounded(x, 1) is v.rounded_whole(x) is None
    assert v.minimum(1, x) is v.maximum(x, 1) is None
    assert v.hour(x, zone) is v.weekday(x, zone) is None


@pytest.mark.parametrize("x", [x for x in ALL if type(x) is not str])
def test_functions_of_strings_are_null_for_other_types(x):
    assert v.lowered(x) is None
    assert v.parse_date(x) is v.days_until(x, 0, UTC) is v.days_until_yearly(x, 0, UTC) is None
    # tests on null are false, of a value of the wrong type null: both count as false
    for test in (v.starts_with, v.ends_with):
        for got in (test(x, "a"), test("a", x)):
            assert got is (False if x is None else None)


def test_functions():
    assert v.starts_with("abc", "ab") is v.ends_with("abc", "bc") is v.starts_with("a", "") is True
    assert v.starts_with("abc", "b") is False
    assert (v.lowered("ÄB"), v.length("客户😀"), v.length([1, 2]), v.length({"a": 1}), v.length(7)) == (
        "äb",
        3,
        2,
        None,
        None,
    )
    assert (v.minimum(3, 1.5, 2), v.maximum(3, 1.5)) == (1.5, 3)
    assert (v.absolute(-2), v.negate(2.5)) == (2, -2.5)
    assert v.coalesce(None, False, 1) is False
    assert v.coalesce(None, None) is None


@pytest.mark.parametrize(
    ("x", "digits", "want"),
    [(2.5, 0, 2.0), (3.5, 0, 4.0), (2.675, 2, 2.67), (1234, -2, 1200), (1.5, True, None), (1.5, 1.0, None),
     (1e308, 400, 1e308), (1.7e308, -308, None), (1.5, None, None), (1, 10**30, 1)],
)  # fmt: skip
def test_round(x, digits, want):
    assert v.rounded(x, digits) == want


@pytest.mark.parametrize(
    ("x", "digits", "want"),
    [(1, -(10**12), 0), (-(10**300), -(10**30), 0), (1.5, -(10**30), 0.0), (5678, -4, 10_000), (1234, -4, 0),
    (9, -1, 10)],
)  # fmt: skip
def test_round_to_absurdly_few_digits_costs_nothing(x, digits, want):
    assert v.rounded(x, digits) == want


def test_round_without_digits_is_an_integer():
    assert [v.rounded_whole(x) for x in (2.5, 3.5, -0.5, 7)] == [2, 4, 0, 7]
    assert type(v.rounded_whole(2.5)) is int


def test_finite():
    assert [v.finite(x) for x in (math.inf, -math.inf, math.nan, BIG, -BIG)] == [None] * 5
    assert v.finite(2**1023) == 2**1023


def test_local_time():
    shanghai = ZoneInfo("Asia/Shanghai")
    at = int(datetime(2025, 10, 5, 16, 30, tzinfo=UTC).timestamp() * 1000)  # Monday half past midnight there
    assert (v.hour(at, shanghai), v.weekday(at, shanghai)) == (0, 0)
    assert (v.hour(at + 0.5, shanghai), v.hour(-1, shanghai), v.hour(1e300, shanghai)) == (0, 7, None)
    assert v.hour(253402300799999, shanghai) == 7  # beyond Python's calendar


@pytest.mark.parametrize(
    ("text", "days", "yearly"),
    [
        ("2025-10-06", 0, 0), ("2025-10-07", 1, 1), ("2025-10-05", -1, 364), ("1990-10-06", -12784, 0),
        ("2024-02-29", -585, 145), ("2025-02-29", None, None), ("2025-10-7", None, None), ("20251007", None, None),
        (" 2025-10-07", None, None), ("2025-10-07\n", None, None), ("２０25-10-07", None, None),
        ("9999-12-31", 2912529, 86),
        ("0001-01-01", -739529, 87), ("0000-01-01", None, None),
    ],
)  # fmt: skip
def test_days_until(text, days, yearly):
    at = int(datetime(2025, 10, 5, 16, 30, tzinfo=UTC).timestamp() * 1000)
    zone = ZoneInfo("Asia/Shanghai")
    assert v.days_until(text, at, zone) == days
    assert v.days_until_yearly(text, at, zone) == yearly


def test_a_birthday_of_29_february_is_on_the_28th_in_other_years():
    at = lambda *day: int(datetime(*day, 12, tzinfo=UTC).timestamp() * 1000)  # noqa: E731
    assert v.days_until_yearly("2000-02-29", at(2025, 2, 27), UTC) == 1
    assert v.days_until_yearly("2000-02-29", at(2025, 2, 28), UTC) == 0
    assert v.days_until_yearly("2000-02-29", at(2024, 2, 28), UTC) == 1
    assert v.days_until_yearly("2000-02-29", at(2024, 2, 29), UTC) == 0
    assert v.days_until_yearly("2000-02-29", at(2025, 3, 1), UTC) == 364


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(anything, anything)
def test_nothing_raises(a, b):
    for operate in (*C.values(), *A.values(), v.minimum, v.maximum, v.rounded, v.coalesce, v.starts_with, v.ends_with):
        got = operate(a, b)
        assert type(got) is not float or math.isfinite(got)
    for function in (v.negate, v.absolute, v.rounded_whole, v.lowered, v.length, v.parse_date):
        function(a)
    for function in (v.hour, v.weekday):
        function(a, UTC)
    for function in (v.days_until, v.days_until_yearly):
        function(a, 1_760_000_000_000, UTC)
