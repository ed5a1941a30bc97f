"""Columns of events, running numbers and the identifiers made from them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Columns = dict[str, Array]
"""Equally long arrays by name; every event table has at least `c` (customer number), `ts` and `n` (running number)."""

STREAMS = ("profile", "ticket", "label", "click", "txn", "feedback")
STORY_NUMBERS = 1 << 62
"""Running numbers of story events start here, far above any background event's."""

_SALT = {name: (index + 1) * 0x9E3779B97F4A7C15 % (1 << 64) for index, name in enumerate((*STREAMS, "session", "case"))}


def generator(seed: int, *path: int) -> np.random.Generator:
    """An independent, reproducible random generator for one place (`path`) of the run."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=path)))


def mix64(values: Array) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: a bijection on 64-bit integers, so distinct numbers stay distinct."""
    x = values.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Names:
    """Turns running numbers into 16-digit hex identifiers that tell nothing about how the event was made.

    A `prefix` goes before each, so that the identifiers of two runs differ.
    """

    def __init__(self, seed: int, prefix: str = "") -> None:
        self._prefix = prefix
        state = np.random.SeedSequence(seed, spawn_key=(9,)).generate_state(1, np.uint64)[0]
        self._salt = {name: np.uint64(salt) ^ state for name, salt in _SALT.items()}

    def hex16(self, space: str, numbers: Array) -> list[str]:
        """Identifiers of `numbers` in `space`: a stream's name, `session` or `case`."""
        text = mix64(numbers.astype(np.uint64) ^ self._salt[space]).astype(">u8").tobytes().hex()
        prefix = self._prefix
        return [f"{prefix}{text[i : i + 16]}" for i in range(0, len(text), 16)]

    def one(self, space: str, number: int) -> str:
        """The identifier of a single number."""
        return self.hex16(space, np.array([number], dtype=np.uint64))[0]


class Counters:
    """Running numbers by space."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def take(self, space: str, count: int) -> NDArray[np.int64]:
        """The next `count` numbers of `space`."""
        first = self._next.get(space, 0)
        self._next[space] = first + count
        return np.arange(first, first + count, dtype=np.int64)


def concat(tables: Sequence[Columns]) -> Columns:
    """One table after another; all must have the same columns."""
    if len(tables) == 1:
        return tables[0]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def take(table: Columns, rows: Array) -> Columns:
    """The rows given by an index or a mask."""
    return {name: column[rows] for name, column in table.items()}


def rows_of(table: Columns, names: Iterable[str]) -> Iterable[tuple[Any, ...]]:
    """Rows as tuples of Python values, for formatting."""
    return zip(*(table[name].tolist() for name in names), strict=True)
