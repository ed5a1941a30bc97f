"""Evaluates all selectors on decoded events: one bit mask an event.

Selectors that look at the same fields are evaluated together and the result is remembered by the fields' values,
so that a hundred rules on page names cost one look-up an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
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
    """Gives, for an event of a stream, the bits of the matchers that match it."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self._always = [0] * len(model.STREAMS)
        self._groups: list[list[_Group]] = [[] for _ in model.STREAMS]
        grouped: dict[tuple[int, tuple[int, ...]], list[tuple[int, Test]]] = {}
        for index, matcher in enumerate(matchers):
            if matcher.test is None or (not matcher.columns and matcher.test(())):
                self._always[matcher.stream] |= 1 << index
            elif not matcher.columns:
                continue  # a constant that is false
            else:
                columns = tuple(sorted(matcher.columns))
                grouped.setdefault((matcher.stream, columns), []).append((1 << index, matcher.test))
        for (stream, columns), tests in grouped.items():
            self._groups[stream].append(_Group(columns, tests))

    def mask(self, stream: int, values: Values) -> int:
        """The mask of one event, from its stream's code and its values."""
        mask = self._always[stream]
        for group in self._groups[stream]:
            mask |= group.mask(values)
        return mask


class _Group:
    """Selectors over the same fields of one stream."""

    def __init__(self, columns: tuple[int, ...], tests: list[tuple[int, Test]]) -> None:
        self._key = itemgetter(*columns)
        self._tests = tests
        self._memo: dict[Any, int] = {}

    def mask(self, values: Values) -> int:
        key = self._key(values)
        try:
            known = self._memo.get(key)
        except TypeError:  # a list or an object
            return self._evaluate(values)
        if known is None:
            known = self._evaluate(values)
            # Only short texts and nulls are remembered: 1, 1.0 and True are one key to a dict but not to a selector.
            if len(self._memo) < _MEMO_LIMIT and _is_short_text(key):
                self._memo[key] = known
        return known

    def _evaluate(self, values: Values) -> int:
        return sum(bit for bit, test in self._tests if test(values))


def _is_short_text(key: Any) -> bool:
    parts = key if type(key) is tuple else (key,)
    return all(part is None or (type(part) is str and len(part) <= _MEMO_TEXT_CODE_POINTS) for part in parts)
