"""Values that are no scalar words (texts, odd numbers, lists), numbered; one table for all rows of a process."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from state.calendar import date_ordinal
from state.cells import address
from state.exact import SCALE, to_units
from state.footprint import sampled_bytes
from state.log import Words
from state.words import KIND_BITS, KIND_MASK, OBJECT, encode_one

_KEYED = (str, int, float, bool)

_REMEMBERED_TABLES = 16


class ObjectHolder(Protocol):
    """Who keeps scalars whose objects are in the table."""

    def mark_objects(self, used: NDArray[np.bool_]) -> None:
        """Set the cells of the objects that are held."""

    def renumber_objects(self, numbers: Words) -> None:
        """Give the objects that are held new numbers, by their old ones."""


class ObjectTable:
    """Gives values numbers, equal ones (of the same type) the same.

    Parameters
    ----------
    least
        So many values are kept without asking whether they are in use.

    Attributes
    ----------
    values
        The values by number.
    addresses
        Of what the kernels know of them by number: the value of a number in two parts, else NaN (float64 each), whether
        it is an integer (bool), and the ordinal of a date, else 0 (int64).
    """

    def __init__(self, least: int = 16_384) -> None:
        self._least, self._in_use = least, 0
        self._holders: list[ObjectHolder] = []
        self.values: list[Any] = []
        self._numbers: dict[type, dict[Any, int]] = {kind: {} for kind in _KEYED}
        self._highs, self._lows = np.full(16, math.nan), np.zeros(16)
        self._whole, self._dates = np.zeros(16, np.bool_), np.zeros(16, np.int64)
        self._known: dict[int, tuple[Sequence[Any], Words]] = {}
        self._reported = 0
        self._refresh()

    def _refresh(self) -> None:
        self.addresses = tuple(map(address, (self._highs, self._lows, self._whole, self._dates)))

    @property
    def used_bytes(self) -> int:
        """Bytes of the table with its values."""
        arrays = self._highs, self._lows, self._whole, self._dates
        key_bytes = sum(map(sys.getsizeof, self._numbers.values()))
        values_bytes = sampled_bytes(self.values, len(self.values)) + sys.getsizeof(self.values)
        return sum(array.nbytes for array in arrays) + key_bytes + values_bytes

    def bytes_to_report(self) -> int:
        """What ``used_bytes`` has grown by since it was asked last, so that of all shards one tells of the table."""
        reported, self._reported = self._reported, self.used_bytes
        return max(0, self._reported - reported)

    def hold(self, holder: ObjectHolder) -> None:
        """Let someone keep scalars of this table from one step to the next."""
        self._holders.append(holder)

    def collect_when_doubled(self) -> None:
        """Drop the values that nobody holds any more and number the others anew, if there are twice as many values as
        were in use last time. Only between steps: who is no holder must have no scalars of this table.
        """
        count = len(self.values)
        if count < max(self._least, 2 * self._in_use):
            return
        used = np.zeros(count, np.bool_)
        for holder in self._holders:
            holder.mark_objects(used)
        kept = np.flatnonzero(used)
        numbers = np.cumsum(used) - 1
        for holder in self._holders:
            holder.renumber_objects(numbers)
        self._in_use = len(kept)
        self.values = [self.values[number] for number in kept.tolist()]
        for numbers_of in self._numbers.values():
            numbers_of.clear()
        for number, value in enumerate(self.values):
            if type(value) in self._numbers:
                self._numbers[type(value)][value] = number
        for array in (self._highs, self._lows, self._whole, self._dates):
            array[: len(kept)] = array[kept]
        self._known.clear()

    def number(self, value: Any) -> int:
        """The number of a value."""
        known = self._numbers.get(type(value))
        if known is not None and value in known:
            return known[value]
        number = len(self.values)
        self.values.append(value)
        if known is not None:
            known[value] = number
        if number >= len(self._dates):
            self._highs, self._lows, self._whole, self._dates = (
                np.concatenate([array, np.zeros_like(array)])
                for array in (self._highs, self._lows, self._whole, self._dates)
            )
            self._refresh()
        self._highs[number], self._lows[number], self._whole[number] = _in_parts(value)
        self._dates[number] = date_ordinal(value)
        return number

    def word(self, value: Any) -> int:
        """The scalar word of a value."""
        objects: list[Any] = []
        word = encode_one(value, objects)
        return self.number(value) << KIND_BITS | OBJECT if objects else word

    def adopt(self, words: Words, objects: Sequence[Any]) -> Words:
        """The scalars of a batch, whose table is ``objects``, with the numbers of this table."""
        if not objects:
            return words
        known = self._known.get(id(objects))  # slices of one batch share its table
        if known is None or known[0] is not objects:
            if len(self._known) >= _REMEMBERED_TABLES:
                self._known.clear()
            known = self._known[id(objects)] = objects, np.array(self._numbers_of(objects), np.int64)
        is_object = (words & KIND_MASK) == OBJECT
        if not is_object.any():
            return words
        adopted = words.copy()
        adopted[is_object] = known[1][words[is_object] >> KIND_BITS] << KIND_BITS | OBJECT
        return adopted

    def _numbers_of(self, objects: Sequence[Any]) -> list[int]:
        texts = self._numbers[str]  # nearly all are, and most of them known
        found = [texts.get(value) if type(value) is str else None for value in objects]
        return [self.number(value) if number is None else number for value, number in zip(objects, found, strict=True)]


def _in_parts(value: Any) -> tuple[float, float, bool]:
    """A number as two doubles, and whether it is an integer; not a number for anything else.

    As in ``state.exact``, what prints with up to four decimals is that decimal.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan, 0.0, False
    if isinstance(value, float):
        units = to_units(value)
        return value, float(Fraction(units, SCALE) - Fraction(value)) if isinstance(units, int) else 0.0, False
    try:
        high = float(value)
    except OverflowError:
        return math.copysign(math.inf, value), 0.0, True
    return high, float(value - int(high)), True
