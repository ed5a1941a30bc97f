"""Evaluates all selectors on columns of events.

Every selector is a conjunction, and most of its parts look at one column: a text, or a number compared with literals.
So a column gives each event one row of a table: the selectors that this value does not rule out. A text finds its row
by itself, a number by the literals between which it lies; the mask is what all rows have in common. However many
rules there are, an event costs one look-up a column. What is no such part is asked of the events that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.mask_rows import WORD_BITS, Masks, and_regions, and_rows, bit_of, mask_row
from rules.model import STREAMS
from rules.plan import Matcher, Part

Column = Sequence[Any]

MEMO_LIMIT = 20_000
"""Remembered combinations of texts per group of conditions; what does not fit is evaluated each time."""

MEMO_TEXT_CODE_POINTS = 200
"""Combinations with a longer text are not remembered: they rarely come again, and could fill the memory."""

_EXACT = 2.0**53
"""Integers beyond are no exact doubles."""

Test = Callable[[tuple[Any, ...]], Any]


class ColumnMasks:
    """Gives, for each event, the bits of the matchers that match it, in ``words`` words of 64 bits."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self.words = max(1, -(-len(matchers) // WORD_BITS))
        self.streams = [StreamMasks(code, matchers, self.words) for code in range(len(STREAMS))]

    def columns(self, stream: int) -> tuple[int, ...]:
        """The columns that the matchers of a stream look at."""
        return self.streams[stream].columns

    def masks(self, stream: int, count: int, columns: Mapping[int, Column]) -> Masks:
        """The masks (uint64[count, words]) of ``count`` events of one stream, from its ``columns``."""
        return self.streams[stream].masks(count, columns)


class StreamMasks:
    """The matchers of one stream, by what their parts look at."""

    def __init__(self, stream: int, matchers: Sequence[Matcher], words: int) -> None:
        self._words = words
        bits = 0
        self.text_groups: dict[tuple[int, ...], list[tuple[int, Part]]] = {}
        texts = self.text_groups
        numbers: dict[int, list[tuple[int, Part]]] = {}
        self.others: list[tuple[int, Part]] = []
        for index, matcher in enumerate(matchers):
            if matcher.stream != stream:
                continue
            parts = matcher.parts
            if not all(part.test(()) for part in parts if not part.columns):
                continue  # it says of no event that it matches
            bits |= 1 << index
            for part in parts:
                if part.compare is not None:
                    numbers.setdefault(part.columns[0], []).append((index, part))
                elif part.texts and part.columns:
                    texts.setdefault(tuple(sorted(part.columns)), []).append((index, part))
                elif part.columns:
                    self.others.append((index, part))
        self.base = mask_row(bits, words)
        self.texts = [TextParts(columns, tests, words) for columns, tests in texts.items()]
        self.numbers = [NumberParts(column, tests, words) for column, tests in numbers.items()]
        used = {c for group in (*texts, *((n,) for n in numbers), *(p.columns for _, p in self.others)) for c in group}
        self.columns = tuple(sorted(used))

    def masks(self, count: int, columns: Mapping[int, Column]) -> Masks:
        masks = np.empty((count, self._words), np.uint64)
        masks[:] = self.base
        for texts in self.texts:
            texts.narrow(masks, columns)
        for numbers in self.numbers:
            numbers.narrow(masks, columns)
        for index, part in self.others:
            ask(masks, index, part, columns)
        return masks


class TextParts:
    """The parts that look at the same text columns."""

    def __init__(self, columns: tuple[int, ...], parts: list[tuple[int, Part]], words: int) -> None:
        self.columns = columns
        self.choices: dict[str, int] = {}
        self._chosen = 0  # the bits that only a choice leaves standing
        self.tests: list[tuple[int, Part]] = []
        self._present = self._absent = 0  # the bits that only a text and only null leave standing
        for index, part in parts:
            bit = 1 << index
            if part.present is not None:
                self._present |= bit if part.present else 0
                self._absent |= 0 if part.present else bit
            elif part.choices is None or self._chosen & bit:
                self.tests.append((bit, part))
            else:
                self._chosen |= bit
                for text in part.choices:
                    self.choices[text] = self.choices.get(text, 0) | bit
        self._memo: dict[Any, int] | None = None
        self._rows = _Rows(words)
        if self.tests:
            self._memo = _Memo(self.evaluate, self._rows)
        else:
            self._rows.add(self.evaluate_unknown())
            self._row_of = {text: self._rows.add(self.evaluate(text)) for text in (None, *self.choices)}

    @property
    def decides(self) -> bool:
        """Whether a choice or null rules anything out."""
        return bool(self._chosen | self._present | self._absent)

    def narrow(self, masks: Masks, columns: Mapping[int, Column]) -> None:
        """Take away the bits of the selectors that the events' values rule out."""
        keys = columns[self.columns[0]]
        if len(self.columns) > 1:
            keys = list(zip(*(columns[column] for column in self.columns), strict=True))
        found = map(self._row_of.get, keys, repeat(0)) if self._memo is None else map(self._memo.__getitem__, keys)
        rows = np.fromiter(found, np.int64, len(keys))
        and_rows(masks, self._rows.table(), rows)
        self._rows.forget_passing()

    def evaluate_unknown(self) -> int:
        """The bits that a text has left that is no choice, without the tests."""
        return ~(self._chosen | self._absent)

    def evaluate(self, key: Any) -> int:
        """The bits that the texts (or nulls) of an event do not rule out."""
        texts = key if type(key) is tuple else (key,)
        values: list[Any] = [None] * (max(self.columns) + 1)
        for column, text in zip(self.columns, texts, strict=True):
            values[column] = text
        one = tuple(values)
        if key is None:
            left = ~(self._chosen | self._present)
        else:
            left = ~(self._chosen & ~self.choices.get(key, 0) | self._absent)
        for bit, part in self.tests:
            if left & bit and not part.test(one):
                left &= ~bit
        return left


