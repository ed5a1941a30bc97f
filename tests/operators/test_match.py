"""Masks of selectors: what is remembered must not change what matches."""

import itertools
import random

import pytest

from operators import match
from operators.match import MaskBuilder
from rules.plan import Matcher
from rules.values import equal

CLICK, TXN = 3, 4
VALUES = [1, 1.0, True, 0, 0.0, False, None, "1", "a", "", ["a"], ["a", 1], [], {"k": 1}, {}, 2**60, -0.0]


def type_test(column):
    return lambda values: type(values[column]) in (int, str)


def matchers():
    return [
        Matcher(CLICK, None, ()),
        Matcher(CLICK, lambda values: equal(values[0], 1), (0,)),
        Matcher(CLICK, type_test(0), (0,)),
        Matcher(CLICK, lambda values: values[0] is True, (0,)),
        Matcher(CLICK, lambda values: equal(values[1], "a") and equal(values[0], 1), (1, 0)),
        Matcher(CLICK, type_test(1), (1,)),
        Matcher(TXN, lambda values: True, (1,)),
        Matcher(CLICK, lambda values: 7, (0, 1)),  # any true value matches, as in Python
    ]


def mask(builder, stream, values):
    return builder.masks([stream], [values])[0]


def plain_mask(stream, values):
    return sum(1 << i for i, m in enumerate(matchers()) if m.stream == stream and (m.test is None or m.test(values)))


@pytest.mark.parametrize("limit", [0, 3, 20_000])
def test_memory_keeps_apart_what_a_selector_does(monkeypatch, limit):
    """1, 1.0 and True are one key to a dict; lists and objects are none; memory that is full is given up."""
    monkeypatch.setattr(match, "_MEMO_LIMIT", limit)
    pairs = list(itertools.product(VALUES, VALUES)) * 2
    random.Random(limit).shuffle(pairs)
    builder = MaskBuilder(matchers())
    streams = random.Random(limit).choices((CLICK, TXN), k=len(pairs))
    for size in (1, 7, 200):  # a batch with a list or an object in it goes another way
        for at in range(0, len(pairs), size):
            batch = streams[at : at + size], pairs[at : at + size]
            assert builder.masks(*batch) == list(map(plain_mask, *batch))


def test_a_guard_and_its_test_must_both_match():
    guard = Matcher(CLICK, lambda values: equal(values[0], "a"), (0,))
    guarded = Matcher(CLICK, lambda values: type(values[1]) is int and values[1] > 1, (1,), guard)
    builder = MaskBuilder([guarded, guard])
    rows = [("a", 2), ("a", 1), ("b", 2), ("a", None), (None, 2), ("a", ["x"])]
    assert builder.masks([CLICK] * len(rows), rows) == [3, 2, 0, 2, 0, 2]


def test_each_combination_is_evaluated_once_until_there_are_too_many(monkeypatch):
    monkeypatch.setattr(match, "_MEMO_LIMIT", 50)
    calls = []
    builder = MaskBuilder([Matcher(CLICK, lambda values: calls.append(values) or values[0] == "3", (0,))])
    for _ in range(3):
        assert [mask(builder, CLICK, (str(n), "other")) for n in range(40)] == [int(n == 3) for n in range(40)]
    assert len(calls) == 40
    for _ in range(2):
        assert [mask(builder, CLICK, (str(n), "other")) for n in range(90)] == [int(n == 3) for n in range(90)]
    assert len(calls) == 40 + 50 + 40  # ten more fit; the other forty are evaluated each time


def test_streams_without_selectors_match_nothing():
    assert mask(MaskBuilder(matchers()), 0, (1, 2)) == 0
    assert mask(MaskBuilder([]), CLICK, (1,)) == 0


def test_long_texts_are_not_kept():
    calls = []
    builder = MaskBuilder([Matcher(CLICK, lambda values: calls.append(values) or True, (0, 1))])
    longest = "x" * match._MEMO_TEXT_CODE_POINTS
    for values, evaluations in [((longest, "y"), 1), ((longest + "x", "y"), 3)]:
        calls.clear()
        assert [mask(builder, CLICK, values) for _ in range(3)] == [1, 1, 1]
        assert len(calls) == evaluations
