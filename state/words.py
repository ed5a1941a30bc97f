"""One scalar in 64 bits, so that columns of mixed JSON values are arrays.

A word is ``payload << 3 | kind``. Numbers are exact: their payload counts ten-thousandths, and what is no multiple of
one (or too large) is kept as a Python value in a table beside the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import is_
from typing import Any

import numpy as np
import numpy.typing as npt

from state.compiled import compiled
from state.exact import SCALE, to_units

Words = npt.NDArray[np.int64]

KIND_BITS = 3
KIND_MASK = 7

NULL = 0
WHOLE = 1
"""An integer of at most ``WHOLE_MAX``; the payload is the value times 10,000."""
DECIMAL = 2
"""A double that prints as a multiple of 1/10,000; the payload is the number of ten-thousandths."""
BOOL = 3
OBJECT = 4
"""Anything else: the payload is an index into a table of Python values."""

WHOLE_MAX = 10**14
_DECIMAL_LIMIT = 1 << 60
_VECTOR_LIMIT = 2.0**53 / SCALE / 2
"""Below this, arithmetic on doubles finds the number of ten-thousandths (see ``state.exact``)."""

_UNDECIDED = -1  # no word: its kind would be 7
_NUMBER_TYPES = frozenset((int, float, type(None)))


class _Numbering(dict[Any, int]):
    """Words of texts, numbered as they come."""

    def __init__(self, objects: list[Any]) -> None:
        super().__init__({None: NULL})
        self._objects = objects

    def __missing__(self, text: str) -> int:
        word = self[text] = len(self._objects) << KIND_BITS | OBJECT
        self._objects.append(text)
        return word


def encode(values: Sequence[Any], objects: list[Any]) -> Words:
    """The words of some values; what needs the table is appended to ``objects``.

    Equal texts of one call share an entry of the table.
    """
    types = set(map(type, values))
    if types <= _NUMBER_TYPES:
        return _encode_numbers(values, types, objects)
    if types == {str} or types == {str, type(None)}:
        return np.fromiter(map(_Numbering(objects).__getitem__, values), np.int64, len(values))
    return _encode_each(values, objects)


def encode_one(value: Any, objects: list[Any]) -> int:
    """The word of one value."""
    kind = type(value)
    if value is None:
        return NULL
    if kind is bool:
        return int(value) << KIND_BITS | BOOL
    if kind is int and -WHOLE_MAX <= value <= WHOLE_MAX:
        return int(value) * SCALE << KIND_BITS | WHOLE
    if kind is float and value == value and abs(value) < _DECIMAL_LIMIT and not (value == 0.0 and str(value)[0] == "-"):
        units = to_units(value)
        if type(units) is int and -_DECIMAL_LIMIT < units < _DECIMAL_LIMIT and units / SCALE == value:
            return units << KIND_BITS | DECIMAL
    objects.append(value)
    return len(objects) - 1 << KIND_BITS | OBJECT


def to_python(word: int, objects: Sequence[Any]) -> Any:
    """The value of a word.

    >>> table = []
    >>> [to_python(int(word), table) for word in encode([None, True, 7, 0.25, "a", 1e-9], table)], table
    ([None, True, 7, 0.25, 'a', 1e-09], ['a', 1e-09])
    """
    kind, payload = word & KIND_MASK, word >> KIND_BITS
    if kind == NULL:
        return None
    if kind == WHOLE:
        return payload // SCALE
    if kind == DECIMAL:
        return payload / SCALE
    return bool(payload) if kind == BOOL else objects[payload]


def restrict(words: Words, objects: Sequence[Any], kept: list[Any]) -> Words:
    """The words with their objects numbered anew: those in use are appended to ``kept``."""
    if not objects:
        return words
    numbers = np.full(len(objects), -1, np.int64)
    used = np.empty(len(objects), np.int64)
    renumbered = words.copy()
    count = _renumber(renumbered.reshape(-1), numbers, used, len(kept))
    kept.extend([objects[i] for i in used[:count].tolist()])
    return renumbered


def _encode_each(values: Iterable[Any], objects: list[Any]) -> Words:
    texts = _Numbering(objects)
    words = [texts[value] if type(value) is str else encode_one(value, objects) for value in values]
    return np.array(words, np.int64)


def _encode_numbers(values: Sequence[Any], types: set[type], objects: list[Any]) -> Words:
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:
        return _encode_each(values, objects)  # an integer beyond the doubles
    if int in types and float in types:
        whole = np.fromiter(map(is_, map(type, values), repeat(int)), np.bool_, len(values))
    else:
        whole = np.full(len(values), int in types)
    words = np.empty(len(values), np.int64)
    if _number_words(numbers, whole, words):
        for i in np.flatnonzero(words == _UNDECIDED).tolist():
            words[i] = encode_one(values[i], objects)
    return words


@compiled
def _number_words(numbers: npt.NDArray[np.float64], whole: npt.NDArray[np.bool_], words: Words) -> int:
    """Fill in the words of numbers (null is NaN); the number of those left ``_UNDECIDED``."""
    undecided = 0
    for i in range(len(numbers)):
        x = numbers[i]
        words[i] = _UNDECIDED
        if x != x:
            words[i] = NULL
        elif whole[i]:
            if abs(x) <= WHOLE_MAX:  # so an exact integer
                words[i] = np.int64(x) * SCALE << KIND_BITS | WHOLE
        elif -_VECTOR_LIMIT < x < _VECTOR_LIMIT:
            units = np.rint(x * SCALE)
            if units / SCALE == x and not (x == 0.0 and np.signbit(x)):
                words[i] = np.int64(units) << KIND_BITS | DECIMAL
        if words[i] == _UNDECIDED:
            undecided += 1
    return undecided


@compiled
def _renumber(words: Words, numbers: Words, used: Words, first: int) -> int:
    """Give the objects in use consecutive numbers from ``first``; the number of them, their old ones in ``used``."""
    count = 0
    for i in range(len(words)):
        if words[i] & KIND_MASK == OBJECT:
            payload = words[i] >> KIND_BITS
            if numbers[payload] < 0:
                numbers[payload] = first + count
                used[count] = payload
                count += 1
            words[i] = numbers[payload] << KIND_BITS | OBJECT
    return count
