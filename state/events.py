"""The events of a step, and the room for what walks hand to Python."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.cells import address
from state.log import Words
from state.objects import ObjectTable
from state.reads import BIG_WHOLE, BOOLEAN, NULL, NUMBER, OBJECT, WHOLE
from state.walk import Records

RECORDS, VALUES = 4_096, 65_536
"""Room for what one walk hands to Python; it goes on where it had to stop."""


class RecordBuffer:
    """Room for what walks hand to Python; may be shared by stores that take turns."""

    def __init__(self) -> None:
        self.events, self.rules, self.starts = (np.empty(RECORDS, np.int64) for _ in range(3))
        self.kinds, self.integers, self.doubles = (
            np.empty(VALUES, np.int64),
            np.empty(VALUES, np.int64),
            np.empty(VALUES),
        )
        self.counters = np.zeros(2, np.int64)
        self.addresses = Records(
            address(self.events), address(self.rules), address(self.starts), address(self.kinds),
            address(self.integers),
            address(self.doubles), address(self.counters), RECORDS, VALUES,
        )  # fmt: skip

    def captured(self, objects: ObjectTable) -> list[Any]:
        """The values that come with the records."""
        count = self.counters[1]
        columns = self.kinds[:count].tolist(), self.integers[:count].tolist(), self.doubles[:count].tolist()
        return [
            integer if kind == WHOLE else double if kind == NUMBER else value_of(objects, kind, integer, double)
            for kind, integer, double in zip(*columns, strict=True)
        ]


def value_of(objects: ObjectTable, kind: int, integer: int, double: float) -> Any:
    """A value of the kernels as Python's."""
    if kind == WHOLE:
        return integer
    if kind == NUMBER:
        return double
    if kind in (NULL, BOOLEAN):
        return bool(integer) if kind == BOOLEAN else None
    if kind == BIG_WHOLE:
        return int(double) + integer
    assert kind == OBJECT
    return objects.values[integer]


class Events:
    """Events of one shard in processing order, ready for the kernels.

    ``entities``: kinds, integers and doubles of entities' features, [n, features] each.
    """

    def __init__(
        self, effective_ms: Words, ts_ms: Words, stream: NDArray[np.uint8], signature: Words,
        masks: NDArray[np.uint64], words: Words, hashes: NDArray[np.uint64], rows: Words,
        entities: tuple[Words, Words, NDArray[np.float64]],
    ) -> None:  # fmt: skip
        self.effective_ms, self.ts_ms, self.stream, self.signature = effective_ms, ts_ms, stream, signature
        self.masks, self.words, self.hashes, self.rows = masks, words, hashes, rows
        self.entity_kind, self.entity_integer, self.entity_double = entities

    def __len__(self) -> int:
        return len(self.rows)


def moment(t_ms: int) -> Events:
    """One event of no stream that matches nothing, for the clock's sake."""
    times = np.array([t_ms], np.int64)
    none = np.empty((1, 0), np.int64)
    return Events(
        times, times, np.zeros(1, np.uint8), times, np.zeros((1, 1), np.uint64), none, np.empty((1, 0), np.uint64),
        times, (none, none, np.empty((1, 0))),
    )  # fmt: skip
