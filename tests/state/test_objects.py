"""The numbers of values that are no scalar words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.objects import ObjectTable
from state.words import encode, to_python

values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(),
                   st.lists(st.integers(0, 3), max_size=2))  # fmt: skip


@given(st.lists(st.lists(values, max_size=8), max_size=4))
def test_adopted_words_are_the_same_values(batches):
    table = ObjectTable()
    for batch in batches:
        objects = []
        words = np.array(encode(batch, objects), np.int64)
        adopted = table.adopt(words, objects)
        found = [to_python(int(word), table.values) for word in adopted]
        assert [(x, type(x)) for x in found] == [(x, type(x)) for x in batch]


def test_equal_values_of_one_type_have_one_number():
    table = ObjectTable()
    assert table.number("a") == table.number("a")
    assert table.number(10**20) == table.number(10**20) != table.number(1e20)
    assert table.number("1") != table.number(10**20)
    assert len(table.values) == 4


@pytest.mark.parametrize("number", [10**20, -(10**20), 2**63, 2**100 + 1, 10**15])
def test_integers_are_kept_in_two_parts(number):
    table = ObjectTable()
    at = table.number(number)
    assert int(table._highs[at]) + int(table._lows[at]) == number
    assert table._whole[at]


def test_what_prints_with_few_decimals_is_that_decimal():
    table = ObjectTable()
    at = table.number(1e15 + 0.25)  # prints as 1000000000000000.2
    assert (table._highs[at], table._lows[at]) == (1e15 + 0.25, -0.05)
    at = table.number(1e-9)
    assert (table._highs[at], table._lows[at], table._whole[at]) == (1e-9, 0.0, False)


def test_dates_are_known_and_nothing_else_is_one():
    table = ObjectTable()
    days = [int(table._dates[table.number(text)]) for text in ("2026-03-02", "2026-03-01", "2026-02-30", "tomorrow")]
    assert days[0] == days[1] + 1 > 0
    assert days[2:] == [0, 0]
    assert np.isnan(table._highs[table.number("2026-03-02")])


def test_numbers_stay_as_the_table_grows():
    table = ObjectTable()
    first = [table.number(f"text {i}") for i in range(500)]
    assert [table.number(f"text {i}") for i in range(500)] == first == list(range(500))
    assert table.addresses[0] == table._highs.__array_interface__["data"][0]


def test_values_that_nobody_holds_are_soon_dropped():
    table = ObjectTable()
    for number in range(50_000):
        table.number(f"text {number}")
        if number % 1000 == 0:
            table.collect_when_doubled()
            assert len(table.values) < 18_000
