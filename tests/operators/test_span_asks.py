"""Conditions on the hour, which are asked once for each quarter of an hour."""

import tracemalloc

import numpy as np

from operators.scan_values import NUMBER
from operators.span_asks import Asked
from operators.spans import SpanColumn
from rules.plan import Part
from state.texts import Texts
from state.words import encode

QUARTER_MS, START_MS = 900_000, 1_750_000_000_000


def times(values):
    """Times as the scanner leaves them."""
    texts, words = Texts.padded([""] * len(values)), np.array(encode(values, []), np.int64)
    return SpanColumn(texts.buffer, np.full(len(values), NUMBER, np.uint8), words, texts.lengths, (1, 2))


def is_late(values):
    return values[0] // 3_600_000 % 24 >= 22


def test_quarters_are_remembered_only_for_some_time():
    asked = Asked(0, Part(is_late, (0,), clock=True))

    def check(quarters):
        for first in quarters:
            values = [START_MS + number * QUARTER_MS + number * 7 for number in range(first, first + 100)]
            masks = np.ones((len(values), 1), np.uint64)
            asked.narrow(masks, {0: times(values)})
            assert masks[:, 0].tolist() == [int(is_late((value,))) for value in values]

    check(range(0, 5_000, 100))
    tracemalloc.start()
    check(range(5_000, 30_000, 100))
    grown_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown_bytes < 1_000_000
