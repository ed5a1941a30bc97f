"""Conditions that only Python can test, asked once for each value that they tell apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from operators.column_masks import ask
from operators.mask_rows import Masks, bit_of
from operators.spans import SpanColumn
from rules.plan import Part
from state.exact import SCALE
from state.words import KIND_BITS

_SPAN_MS = 900_000
"""Nearly all offsets from UTC are multiples of a quarter of an hour, so the hour rarely changes within one."""
_SPAN_WORDS = _SPAN_MS * SCALE << KIND_BITS

_REMEMBERED_SPANS = 4_096


class Asked:
    """One condition of a selector."""

    def __init__(self, index: int, part: Part) -> None:
        self._index = index
        self._part = part
        self._word, self._bit = bit_of(index)
        self._spans: dict[int, bool | None] = {}
        """By span of time, whether the condition holds in it; null if only now and then."""

    def narrow(self, masks: Masks, columns: Mapping[int, SpanColumn]) -> None:
        """Take the selector's bit from the events for which the condition doesn't hold."""
        if len(self._part.columns) > 1:
            ask(masks, self._index, self._part, columns)
            return
        left = np.flatnonzero(masks[:, self._word] & self._bit)
        if not len(left):
            return
        column = columns[self._part.columns[0]]
        holds = self._of_spans(column, left) if self._part.clock else self._of_values(column, left)
        masks[left[~holds], self._word] &= ~self._bit

    def _test(self, value: object) -> bool:
        values: list[object] = [None] * (self._part.columns[0] + 1)
        values[-1] = value
        return bool(self._part.test(tuple(values)))

    def _of_values(self, column: SpanColumn, left: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        _, first, places = np.unique(column.identities()[left], return_index=True, return_inverse=True)
        holds = np.array([self._test(column[i]) for i in left[first].tolist()], np.bool_)
        return holds[places]

    def _of_spans(self, column: SpanColumn, left: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """As ``_of_values``, of times whose hour and weekday matter."""
        spans, places = np.unique(column.identities()[left] // _SPAN_WORDS, return_inverse=True)
        found = [self._of_span(span) for span in spans.tolist()]
        holds = np.array([bool(one) for one in found])[places]
        for span in np.flatnonzero([one is None for one in found]).tolist():
            for i in np.flatnonzero(places == span).tolist():
                holds[i] = self._test(column[left[i]])
        return holds

    def _of_span(self, span: int) -> bool | None:
        if span not in self._spans:
            if len(self._spans) >= _REMEMBERED_SPANS:
                self._spans.clear()
            first, last = (self._test(ts_ms) for ts_ms in (span * _SPAN_MS, (span + 1) * _SPAN_MS - 1))
            self._spans[span] = first if first == last else None
        return self._spans[span]
