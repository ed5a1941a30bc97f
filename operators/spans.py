"""A column of scanned values: kinds, and words or places in the buffer; Python objects only where asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from operators.scan import Kinds
from operators.scan_values import ABSENT, NULL, NUMBER, TEXT, TRUTH
from state.cells import address
from state.compiled import compiled
from state.exact import SCALE
from state.hashing import Hashes, Key, sip_hash, value_hash
from state.texts import Buffer, Lengths
from state.words import KIND_BITS, OBJECT, Words, to_python

_ONE = np.uint64(1)


class SpanColumn:
    """``n`` values of one field; see ``scan`` for what the arrays hold. Indexing gives the Python value."""

    def __init__(self, buffer: Buffer, kinds: Kinds, values: Words, sizes: Lengths, key: Key) -> None:
        self._buffer = buffer
        self._kinds = kinds
        self._values = values
        self._sizes = sizes
        self._key = key
        self._hashes: Hashes | None = None
        self._only_texts = False

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, index: int) -> Any:
        kind = self._kinds[index]
        if kind == TEXT:
            start = int(self._values[index])
            return self._buffer[start : start + int(self._sizes[index])].tobytes().decode()
        return None if kind in (ABSENT, NULL) else to_python(int(self._values[index]), ())

    def spans(self) -> tuple[int, Kinds, Words, Lengths]:
        """The buffer's address, and the arrays; for kernels."""
        return address(self._buffer), self._kinds, self._values, self._sizes

    def identities(self) -> Words:
        """A number for each value, the same for the same ones; of a number or boolean it is the word."""
        texts = self._kinds == TEXT
        numbers = np.where((self._kinds == NUMBER) | (self._kinds == TRUTH), self._values, -1)
        return np.where(texts, self._text_hashes().view(np.int64), numbers) if texts.any() else numbers

    def numbers(self) -> npt.NDArray[np.float64]:
        """The numbers as doubles, NaN for what is none."""
        numbers = np.empty(len(self), np.float64)
        _numbers(self._kinds, self._values, numbers)
        return numbers

    def hashes(self) -> Hashes:
        """The hashes of the values, 0 for null; as ``state.hashing.value_hash``."""
        hashes = self._text_hashes()
        if self._only_texts:
            return hashes
        hashes = hashes.copy()
        others = np.flatnonzero((self._kinds == NUMBER) | (self._kinds == TRUTH))
        words, places = np.unique(self._values[others], return_inverse=True)
        found = [value_hash(to_python(word, ()), self._key) for word in words.tolist()]
        hashes[others] = np.array(found, np.uint64)[places]
        return hashes

    def _text_hashes(self) -> Hashes:
        """The hashes of the texts, 0 for null, 1 for what is no text."""
        if self._hashes is None:
            self._hashes = np.empty(len(self), np.uint64)
            keys = np.uint64(self._key[0]), np.uint64(self._key[1])
            base = address(self._buffer)
            self._only_texts = _hash_texts(base, self._kinds, self._values, self._sizes, *keys, self._hashes)
        return self._hashes

    def words(self, objects: list[Any]) -> Words:
        """The words; texts are added to the table ``objects``, equal ones once."""
        words = np.empty(len(self), np.int64)
        firsts = np.empty(len(self), np.int64)
        count = _make_words(self._kinds, self._values, self._text_hashes(), len(objects), words, firsts)
        new = firsts[:count]
        view = self._buffer.data
        places = zip(self._values[new].tolist(), self._sizes[new].tolist(), strict=True)
        objects.extend([str(view[start : start + size], "utf-8") for start, size in places])
        return words


@compiled
def _numbers(kinds: Kinds, values: Words, numbers: npt.NDArray[np.float64]) -> None:
    for i in range(len(kinds)):
        numbers[i] = (values[i] >> KIND_BITS) / SCALE if kinds[i] == NUMBER else np.nan


@compiled
def _hash_texts(
    base: int, kinds: Kinds, values: Words, sizes: Lengths, key_0: np.uint64, key_1: np.uint64, hashes: Hashes
) -> bool:
    """Hash the texts; whether there is nothing else but null (its hash is 1 here)."""
    only_texts = True
    for i in range(len(kinds)):
        if kinds[i] == TEXT:
            hashes[i] = max(_ONE, sip_hash(base + values[i], int(sizes[i]), key_0, key_1, 1, 3))
        elif kinds[i] == ABSENT or kinds[i] == NULL:
            hashes[i] = 0
        else:
            hashes[i] = 1
            only_texts = False
    return only_texts


@compiled
def _make_words(
    kinds: Kinds, values: Words, hashes: Hashes, first: int, words: Words, firsts: npt.NDArray[np.int64]
) -> int:
    """Words with the texts numbered from ``first``; the number of different ones, and where each is first."""
    count, size = 0, 16
    while size < 2 * len(kinds):
        size *= 2
    last = np.uint64(size - 1)
    table = np.full(size, -1, np.int64)
    for i in range(len(kinds)):
        words[i] = 0
        if kinds[i] == TEXT:
            slot = hashes[i] & last
            while table[slot] >= 0 and hashes[firsts[table[slot]]] != hashes[i]:
                slot = (slot + _ONE) & last
            if table[slot] < 0:
                table[slot] = count
                firsts[count] = i
                count += 1
            words[i] = (first + table[slot]) << KIND_BITS | OBJECT
        elif kinds[i] != ABSENT and kinds[i] != NULL:
            words[i] = values[i]
    return count
