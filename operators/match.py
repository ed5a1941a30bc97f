"""Evaluates all selectors on decoded events, column by column: one bit mask an event.

Selectors that look at the same text fields are evaluated together and the result is remembered by the texts, so that
a hundred rules on page names cost one look-up an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter, or_
from typing import Any

from operators.column_masks import MEMO_LIMIT, MEMO_TEXT_CODE_POINTS
from rules import model
from rules.plan import Matcher

Values = tuple[Any, ...]
Test = Callable[[Values], Any]


class MaskBuilder:
    """Gives, for each event, the bits of the matchers that match it."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self._always = [0] * len(model.STREAMS)
        self._groups: list[list[_Group]] = [[] for _ in model.STREAMS]
        self._direct: list[list[tuple[int, Test]]] = [[] for _ in model.STREAMS]
        self._guarded: list[list[tuple[int, Test]]] = [[] for _ in model.STREAMS]
        grouped: dict[tuple[int, tuple[int, ...]], list[tuple[int, Test]]] = {}
        for index, matcher in enumerate(matchers):
            bit, stream = 1 << index, matcher.stream
            first = matcher.guard or matcher
            if matcher.guard is not None and matcher.test is not None:
                self._guarded[stream].append((bit, matcher.test))
            if first.test is None:
                self._always[stream] |= bit
            elif first.texts and first.columns:
                grouped.setdefault((stream, tuple(sorted(first.columns))), []).append((bit, first.test))
            else:
                self._direct[stream].append((bit, first.test))
        for (stream, columns), tests in grouped.items():
            self._groups[stream].append(_Group(columns, tests))

    def masks(self, streams: Sequence[int], values: Sequence[Values]) -> list[int]:
        """The masks of some events, from their streams' codes and their values."""
        present = set(streams)
        if len(present) == 1:
            return self._of_one_stream(present.pop(), values)
        masks = [0] * len(streams)
        for stream in present:
            places = [i for i, s in enumerate(streams) if s == stream]
            for i, mask in zip(places, self._of_one_stream(stream, [values[i] for i in places]), strict=True):
                masks[i] = mask
        return masks

    def _of_one_stream(self, stream: int, values: Sequence[Values]) -> list[int]:
        masks = [self._always[stream]] * len(values)
        for group in self._groups[stream]:
            masks = list(map(or_, masks, group.masks(values)))
        guarded = self._guarded[stream]
        if guarded:
            bits = sum(bit for bit, _ in guarded)
            for i, mask in enumerate(masks):
                if mask & bits:
                    one = values[i]
                    masks[i] = mask - sum(bit for bit, test in guarded if mask & bit and not test(one))
        for bit, test in self._direct[stream]:
            for i, one in enumerate(values):
                if test(one):
                    masks[i] |= bit
        return masks


class _Group:
    """Selectors over the same text fields of one stream."""

    def __init__(self, columns: tuple[int, ...], tests: list[tuple[int, Test]]) -> None:
        self._columns = columns
        self._key = itemgetter(*columns)
        self._tests = tests
        self._memo = _Memo(self._evaluate)

    def masks(self, values: Sequence[Values]) -> list[int]:
        return list(map(self._memo.__getitem__, map(self._key, values)))

    def _evaluate(self, key: Any) -> int:
        """The mask of events with these texts; the tests look at no other values."""
        values = [None] * (max(self._columns) + 1)
        for column, text in zip(self._columns, key if len(self._columns) > 1 else (key,), strict=True):
            values[column] = text
        one = tuple(values)
        return sum(bit for bit, test in self._tests if test(one))


class _Memo(dict[Any, int]):
    """Masks by the texts (or nulls) of a group's fields, worked out when first asked for."""

    def __init__(self, evaluate: Callable[[Any], int]) -> None:
        super().__init__()
        self._evaluate = evaluate

    def __missing__(self, key: Any) -> int:
        mask = self._evaluate(key)
        parts = key if type(key) is tuple else (key,)
        if len(self) < MEMO_LIMIT and all(len(part or "") <= MEMO_TEXT_CODE_POINTS for part in parts):
            self[key] = mask
        return mask
