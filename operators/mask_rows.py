"""Sets of matchers as rows of 64-bit words, and narrowing many of them at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.compiled import compiled

Masks = npt.NDArray[np.uint64]
"""(n, words): bit i of word j is for matcher 64 * j + i."""

WORD_BITS = 64


def mask_row(mask: int, words: int) -> npt.NDArray[np.uint64]:
    """A bit set as words of 64 bits."""
    ones = (1 << WORD_BITS) - 1
    return np.array([mask >> WORD_BITS * word & ones for word in range(words)], np.uint64)


def bit_of(index: int) -> tuple[int, np.uint64]:
    """The word and the bit in it of a matcher."""
    return index // WORD_BITS, np.uint64(1 << index % WORD_BITS)


@compiled
def and_rows(masks: Masks, table: Masks, rows: npt.NDArray[np.int64]) -> None:
    """Narrow each event's mask by its row of the table; negative rows count from the end."""
    for i in range(len(rows)):
        row = rows[i] if rows[i] >= 0 else rows[i] + len(table)
        for word in range(masks.shape[1]):
            masks[i, word] &= table[row, word]


@compiled
def and_regions(
    masks: Masks, table: Masks, literals: npt.NDArray[np.float64], numbers: npt.NDArray[np.float64]
) -> None:
    """Narrow each event's mask by the row of the region in which its number lies."""
    null = len(table) - 1
    for i in range(len(numbers)):
        x = numbers[i]
        region = null
        if x == x:
            low, high = 0, len(literals)  # the first literal that is not below x
            while low < high:
                middle = (low + high) // 2
                if literals[middle] < x:
                    low = middle + 1
                else:
                    high = middle
            region = 2 * low + (1 if low < len(literals) and literals[low] == x else 0)
        for word in range(masks.shape[1]):
            masks[i, word] &= table[region, word]
