"""The rows of one shard: finding them by id, letting their memory grow, and running the kernels over events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.hashing import compare
from state.log import Memory, Words, block_sizes
from state.machine import STACK
from state.periods import PeriodTable
from state.reads import BIG_WHOLE, BOOLEAN, NULL, NUMBER, OBJECT, WHOLE, Step
from state.tables import Layout, Tables
from state.texts import Texts
from state.walk import Dispatch, Records, answer, tick, walk
from state.words import KIND_BITS, KIND_MASK
from state.words import OBJECT as OBJECT_WORD

_FIRST_ROWS = 64
_FIRST_POOL_WORDS = 1024
_ID_BYTES = 20
_LENGTH_BITS = 16
_GROWTH = 1.5

RECORDS, VALUES = 4_096, 65_536
"""Room for what one walk hands to Python; it goes on where it had to stop."""


class RowStore:
    """Rows of one kind, with the plan's tables.

    Parameters
    ----------
    tables, layout
        Of the plan.
    periods
        Gives the calendar periods of times; shared by all stores of a process.
    """

    def __init__(self, layout: Layout, tables: Tables, periods: PeriodTable) -> None:
        self.tables = tables
        self._periods = periods
        self._row_words = layout.row_words
        self._slots = np.full(2 * _FIRST_ROWS, -1, np.int32)
        self._hashes = np.zeros(_FIRST_ROWS, np.uint64)
        self._places = np.zeros(_FIRST_ROWS, np.int64)
        self._ids = np.empty(_FIRST_ROWS * _ID_BYTES, np.uint8)
        self._counters = np.zeros(2, np.int64)  # rows, bytes of ids
        self.objects: list[Any] = []
        self._object_numbers: dict[Any, int] = {}
        fixed = np.zeros((_FIRST_ROWS, layout.row_words), np.int64)
        sizes = block_sizes()
        counters = np.zeros(4, np.int64)
        counters[0] = 1  # offset 0 stands for no block
        self.memory = Memory(
            fixed, fixed.view(np.float64), np.zeros(_FIRST_POOL_WORDS, np.int64), np.zeros(len(sizes), np.int64), counters,
            sizes, np.full(16, math.nan), np.zeros(16), np.zeros(16, np.bool_),
        )  # fmt: skip
        updates, features = len(tables.updates), len(tables.features)
        self._undo = np.zeros(layout.row_words, np.int64)
        self._undone = np.full(updates, -1, np.int64)
        self._cached = np.full(features, -1, np.int64)
        self._cached_kind, self._cached_integer = np.zeros(features, np.int64), np.zeros(features, np.int64)
        self._cached_double = np.zeros(features)
        self._stack_kinds, self._stack_numbers = np.zeros(STACK, np.int64), np.zeros(STACK)

    def __len__(self) -> int:
        return int(self._counters[0])

    # --- rows ------------------------------------------------------------------------------------

    def rows(self, hashes: NDArray[np.uint64], ids: Texts) -> Words:
        """The rows of some ids, made where they are new."""
        self._make_room(len(ids), int(ids.lengths.sum()))
        found = np.empty(len(ids), np.int64)
        _find_rows(
            hashes, ids.buffer, ids.starts, ids.lengths, self._slots, self._hashes, self._places, self._ids,
            self._counters, found,
        )  # fmt: skip
        return found

    def id_of(self, row: int) -> str:
        """The id of a row."""
        place = int(self._places[row])
        start = place >> _LENGTH_BITS
        return self._ids[start : start + (place & 0xFFFF)].tobytes().decode()

    def _make_room(self, rows: int, id_bytes: int) -> None:
        needed = len(self) + rows
        if needed > len(self._hashes):
            capacity = max(needed, int(len(self._hashes) * _GROWTH))
            self._hashes, self._places = _grown(self._hashes, capacity), _grown(self._places, capacity)
            fixed = _grown(self.memory.fixed, capacity)
            self.memory = self.memory._replace(fixed=fixed, doubles=fixed.view(np.float64))
        if int(self._counters[1]) + id_bytes > len(self._ids):
            self._ids = _grown(self._ids, max(int(self._counters[1]) + id_bytes, int(len(self._ids) * _GROWTH)))
        if 2 * needed > len(self._slots):
            self._slots = np.full(1 << (2 * needed).bit_length(), -1, np.int32)
            _fill_slots(self._slots, self._hashes, len(self))

    # --- events ----------------------------------------------------------------------------------

    def adopt(self, words: Words, objects: Sequence[Any]) -> Words:
        """The scalars of a batch with its objects numbered as they are here."""
        if not objects:
            return words
        flat = words.reshape(-1)
        at = np.flatnonzero((flat & KIND_MASK) == OBJECT_WORD)
        if not len(at):
            return words
        used, inverse = np.unique(flat[at] >> KIND_BITS, return_inverse=True)
        numbers = np.array([self._number_of(objects[i]) for i in used.tolist()], np.int64)
        flat = flat.copy()
        flat[at] = numbers[inverse] << KIND_BITS | OBJECT_WORD
        return flat.reshape(words.shape)

    def _number_of(self, value: Any) -> int:
        key = (type(value), value) if isinstance(value, str | int | float) else None
        number = self._object_numbers.get(key, -1)
        if number >= 0:
            return number
        number = len(self.objects)
        self.objects.append(value)
        if key is not None:
            self._object_numbers[key] = number
        memory = self.memory
        if number >= len(memory.object_numbers):
            capacity = 2 * number
            numbers = np.full(capacity, math.nan)
            numbers[:number] = memory.object_numbers
            self.memory = memory._replace(
                object_numbers=numbers, object_rests=_grown(memory.object_rests, capacity),
                object_whole=_grown(memory.object_whole, capacity)
            )
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                self.memory.object_numbers[number] = float(value)
                if math.isfinite(value):
                    self.memory.object_rests[number] = float(value - int(float(value))) if isinstance(value, int) else 0.0
            except OverflowError:
                self.memory.object_numbers[number] = math.copysign(math.inf, value)
            self.memory.object_whole[number] = isinstance(value, int)
        return number

    def step(
        self, effective_ms: Words, ts_ms: Words, stream: NDArray[np.uint8], signature: Words,
        masks: NDArray[np.uint64], words: Words, hashes: NDArray[np.uint64], rows: Words,
        entities: tuple[Words, Words, NDArray[np.float64]],
    ) -> Step:  # fmt: skip
        """Events in processing order, ready for the kernels; ``entities``: kinds, integers and doubles by feature."""
        numbers, starts = self._periods.of(effective_ms)
        self._undone.fill(-1)
        self._cached.fill(-1)
        return Step(
            effective_ms, ts_ms, stream, signature, masks, words, hashes, rows, numbers, starts, self._undo,
            self._undone, self._cached, self._cached_kind, self._cached_integer, self._cached_double, *entities,
            self._stack_kinds, self._stack_numbers,
        )  # fmt: skip

    def walk(self, dispatch: Dispatch, step: Step, records: Records, start: int, stop: int) -> int:
        """Take events until ``stop`` or until the records are full; returns the first event not taken."""
        records.counters[:] = 0
        most = 1 + len(self.tables.capture_starts)
        while True:
            reached: int = walk(
                self.memory, self.tables, dispatch, step, records, start, stop, most, len(self.tables.captures)
            )
            if reached == stop or records.counters[0]:
                return reached
            self._grow_pool()
            start = reached

    def answer(self, dispatch: Dispatch, step: Step) -> None:
        """Add events and read the features that each wants, into ``step.entity_…``."""
        start = 0
        while (start := answer(self.memory, self.tables, dispatch, step, start)) < len(step.rows):
            self._grow_pool()

    def tick(self, records: Records, rule: int, t_ms: int, start: int) -> int:
        """Try a date rule from row ``start`` on; returns the first row not tried."""
        records.counters[:] = 0
        times = np.array([t_ms], np.int64)
        none = np.empty((1, 0), np.int64)
        step = self.step(
            times, times, np.zeros(1, np.uint8), times, np.zeros((1, 1), np.uint64), none,
            np.empty((1, 0), np.uint64), times, (none, none, np.empty((1, 0))),
        )  # fmt: skip
        return int(
            tick(self.memory, self.tables, step, records, rule, t_ms, start, len(self), len(self.tables.captures))
        )

    def _grow_pool(self) -> None:
        pool = self.memory.pool
        self.memory = self.memory._replace(pool=_grown(pool, int(len(pool) * _GROWTH) + 64))

    def value(self, kind: int, integer: int, double: float) -> Any:
        """A value of the kernels as Python's."""
        if kind == WHOLE:
            return integer
        if kind == NUMBER:
            return double
        if kind == NULL:
            return None
        if kind == BOOLEAN:
            return bool(integer)
        if kind == BIG_WHOLE:
            return int(double) + integer
        assert kind == OBJECT
        return self.objects[integer]

    def flag(self, row: int, bits: int, on: bool) -> None:
        """Set or clear flags of a row."""
        if on:
            self.memory.fixed[row, 0] |= bits
        else:
            self.memory.fixed[row, 0] &= ~bits


