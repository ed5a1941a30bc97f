"""The masks of scanned events: ``column_masks`` where values are places in a buffer and not yet Python objects.

A text is known by its keyed hash. The row of a text that came before is found in a compiled table, and only what is
new is looked at in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
import numpy.typing as npt

from operators import match
from operators.column_masks import ColumnMasks, Masks, NumberParts, TextParts, and_regions, and_rows, ask, mask_row
from operators.spans import SpanColumn
from state.compiled import compiled
from state.hashing import Hashes, Key, value_hash

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class SpanMasks:
    """Gives what ``masks`` gives, for columns of spans whose texts are hashed with ``key``."""

    def __init__(self, masks: ColumnMasks, key: Key) -> None:
        self._words = masks.words
        self._streams = masks.streams
        self._texts = [[_SpanTexts(texts, masks.words, key) for texts in stream.texts] for stream in masks.streams]

    def masks(self, stream: int, count: int, columns: Mapping[int, SpanColumn]) -> Masks:
        """The masks (uint64[count, words]) of ``count`` events of one stream."""
        parts = self._streams[stream]
        masks = np.empty((count, self._words), np.uint64)
        masks[:] = parts.base
        for texts in self._texts[stream]:
            texts.narrow(masks, columns)
        for numbers in parts.numbers:
            _narrow_by_number(masks, numbers, columns)
        for index, part in parts.others:
            ask(masks, index, part, columns)
        return masks


def _narrow_by_number(masks: Masks, numbers: NumberParts, columns: Mapping[int, SpanColumn]) -> None:
    and_regions(masks, numbers.rows, numbers.literals, columns[numbers.column].numbers())


class _SpanTexts:
    """The rows of ``TextParts`` by the hash of the texts; row 0 is for every text that is no choice."""

    def __init__(self, parts: TextParts, words: int, key: Key) -> None:
        self._parts = parts
        self._words = words
        self._table = _HashTable()
        self._kept: list[npt.NDArray[np.uint64]] = [mask_row(parts.evaluate_null(), words)]
        self._rows: Masks = np.array(self._kept)
        self._only_choices = not parts.tests
        if self._only_choices:
            for text in parts.choices:
                self._keep(value_hash(text, key), parts.evaluate(text))

    def narrow(self, masks: Masks, columns: Mapping[int, SpanColumn]) -> None:
        """Take away the bits of the selectors that the events' texts rule out."""
        used = [columns[column] for column in self._parts.columns]
        hashes = reduce(_mixed, [column.hashes() for column in used])
        rows = self._table.find(hashes)
        passing: list[npt.NDArray[np.uint64]] = []
        if self._only_choices:
            rows[rows < 0] = 0
        else:
            self._add_new(hashes, rows, used, passing)
        if len(self._rows) < len(self._kept):
            self._rows = np.array(self._kept)
        and_rows(masks, np.concatenate([self._rows, passing[::-1]]) if passing else self._rows, rows)

    def _add_new(
        self, hashes: Hashes, rows: npt.NDArray[np.int64], used: list[SpanColumn], passing: list[npt.NDArray[np.uint64]]
    ) -> None:
        fresh: dict[int, int] = {}
        for i in np.flatnonzero(rows < 0).tolist():
            number = int(hashes[i])
            if number not in fresh:
                texts = [column[i] for column in used]
                mask = self._parts.evaluate(texts[0] if len(texts) == 1 else tuple(texts))
                short = all(len(text or "") <= match.MEMO_TEXT_CODE_POINTS for text in texts)
                if short and len(self._kept) < match.MEMO_LIMIT:
                    fresh[number] = self._keep(number, mask)
                else:
                    passing.append(mask_row(mask, self._words))
                    fresh[number] = -len(passing)
            rows[i] = fresh[number]

    def _keep(self, number: int, mask: int) -> int:
        self._kept.append(mask_row(mask, self._words))
        self._table.add(number, len(self._kept) - 1)
        return len(self._kept) - 1


class _HashTable:
    """Numbers (not negative) by hash, with open addressing; the hashes are good ones, so their low bits are slots."""

    def __init__(self) -> None:
        self._count = 0
        self._hashes = np.zeros(64, np.uint64)
        self._numbers = np.full(64, -1, np.int64)

    def find(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """The number of each hash, -1 where there is none."""
        found = np.empty(len(hashes), np.int64)
        _find(self._hashes, self._numbers, hashes, found)
        return found

    def add(self, number: int, value: int) -> None:
        """Add a hash that is not there."""
        self._count += 1
        if 2 * self._count > len(self._hashes):
            old_hashes, old_numbers = self._hashes, self._numbers
            self._hashes = np.zeros(2 * len(old_hashes), np.uint64)
            self._numbers = np.full(2 * len(old_hashes), -1, np.int64)
            there = old_numbers >= 0
            _insert(self._hashes, self._numbers, old_hashes[there], old_numbers[there])
        _insert(self._hashes, self._numbers, np.array([number], np.uint64), np.array([value], np.int64))


def _mixed(a: Hashes, b: Hashes) -> Hashes:
    """One hash of two, in their order."""
    product = (a ^ (a >> _SHIFT)) * _MIX
    mixed: Hashes = (product ^ (product >> _SHIFT)) + b
    return mixed


@compiled
def _find(table: Hashes, numbers: npt.NDArray[np.int64], hashes: Hashes, found: npt.NDArray[np.int64]) -> None:
    last = np.uint64(len(table) - 1)
    for i in range(len(hashes)):
        slot = hashes[i] & last
        while numbers[slot] >= 0 and table[slot] != hashes[i]:
            slot = (slot + np.uint64(1)) & last
        found[i] = numbers[slot]


@compiled
def _insert(table: Hashes, numbers: npt.NDArray[np.int64], hashes: Hashes, values: npt.NDArray[np.int64]) -> None:
    last = np.uint64(len(table) - 1)
    for i in range(len(hashes)):
        slot = hashes[i] & last
        while numbers[slot] >= 0:
            slot = (slot + np.uint64(1)) & last
        table[slot], numbers[slot] = hashes[i], values[i]
