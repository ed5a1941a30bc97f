"""Evaluates all selectors on decoded events, column by column: one bit mask an event.

Selectors that look at the same fields are evaluated together and the result is remembered by the fields' values,
so that a hundred rules on page names cost one look-up an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter, or_
from typing import Any

from rules import model
from rules.plan import Matcher

_MEMO_LIMIT = 20_000
"""Remembered value combinations per group of selectors; what does not fit is evaluated each time."""

_MEMO_TEXT_CODE_POINTS = 200
"""Combinations with a longer text are not remembered: they rarely come again, and could fill the memory."""

Values = tuple[Any, ...]
Test = Callable[[Values], Any]


class MaskBuilder:
    """Gives, for each event, the bits of the matchers that match it."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self._always = [0] * len(model.STREAMS)
        self._groups: list[list[_Group]] = [[] for _ in model.STREAMS]
        self._guarded: list[list[tuple[int, Test]]] = [[] for _ in model.STREAMS]
        grouped: dict[tuple[int, tuple[int, ...]], list[tuple[int, Test]]] = {}
        for index, matcher in enumerate(matchers):
            if matcher.guard is not None and matcher.test is not None:
                self._guarded[matcher.stream].append((1 << index, matcher.test))
            first = matcher.guard or matcher
            if first.test is None or (not first.columns and first.test(())):
                self._always[first.stream] |= 1 << index
            elif first.columns:  # else it is a constant that is false
                columns = tuple(sorted(first.columns))
                grouped.setdefault((first.stream, columns), []).append((1 << index, first.test))
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
        return masks


class _Group:
    """Selectors over the same fields of one stream."""

    def __init__(self, columns: tuple[int, ...], tests: list[tuple[int, Test]]) -> None:
        self._columns = columns
        self._key = itemgetter(*columns)
        self._tests = tests
        self._memo = _Memo(self._evaluate_key)

    def masks(self, values: Sequence[Values]) -> list[int]:
        try:
            return list(map(self._memo.__getitem__, map(self._key, values)))
        except TypeError:  # a list or an object is no key: these events are looked at one by one
            return [self._evaluate(one) for one in values]

    def _evaluate_key(self, key: Any) -> int:
        """The mask of events with these values; the tests look at no others."""
        values = [None] * (max(self._columns) + 1)
        for column, value in zip(self._columns, key if len(self._columns) > 1 else (key,), strict=True):
            values[column] = value
        return self._evaluate(tuple(values))

    def _evaluate(self, values: Values) -> int:
        return sum(bit for bit, test in self._tests if test(values))


class _Memo(dict[Any, int]):
    """Masks by the values of a group's fields, worked out when first asked for.

    Only short texts and nulls are remembered: 1, 1.0 and True are one key to a dict but not to a selector.
    """

    def __init__(self, evaluate: Callable[[Any], int]) -> None:
        super().__init__()
        self._evaluate = evaluate

    def __missing__(self, key: Any) -> int:
        mask = self._evaluate(key)
        if len(self) < _MEMO_LIMIT and _is_short_text(key):
            self[key] = mask
        return mask


def _is_short_text(key: Any) -> bool:
    parts = key if type(key) is tuple else (key,)
    return all(part is None or (type(part) is str and len(part) <= _MEMO_TEXT_CODE_POINTS) for part in parts)
