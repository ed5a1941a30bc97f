"""Packs tuples of JSON values into few bytes, for values that are kept for every customer and seldom looked at."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Sequence
from typing import Any

MAX_SHAPES = 4_096
"""Objects whose names are none of the first so many lists of names keep them themselves."""

_PLAIN = -1
"""Stands where the number of a list of names would."""


class Packer:
    """Packs values; the lists of names of the objects among them are kept once, not in every object.

    What one packer packs, only it unpacks, or another that is given its ``shapes``: the lists of names.

    >>> packer = Packer()
    >>> values = (None, 2.5, [{"kind": "fund", "amount": 5}, {"kind": "loan", "amount": 7}])
    >>> packer.unpack(packer.pack(values)) == values
    True
    """

    def __init__(self, shapes: Iterable[Sequence[str]] = ()) -> None:
        self.shapes: list[tuple[str, ...]] = list(map(tuple, shapes))
        self._numbers = {names: number for number, names in enumerate(self.shapes)}

    def pack(self, values: tuple[Any, ...]) -> bytes:
        """The values (of JSON, without a set of their own) as bytes."""
        return marshal.dumps([self._pack_list(value) if type(value) is list else value for value in values])

    def unpack(self, packed: bytes) -> tuple[Any, ...]:
        """The values again, equal to those that were packed."""
        return tuple(
            [self._unpack_entry(entry) for entry in value] if type(value) is tuple else value
            for value in marshal.loads(packed)
        )

    def _pack_list(self, entries: list[Any]) -> tuple[Any, ...]:
        return tuple([self._pack_entry(entry) for entry in entries])

    def _pack_entry(self, entry: Any) -> tuple[Any, ...]:
        if type(entry) is not dict:
            return _PLAIN, entry
        names = tuple(entry)
        number = self._numbers.get(names)
        if number is None:
            if len(self.shapes) == MAX_SHAPES:
                return _PLAIN, entry
            number = self._numbers[names] = len(self.shapes)
            self.shapes.append(names)
        return number, *entry.values()

    def _unpack_entry(self, entry: tuple[Any, ...]) -> Any:
        if entry[0] == _PLAIN:
            return entry[1]
        return dict(zip(self.shapes[entry[0]], entry[1:], strict=True))
