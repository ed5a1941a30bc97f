"""The masks of scanned events: ``column_masks`` where values are places in a buffer and not yet Python objects.

What compiled code can test it tests (numbers, choices, pieces of texts). For the rest a text is known by its keyed
hash: the row of a text that came before is found in a compiled table, and only what is new is looked at in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

import numpy as np
import numpy.typing as npt

from operators import column_masks
from operators.column_masks import ColumnMasks, StreamMasks, TextParts
from operators.mask_rows import Masks, and_regions, and_rows, bit_of, mask_row
from operators.span_asks import Asked
from operators.span_choices import ChoiceRows, PieceRow, and_present
from operators.spans import SpanColumn
from rules.plan import Part
from state.compiled import compiled
from state.hashing import Hashes

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class SpanMasks:
    """Gives what ``masks`` gives, for columns of spans."""

    def __init__(self, masks: ColumnMasks) -> None:
        self._words = masks.words
        self._streams = [_StreamMasks(stream, masks.words) for stream in masks.streams]

    def masks(self, stream: int, count: int, columns: Mapping[int, SpanColumn]) -> Masks:
        """The masks (uint64[count, words]) of ``count`` events of one stream."""
        masks = np.empty((count, self._words), np.uint64)
        masks[:] = self._streams[stream].base
        self._streams[stream].narrow(masks, columns)
        return masks


class _StreamMasks:
    """The conditions on the events of a stream; those that cost little go first, as they spare events the others."""

    def __init__(self, stream: StreamMasks, words: int) -> None:
        self.base = stream.base
        self._numbers = stream.numbers
        self._choices: list[tuple[int, ChoiceRows]] = []
        self._pieces: list[tuple[int, PieceRow]] = []
        self._texts: list[_SpanTexts] = []
        for columns, parts in stream.text_groups.items():
            self._add_texts(columns, parts, words)
        self._present = [(part, *bit_of(index)) for index, part in stream.others if part.present is not None]
        self._others = [Asked(index, part) for index, part in stream.others if part.present is None]

    def _add_texts(self, columns: tuple[int, ...], parts: list[tuple[int, Part]], words: int) -> None:
        pieces: dict[tuple[str, str], int] = {}
        for index, part in parts:
            if part.piece is not None:
                pieces[part.piece] = pieces.get(part.piece, 0) | 1 << index
        for piece, bits in pieces.items():
            self._pieces.append((columns[0], PieceRow(*piece, mask_row(bits, words))))
        whole = TextParts(columns, [(index, part) for index, part in parts if part.piece is None], words)
        tests, whole.tests = whole.tests, []
        if whole.decides:
            choices = [(text, mask_row(whole.evaluate(text), words)) for text in whole.choices]
            of_null, of_others = whole.evaluate(None), whole.evaluate_unknown()
            self._choices.append(
                (columns[0], ChoiceRows(mask_row(of_null, words), mask_row(of_others, words), choices))
            )
        if tests:
            tested = [(bit.bit_length() - 1, replace(part, choices=None)) for bit, part in tests]
            self._texts.append(_SpanTexts(TextParts(columns, tested, words), words))

    def narrow(self, masks: Masks, columns: Mapping[int, SpanColumn]) -> None:
        for numbers in self._numbers:
            and_regions(masks, numbers.rows, numbers.literals, columns[numbers.column].numbers())
        for column, choices in self._choices:
            choices.narrow(masks, columns[column])
        for part, word, bit in self._present:
            and_present(masks, word, bit, columns[part.columns[0]].spans()[1], bool(part.present))
        for column, pieces in self._pieces:
            pieces.narrow(masks, columns[column])
        for texts in self._texts:
            texts.narrow(masks, columns)
        for asked in self._others:
            asked.narrow(masks, columns)


class _SpanTexts:
    """The rows of ``TextParts`` with tests by the hash of the texts; row 0 is for events that need no test."""

    def __init__(self, parts: TextParts, words: int) -> None:
        self._parts = parts
        self._words = words
        self._table = _HashTable()
        self._rows: Masks = np.array([mask_row(-1, words)])
        bits = 0
        for bit, _ in parts.tests:
            bits |= bit
        self._tested = mask_row(bits, words)

    def narrow(self, masks: Masks, columns: Mapping[int, SpanColumn]) -> None:
        """Take away the bits of the selectors that the events' texts rule out."""
        used = [columns[column] for column in self._parts.columns]
        hashes = reduce(_mixed, [column.hashes() for column in used])
        rows = self._table.find(hashes)
        missing = np.flatnonzero(rows < 0)
        if not len(missing):
            and_rows(masks, self._rows, rows)
            return
        undecided = (masks[missing] & self._tested).any(axis=1)
        rows[missing[~undecided]] = 0
        passing = self._add_new(missing[undecided].tolist(), hashes, rows, used)
        and_rows(masks, np.concatenate([self._rows, passing]) if len(passing) else self._rows, rows)

    def _add_new(
        self, missing: list[int], hashes: Hashes, rows: npt.NDArray[np.int64], used: list[SpanColumn]
    ) -> Masks:
        """Find the rows of texts that are not in the table; those that don't go into it have negative numbers."""
        kept: dict[int, int] = {}
        passing: dict[int, int] = {}
        room = column_masks.MEMO_LIMIT - len(self._rows)
        places = []
        for i, number in zip(missing, hashes[missing].tolist(), strict=True):
            if number not in kept and number not in passing:
                texts = [column[i] for column in used]
                mask = self._parts.evaluate(texts[0] if len(texts) == 1 else tuple(texts))
                short = all(len(text or "") <= column_masks.MEMO_TEXT_CODE_POINTS for text in texts)
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