def make_records() -> Records:
    """Room for what walks hand to Python; may be shared by stores that take turns."""
    return Records(
        np.empty(RECORDS, np.int64), np.empty(RECORDS, np.int64), np.empty(RECORDS, np.int64),
        np.empty(VALUES, np.int8), np.empty(VALUES, np.int64), np.empty(VALUES), np.zeros(2, np.int64),
    )  # fmt: skip


def _grown(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    """A larger copy along the first axis; what is not used yet takes no memory until it is."""
    grown = np.zeros((capacity, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


@compiled
def _find_rows(
    hashes: NDArray[np.uint64], buffer: NDArray[np.uint8], starts: Words, lengths: NDArray[np.int32],
    slots: NDArray[np.int32], row_hashes: NDArray[np.uint64], places: Words, ids: NDArray[np.uint8], counters: Words,
    found: Words,
) -> None:  # fmt: skip
    """Look ids up in an open-addressing table of rows (``slots``); there must be room for all of them."""
    mask = np.uint64(len(slots) - 1)
    for i in range(len(hashes)):
        at = np.int64(hashes[i] & mask)
        while True:
            row = np.int64(slots[at])
            if row < 0:
                row = counters[0]
                counters[0] = row + 1
                slots[at] = row
                row_hashes[row] = hashes[i]
                places[row] = counters[1] << _LENGTH_BITS | lengths[i]
                for k in range(lengths[i]):
                    ids[counters[1] + k] = buffer[starts[i] + k]
                counters[1] += lengths[i]
                break
            place = places[row]
            if row_hashes[row] == hashes[i] and compare(
                ids, place >> _LENGTH_BITS, place & 0xFFFF, buffer, starts[i], np.int64(lengths[i])
            ) == 0:
                break
            at = (at + 1) & np.int64(mask)
        found[i] = row


@compiled
def _fill_slots(slots: NDArray[np.int32], hashes: NDArray[np.uint64], rows: int) -> None:
    mask = np.uint64(len(slots) - 1)
    for row in range(rows):
        at = np.int64(hashes[row] & mask)
        while slots[at] >= 0:
            at = (at + 1) & np.int64(mask)
        slots[at] = row
