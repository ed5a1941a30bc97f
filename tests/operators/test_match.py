"""Masks of selectors: what is remembered must not change what matches."""

import itertools
import random

import pytest

from operators import match
from operators.match import MaskBuilder
from rules.plan import Matcher
from rules.values import equal

CLICK, TXN = 3, 4
TEXTS = [None, "", "1", "a", "b"]
OTHERS = [1, 1.0, True, 0, None, "1", ["a"], {"k": 1}]


def matchers():
    """Column 0 and 1 are texts, column 2 may be anything."""
    return [
        Matcher(CLICK, None, ()),
        Matcher(CLICK, lambda values: equal(values[0], "a"), (0,), texts=True),
        Matcher(CLICK, lambda values: values[0] is None, (0,), texts=True),
        Matcher(CLICK, lambda values: equal(values[1], "a") and equal(values[0], "1"), (1, 0), texts=True),
        Matcher(CLICK, lambda values: equal(values[2], 1), (2,)),
        Matcher(CLICK, lambda values: values[2] is True and equal(values[0], "b"), (0, 2)),
        Matcher(TXN, lambda values: values[1], (1,), texts=True),  # any true value matches, as in Python
        Matcher(CLICK, lambda values: 7, ()),
        Matcher(CLICK, lambda values: False, (), texts=True),
    ]


def mask(builder, stream, values):
    return builder.masks([stream], [values])[0]


def plain_mask(stream, values):
    return sum(1 << i for i, m in enumerate(matchers()) if m.stream == stream and (m.test is None or m.test(values)))


@pytest.mark.parametrize("limit", [0, 3, 20_000])
def test_masks_are_those_of_each_selector_by_itself(monkeypatch, limit):
    monkeypatch.setattr(match, "MEMO_LIMIT", limit)
    rows = list(itertools.product(TEXTS, TEXTS, OTHERS)) * 2
    random.Random(limit).shuffle(rows)
    builder = MaskBuilder(matchers())
    streams = random.Random(limit).choices((CLICK, TXN), k=len(rows))
    for size in (1, 7, 200):
        for at in range(0, len(rows), size):
            batch = streams[at : at + size], rows[at : at + size]
            assert builder.masks(*batch) == list(map(plain_mask, *batch))


def test_a_guard_and_its_test_must_both_match():
    guard = Matcher(CLICK, lambda values: equal(values[0], "a"), (0,), texts=True)
    guarded = Matcher(CLICK, lambda values: type(values[1]) is int and values[1] > 1, (1,), guard=guard)
    builder = MaskBuilder([guarded, guard])
    rows = [("a", 2), ("a", 1), ("b", 2), ("a", None), (None, 2), ("a", ["x"])]
    assert builder.masks([CLICK] * len(rows), rows) == [3, 2, 0, 2, 0, 2]


def test_each_combination_is_evaluated_once_until_there_are_too_many(monkeypatch):
    monkeypatch.setattr(match, "MEMO_LIMIT", 50)
    calls = []
    builder = MaskBuilder([Matcher(CLICK, lambda values: calls.append(values) or values[0] == "3", (0,), texts=True)])
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
    builder = MaskBuilder([Matcher(CLICK, lambda values: calls.append(values) or True, (0, 1), texts=True)])
    longest = "x" * match.MEMO_TEXT_CODE_POINTS
    for values, evaluations in [((longest, "y"), 1), ((longest + "x", "y"), 3)]:
        calls.clear()
        assert [mask(builder, CLICK, values) for _ in range(3)] == [1, 1, 1]
        assert len(calls) == evaluations
