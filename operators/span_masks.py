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
        texts = [[_SpanTexts(one, masks.words, key) for one in stream.texts] for stream in masks.streams]
        # What costs nothing in Python goes first: it spares events the rest.
        self._texts = [sorted(some, key=lambda one: not one.only_choices) for some in texts]

    def masks(self, stream: int, count: int, columns: Mapping[int, SpanColumn]) -> Masks:
        """The masks (uint64[count, words]) of ``count`` events of one stream."""
        parts = self._streams[stream]
        masks = np.empty((count, self._words), np.uint64)
        masks[:] = parts.base
        for numbers in parts.numbers:
            _narrow_by_number(masks, numbers, columns)
        for texts in self._texts[stream]:
            texts.narrow(masks, columns)
        for index, part in parts.others:
            ask(masks, index, part, columns)
        return masks


def _narrow_by_number(masks: Masks, numbers: NumberParts, columns: Mapping[int, SpanColumn]) -> None:
    and_regions(masks, numbers.rows, numbers.literals, columns[numbers.column].numbers())


class _SpanTexts:
    """The rows of ``TextParts`` by the hash of the texts; row 0 is for every text that is no choice."""

    def __init__(self, parts: TextParts, words: int, key: Key) -> None:
        self.only_choices = not parts.tests
        self._parts = parts
        self._words = words
        self._table = _HashTable()
        self._rows: Masks = np.array([mask_row(parts.evaluate_unknown(), words)])
        bits = 0
        for bit, _ in parts.tests:
            bits |= bit
        self._tested = mask_row(bits, words)
        if len(parts.columns) == 1:
            texts = [None, *parts.choices]
            self._keep([value_hash(text, key) for text in texts], [parts.evaluate(text) for text in texts])

    def narrow(self, masks: Masks, columns: Mapping[int, SpanColumn]) -> None:
        """Take away the bits of the selectors that the events' texts rule out."""
        used = [columns[column] for column in self._parts.columns]
        if self.only_choices:
            rows = self._table.find(used[0].hashes())
            rows[rows < 0] = 0
            and_rows(masks, self._rows, rows)
            return
        hashes = reduce(_mixed, [column.hashes() for column in used])
        rows = self._table.find(hashes)
        missing = np.flatnonzero(rows < 0)
        if not len(missing):
            and_rows(masks, self._rows, rows)
            return
        # Row 0 is all that is to be said of an event without a bit that a test could take.
        undecided = (masks[missing] & self._tested & self._rows[0]).any(axis=1)
        rows[missing[~undecided]] = 0
        passing = self._add_new(missing[undecided].tolist(), hashes, rows, used)
        and_rows(masks, np.concatenate([self._rows, passing]) if len(passing) else self._rows, rows)

    def _add_new(
        self, missing: list[int], hashes: Hashes, rows: npt.NDArray[np.int64], used: list[SpanColumn]
    ) -> Masks:
        """Find the rows of texts that are not in the table; those that don't go into it have negative numbers."""
        kept: dict[int, int] = {}
        passing: dict[int, int] = {}
        room = match.MEMO_LIMIT - len(self._rows)
        places = []
        for i, number in zip(missing, hashes[missing].tolist(), strict=True):
            if number not in kept and number not in passing:
                texts = [column[i] for column in used]
                mask = self._parts.evaluate(texts[0] if len(texts) == 1 else tuple(texts))
                short = all(len(text or "") <= match.MEMO_TEXT_CODE_POINTS for text in texts)
                (kept if short and len(kept) < room else passing)[number] = mask
            places.append(number)
        first = len(self._rows)
        numbers = {number: first + k for k, number in enumerate(kept)}
        numbers |= {number: k - len(passing) for k, number in enumerate(passing)}
        rows[missing] = [numbers[number] for number in places]
        self._keep(list(kept), list(kept.values()))
        return np.array([mask_row(mask, self._words) for mask in passing.values()], np.uint64).reshape(-1, self._words)

    def _keep(self, hashes: list[int], masks: list[int]) -> None:
        if hashes:
            self._table.add(hashes, len(self._rows))
            self._rows = np.concatenate([self._rows, [mask_row(mask, self._words) for mask in masks]])


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

    def add(self, hashes: list[int], first: int) -> None:
        """Add hashes that are not there, with consecutive numbers from ``first``."""
        self._count += len(hashes)
        size = len(self._hashes)
        while 2 * self._count > size:
            size *= 2
        if size > len(self._hashes):
            there = self._numbers >= 0
            old = self._hashes[there], self._numbers[there]
            self._hashes, self._numbers = np.zeros(size, np.uint64), np.full(size, -1, np.int64)
            _insert(self._hashes, self._numbers, *old)
        numbers = np.arange(first, first + len(hashes), dtype=np.int64)
        _insert(self._hashes, self._numbers, np.array(hashes, np.uint64), numbers)


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
