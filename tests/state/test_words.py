"""Scalars as words and back, the vectorised way and one by one."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import words
from state.words import encode, encode_one, restrict, to_python

numbers = (
    st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.builds(lambda n, k: float(Decimal(n).scaleb(-k)), st.integers(-(10**17), 10**17), st.integers(0, 5))
    | st.sampled_from(
        [0, -0.0, 0.0, 10**14, -(10**14), 10**14 + 1, 1e14, 4.6e11, 1e12, 0.00005, 10**400, 1e308, 1e-320]
    )
)
optional_numbers = numbers | st.none()
scalars = optional_numbers | st.booleans() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


def exactly(values):
    """Types and signs of zero count."""
    return [repr(value) for value in values]


@given(st.lists(numbers) | st.lists(optional_numbers) | st.lists(st.text(max_size=2) | st.none()) | st.lists(scalars))
def test_there_and_back(values):
    objects = []
    encoded = encode(values, objects)
    assert encoded.dtype == np.int64
    assert exactly(to_python(int(word), objects) for word in encoded) == exactly(values)


@given(st.lists(optional_numbers), st.sampled_from([[True], ["x"], [[1]]]))
def test_the_vectorised_way_gives_the_words_that_one_by_one_does(values, others):
    objects, one_by_one, mixed = [], [], []
    expected = [encode_one(value, one_by_one) for value in values]
    assert encode(values, objects).tolist() == expected
    assert encode(values + others, mixed).tolist()[: len(values)] == expected
    assert exactly(objects) == exactly(one_by_one)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, words.NULL), (7, words.WHOLE), (-(10**14), words.WHOLE), (10**14 + 1, words.OBJECT),
        (7.0, words.DECIMAL), (-0.25, words.DECIMAL), (0.1, words.DECIMAL), (1e12, words.DECIMAL), (0.0, words.DECIMAL),
        (-0.0, words.OBJECT), (1e-5, words.OBJECT), (2**0.5, words.OBJECT), (math.inf, words.OBJECT),
        (1e15, words.OBJECT), (True, words.BOOL), ("7", words.OBJECT), ([7], words.OBJECT),
    ],
)  # fmt: skip
def test_kinds(value, kind):
    assert encode([value], [])[0] & words.KIND_MASK == kind
    assert encode_one(value, []) & words.KIND_MASK == kind


def test_null_is_the_word_zero_and_payloads_are_ten_thousandths():
    assert encode([None, 3, 2.5, -0.0001], []).tolist() == [0, 30_000 << 3 | 1, 25_000 << 3 | 2, -1 << 3 | 2]


def test_equal_texts_share_an_entry_and_true_is_not_one():
    objects = ["there before"]
    encoded = encode(["a", "b", "a", None, "b"], objects).tolist()
    assert objects == ["there before", "a", "b"]
    assert encoded == [1 << 3 | 4, 2 << 3 | 4, 1 << 3 | 4, 0, 2 << 3 | 4]
    assert len(set(encode([1, True, 1.0, "1"], []).tolist())) == 4


def test_restrict_keeps_the_objects_in_use():
    objects, kept = [], ["first"]
    encoded = encode(["a", 1, "b", None, "c", "b", True], objects)
    part = encoded[2:].reshape(1, -1)
    renumbered = restrict(part, objects, kept)
    assert kept == ["first", "b", "c"]
    assert [to_python(word, kept) for word in renumbered[0].tolist()] == ["b", None, "c", "b", True]
    assert objects == ["a", "b", "c"]
    assert restrict(encode([1, None], []), [], kept).tolist() == [10_000 << 3 | 1, 0]