class _Rows:
    """A growing table of masks. Passing rows have negative numbers and last until they are forgotten."""

    def __init__(self, words: int) -> None:
        self._words = words
        self._kept: list[npt.NDArray[np.uint64]] = []
        self._passing: list[npt.NDArray[np.uint64]] = []
        self._table: Masks = np.empty((0, words), np.uint64)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, mask: int, passing: bool = False) -> int:
        if passing:
            self._passing.append(mask_row(mask, self._words))
            return -len(self._passing)
        self._kept.append(mask_row(mask, self._words))
        return len(self._kept) - 1

    def table(self) -> Masks:
        """The rows, so that also the negative numbers find theirs."""
        if len(self._table) < len(self._kept):
            self._table = np.array(self._kept)
        return np.concatenate([self._table, self._passing[::-1]]) if self._passing else self._table

    def forget_passing(self) -> None:
        self._passing.clear()


class _Memo(dict[Any, int]):
    """Rows by the texts of a group's columns, worked out when first asked for."""

    def __init__(self, evaluate: Callable[[Any], int], rows: _Rows) -> None:
        super().__init__()
        self.evaluate = evaluate
        self._rows = rows

    def __missing__(self, key: Any) -> int:
        mask = self.evaluate(key)
        parts = key if type(key) is tuple else (key,)
        if len(self) >= MEMO_LIMIT or any(len(part or "") > MEMO_TEXT_CODE_POINTS for part in parts):
            return self._rows.add(mask, passing=True)
        row = self[key] = self._rows.add(mask)
        return row


class NumberParts:
    """The comparisons of one number column with literals.

    k literals in order make 2k + 1 regions (between them, and each itself); the last row is for null.
    """

    def __init__(self, column: int, parts: list[tuple[int, Part]], words: int) -> None:
        self.column = column
        self.parts = parts
        comparisons = [(1 << index, *part.compare) for index, part in parts if part.compare is not None]
        self.literals = np.unique(np.array([literal for _, _, literal in comparisons], np.float64))
        place = {literal: 2 * i + 1 for i, literal in enumerate(self.literals.tolist())}
        rows = []
        for region in range(2 * len(self.literals) + 1):
            ruled_out = 0
            for bit, op, literal in comparisons:
                if not _HOLDS[op](region, place[literal]):
                    ruled_out |= bit
            rows.append(mask_row(~ruled_out, words))
        of_null = 0
        for bit, op, _ in comparisons:
            of_null |= 0 if op == "!=" else bit
        self.rows = np.array([*rows, mask_row(~of_null, words)])

    def narrow(self, masks: Masks, columns: Mapping[int, Column]) -> None:
        """Take away the bits of the selectors that the events' values rule out."""
        values = columns[self.column]
        try:
            numbers = np.array(values, np.float64)  # null becomes NaN
        except OverflowError:
            numbers = np.full(1, np.inf)
        if len(numbers) != len(values) or np.any(np.abs(numbers) > _EXACT):
            for index, part in self.parts:
                ask(masks, index, part, columns)
            return
        and_regions(masks, self.rows, self.literals, numbers)


_HOLDS: dict[str, Callable[[int, int], bool]] = {
    "==": lambda x, literal: x == literal,
    "!=": lambda x, literal: x != literal,
    "<": lambda x, literal: x < literal,
    "<=": lambda x, literal: x <= literal,
    ">": lambda x, literal: x > literal,
    ">=": lambda x, literal: x >= literal,
}


def ask(masks: Masks, index: int, part: Part, columns: Mapping[int, Any]) -> None:
    """Ask the part's test of the events that still have bit ``index``."""
    word, bit = bit_of(index)
    left = np.flatnonzero(masks[:, word] & bit)
    values: list[Any] = [None] * (max(part.columns) + 1)
    for i in left.tolist():
        for column in part.columns:
            values[column] = columns[column][i]
        if not part.test(tuple(values)):
            masks[i, word] &= ~bit
