"""Evaluates all selectors on decoded events: one bit mask an event.

Selectors that look at the same fields are evaluated together and the result is remembered by the fields' values,
so that a hundred rules on page names cost one look-up an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rules import model
from rules.plan import Matcher

_MEMO_LIMIT = 20_000
"""Remembered value combinations per group of selectors. Fields with more distinct values (amounts, times) gain
nothing from memory: a group that overflows is evaluated directly from then on."""

Values = tuple[Any, ...]
Test = Callable[[Values], Any]


class MaskBuilder:
    """Gives, for an event of a stream, the bits of the matchers that match it."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self._always = [0] * len(model.STREAMS)
        self._groups: list[list[_Group]] = [[] for _ in model.STREAMS]
        grouped: dict[tuple[int, tuple[int, ...]], list[tuple[int, Test]]] = {}
        for index, matcher in enumerate(matchers):
            if matcher.test is None:
                self._always[matcher.stream] |= 1 << index
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
        self._columns = columns
        self._tests = tests
        self._memo: dict[Any, int] | None = {}

    def mask(self, values: Values) -> int:
        memo = self._memo
        if memo is None:
            return self._evaluate(values)
        # 1, 1.0 and True are one key to a dict but not to a selector, hence the types
        key = tuple([x if type(x) is str else (type(x), x) for x in [values[c] for c in self._columns]])
        try:
            known = memo.get(key)
        except TypeError:  # a list or an object
            return self._evaluate(values)
        if known is None:
            known = memo[key] = self._evaluate(values)
            if len(memo) > _MEMO_LIMIT:
                self._memo = None
        return known

    def _evaluate(self, values: Values) -> int:
        return sum(bit for bit, test in self._tests if test(values))
