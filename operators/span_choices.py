"""Tests of texts in a buffer that need no Python: is it one of these, does it hold this piece."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators.mask_rows import Masks
from operators.scan import Identities, Integers, Kinds, Lengths, identity, same_middle
from operators.scan_values import ABSENT, NULL, TEXT
from operators.spans import SpanColumn
from state.compiled import compiled
from state.load64 import load8, load64
from state.texts import Texts

STARTS, ENDS, HOLDS = 0, 1, 2
_OPS = {"startswith": STARTS, "endswith": ENDS, "in": HOLDS}
_MIX_1, _MIX_2, _MIX_3 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93))
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZERO, _32, _64 = (np.uint64(n) for n in (0, 32, 64))


class ChoiceRows:
    """Masks by text, for a column of spans.

    Parameters
    ----------
    of_null, of_others
        The masks of an event without a text, and of one with any other text than those of ``choices``.
    choices
        Texts and their masks.
    """

    def __init__(
        self, of_null: npt.NDArray[np.uint64], of_others: npt.NDArray[np.uint64],
        choices: Sequence[tuple[str, npt.NDArray[np.uint64]]],
    ) -> None:  # fmt: skip
        self._rows = np.array([of_null, of_others, *(row for _, row in choices)])
        self._texts = Texts.padded([text for text, _ in choices])
        size = 4
        while size < 2 * len(choices):
            size *= 2
        self._slots = np.full(size, -1, np.int64)
        self._identities = np.empty((len(choices), 2), np.uint64)
        _fill_slots(self._texts.address, self._texts.starts, self._texts.lengths, self._identities, self._slots)

    def narrow(self, masks: Masks, column: SpanColumn) -> None:
        """Take away the bits that the events' texts rule out."""
        texts = self._texts
        _and_choices(
            masks, self._rows, *column.spans(), texts.address, texts.starts, texts.lengths, self._identities,
            self._slots,
        )  # fmt: skip


class PieceRow:
    """A piece that texts must hold (``op`` says where), and the bits of the selectors that want it."""

    def __init__(self, op: str, piece: str, row: npt.NDArray[np.uint64]) -> None:
        self._op = _OPS[op]
        self._piece = Texts.padded([piece])
        self._row = row

    def narrow(self, masks: Masks, column: SpanColumn) -> None:
        """Take away the bits where there is no text, or none with the piece."""
        _and_piece(masks, self._row, *column.spans(), self._piece.address, int(self._piece.lengths[0]), self._op)


@compiled
def _slot_of(first: np.uint64, last: np.uint64, size: int, slots: Integers) -> np.uint64:
    mixed = ((first * _MIX_1) ^ (last * _MIX_2) ^ np.uint64(size)) * _MIX_3
    return (mixed >> _32) & np.uint64(len(slots) - 1)


@compiled
def _fill_slots(base: int, starts: Integers, lengths: Lengths, identities: Identities, slots: Integers) -> None:
    for i in range(len(starts)):
        first, last = identity(base + starts[i], lengths[i])
        identities[i, 0], identities[i, 1] = first, last
        slot = _slot_of(first, last, lengths[i], slots)
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
        slots[slot] = i


@compiled
def _and_choices(
    masks: Masks, rows: Masks, base: int, kinds: Kinds, values: Integers, sizes: Lengths, choice_base: int,
    choice_starts: Integers, choice_sizes: Lengths, identities: Identities, slots: Integers,
) -> None:  # fmt: skip
    for i in range(len(kinds)):
        row = 0
        if kinds[i] == TEXT:
            row = 1
            size = sizes[i]
            first, last = identity(base + values[i], size)
            slot = _slot_of(first, last, size, slots)
            while slots[slot] >= 0:
                k = slots[slot]
                if (
                    identities[k, 0] == first
                    and identities[k, 1] == last
                    and choice_sizes[k] == size
                    and same_middle(base + values[i], choice_base + choice_starts[k], size)
                ):
                    row = 2 + k
                    break
                slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
        for word in range(masks.shape[1]):
            masks[i, word] &= rows[row, word]


@compiled
def _and_piece(
    masks: Masks, row: npt.NDArray[np.uint64], base: int, kinds: Kinds, values: Integers, sizes: Lengths, piece: int,
    piece_size: int, op: int,
) -> None:  # fmt: skip
    head_mask = _ZERO if piece_size == 0 else _ALL >> (_64 - np.uint64(8 * min(piece_size, 8)))
    head = load64(piece) & head_mask
    for i in range(len(kinds)):
        wanted = False
        for word in range(len(row)):
            wanted = wanted or masks[i, word] & row[word] != 0
        if not wanted:
            continue
        found = False
        if kinds[i] == TEXT and sizes[i] >= piece_size:
            last = sizes[i] - piece_size
            for at in range(last if op == ENDS else 0, (0 if op == STARTS else last) + 1):
                start = base + values[i] + at
                if load64(start) & head_mask == head:
                    found = True
                    for k in range(8, piece_size):
                        found = found and load8(start + k) == load8(piece + k)
                    if found:
                        break
        if not found:
            for word in range(len(row)):
                masks[i, word] &= ~row[word]


@compiled
def and_present(masks: Masks, word: int, bit: np.uint64, kinds: Kinds, present: bool) -> None:
    """Take the bit where the value is null, or where it is not."""
    for i in range(len(kinds)):
        if (kinds[i] == ABSENT or kinds[i] == NULL) == present:
            masks[i, word] &= ~bit
