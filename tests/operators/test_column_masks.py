"""Masks of selectors, of lists and of places in a buffer: what is remembered must not change what matches."""

import itertools
import random

import numpy as np
import pytest

from operators import column_masks
from operators.column_masks import ColumnMasks
from operators.scan_values import NULL, TEXT
from operators.span_masks import SpanMasks
from operators.spans import SpanColumn
from rules.plan import Matcher, Part
from rules.values import equal
from state.texts import Texts
from state.words import encode
from tests.operators.decoded_rows import plain_mask

CLICK, TXN = 3, 4
TEXTS = [None, "", "1", "a", "b"]
SCALARS = [1, 1.0, True, 0, None, 0.5, False]
OTHERS = [*SCALARS, "1", ["a"], {"k": 1}]
MATCHERS = [
    Matcher(CLICK, ()),
    Matcher(CLICK, (Part(lambda values: equal(values[0], "a"), (0,), texts=True),)),
    Matcher(CLICK, (Part(lambda values: values[0] is None, (0,), texts=True),)),
    Matcher(CLICK, (Part(lambda values: equal(values[1], "a") and equal(values[0], "1"), (1, 0), texts=True),)),
    Matcher(CLICK, (Part(lambda values: equal(values[2], 1), (2,)),)),
    Matcher(CLICK, (Part(lambda values: values[2] is True and equal(values[0], "b"), (0, 2)),)),
    Matcher(TXN, (Part(lambda values: values[1], (1,), texts=True),)),  # any true value matches, as in Python
    Matcher(CLICK, (Part(lambda values: 7, ()),)),
    Matcher(CLICK, (Part(lambda values: False, (), texts=True),)),
    Matcher(
        CLICK,
        (
            Part(lambda values: equal(values[0], "a"), (0,), texts=True),
            Part(lambda values: type(values[2]) is int and values[2] > 0, (2,)),
        ),
    ),
]


def span_column(values):
    """Scalars as the scanner leaves them."""
    texts = Texts.padded([value if type(value) is str else "" for value in values])
    words = encode([None if type(value) is str else value for value in values], [])
    is_text = np.array([type(value) is str for value in values])
    numbers = np.array([NULL if value is None else 3 if type(value) is bool else 2 for value in values])
    kinds = np.where(is_text, TEXT, numbers).astype(np.uint8)
    return SpanColumn(texts.buffer, kinds, np.where(is_text, texts.starts, words), texts.lengths, (1, 2))


class Lists:
    others = OTHERS
    kept_beside = 0

    def __init__(self, matchers):
        self._masks = ColumnMasks(matchers)

    def masks(self, stream, rows):
        columns = {number: list(column) for number, column in enumerate(zip(*rows, strict=True))}
        return [int(mask) for (mask,) in self._masks.masks(stream, len(rows), columns).tolist()]


class Spans:
    others = SCALARS
    kept_beside = 1  # a row for what needs no look

    def __init__(self, matchers):
        self._masks = SpanMasks(ColumnMasks(matchers))

    def masks(self, stream, rows):
        columns = {number: span_column(column) for number, column in enumerate(zip(*rows, strict=True))}
        return [int(mask) for (mask,) in self._masks.masks(stream, len(rows), columns).tolist()]


@pytest.mark.parametrize("limit", [0, 3, 20_000])
@pytest.mark.parametrize("way", [Lists, Spans])
def test_masks_are_those_of_each_selector_by_itself(monkeypatch, way, limit):
    monkeypatch.setattr(column_masks, "MEMO_LIMIT", limit)
    rows = list(itertools.product(TEXTS, TEXTS, way.others)) * 2
    random.Random(limit).shuffle(rows)
    one = way(MATCHERS)
    for size in (1, 7, 200):
        for stream in (CLICK, TXN):
            for at in range(0, min(len(rows), 20 * size), size):
                some = rows[at : at + size]
                assert one.masks(stream, some) == [plain_mask(MATCHERS, stream, row) for row in some]


@pytest.mark.parametrize("way", [Lists, Spans])
def test_each_text_is_evaluated_once_until_there_are_too_many(monkeypatch, way):
    monkeypatch.setattr(column_masks, "MEMO_LIMIT", 50)
    calls = []
    test = Part(lambda values: calls.append(values) or values[0] == "3", (0,), texts=True)
    one = way([Matcher(CLICK, (test,))])
    for _ in range(3):
        assert [one.masks(CLICK, [(str(n), "other")]) for n in range(40)] == [[int(n == 3)] for n in range(40)]
    assert len(calls) == 40
    for _ in range(2):
        assert one.masks(CLICK, [(str(n), "other") for n in range(90)]) == [int(n == 3) for n in range(90)]
    assert len(calls) == 40 + 50 + 40 + way.kept_beside  # ten more fit; the others are evaluated each time


@pytest.mark.parametrize("way", [Lists, Spans])
def test_streams_without_selectors_match_nothing(way):
    assert way(MATCHERS).masks(0, [("a", "b", 1)]) == [0]
    assert way([]).masks(CLICK, [("a",)]) == [0]


@pytest.mark.parametrize("way", [Lists, Spans])
def test_long_texts_are_not_kept(way):
    calls = []
    one = way([Matcher(CLICK, (Part(lambda values: calls.append(values) or True, (0, 1), texts=True),))])
    longest = "x" * column_masks.MEMO_TEXT_CODE_POINTS
    for values, evaluations in [((longest, "y"), 1), ((longest + "x", "y"), 3)]:
        calls.clear()
        assert [one.masks(CLICK, [values]) for _ in range(3)] == [[1]] * 3
        assert len(calls) == evaluations
