"""Rows on their way to disk and back: those that changed, with their logs in a small pool of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.cells import address, get, put
from state.compaction import compact, renumber_objects
from state.compiled import compiled
from state.json_values import from_json, to_json
from state.log import Memory, Words, allocate, has_room, release
from state.objects import ObjectTable
from state.reads import row_address
from state.row_index import RowIndex
from state.store import RowStore
from state.tables import STREAMS, Tables
from state.texts import Texts

Sections = Mapping[str, Any]
"""Buffers by name, as they lie in a file."""


class LayoutError(ValueError):
    """Rows are not laid out as their rules are laid out by this version of the program."""


@dataclass(slots=True)
class RowFrame:
    """Rows as one file has them.

    Attributes
    ----------
    hashes, ids
        uint64[n] and texts: whose rows they are.
    removed_hashes, removed_ids
        Whose rows were removed before these were written.
    fixed, pool
        int64[n, row_words] and int64[m]: the rows, and the blocks that they refer to.
    objects
        What the scalars' numbers stand for.
    """

    hashes: NDArray[np.uint64]
    ids: Texts
    removed_hashes: NDArray[np.uint64]
    removed_ids: Texts
    fixed: Words
    pool: Words
    objects: list[Any]

    @classmethod
    def of(cls, store: RowStore, rows: Words, removed: tuple[NDArray[np.uint64], Texts], now_ms: int) -> RowFrame:
        """Copies of some rows, without what no window reaches after ``now_ms``."""
        fixed = store.fixed[rows]
        memory = store.memory._replace(fixed=address(fixed))
        pool = np.zeros(1 + block_words(memory, store.tables, len(rows)), np.int64)
        used = compact(memory, store.tables, len(rows), now_ms, address(pool))
        pool = pool[:used]
        copied = memory._replace(pool=address(pool), pool_words=used)
        objects = _own_objects(store, copied, len(rows))
        return cls(store.index.hashes[rows], store.index.ids_of(rows), *removed, fixed, pool, objects)

    def sections(self, name: str) -> dict[str, Any]:
        """As sections of a file, ``name`` before their names."""
        parts = {
            "hashes": self.hashes, "fixed": self.fixed, "pool": self.pool, "objects": to_json(self.objects),
            "removed_hashes": self.removed_hashes,
        }  # fmt: skip
        for key, texts in (("ids", self.ids), ("removed_ids", self.removed_ids)):
            own = texts.compact()
            parts |= {f"{key}_lengths": own.lengths, f"{key}_bytes": own.buffer}
        return {f"{name}.{key}": part for key, part in parts.items()}

    @classmethod
    def from_sections(cls, name: str, sections: Sections, row_words: int) -> RowFrame:
        """From the sections of a file; they are copied.

        Raises
        ------
        LayoutError
            Its rows are of another width.
        """

        def array(key: str, kind: Any) -> Any:
            return np.frombuffer(sections[f"{name}.{key}"], kind).copy()

        def texts(key: str) -> Texts:
            return Texts.consecutive(array(f"{key}_bytes", np.uint8), array(f"{key}_lengths", np.int32))

        hashes, words = array("hashes", np.uint64), array("fixed", np.int64)
        if len(words) != len(hashes) * row_words:
            raise LayoutError(f"{len(hashes)} rows of {name} have {len(words)} words, not {row_words} each")
        return cls(
            hashes, texts("ids"), array("removed_hashes", np.uint64), texts("removed_ids"),
            words.reshape(-1, row_words), array("pool", np.int64), from_json(sections[f"{name}.objects"]),
        )  # fmt: skip


class Newest:
    """Goes through frames from the newest to the oldest and tells what in each no newer one has."""

    def __init__(self) -> None:
        self._known = RowIndex()
        self._taken = np.zeros(0, np.bool_)
        self._noted = np.zeros(0, np.bool_)

    def rows(self, frame: RowFrame) -> tuple[Words, NDArray[np.bool_]]:
        """Of a frame the rows that count; and, by row, whether ``note`` may count it too."""
        places = self._places(frame.hashes, frame.ids)
        new, unnoted = ~self._taken[places], ~self._noted[places]
        self._taken[places] = True
        gone = self._places(frame.removed_hashes, frame.removed_ids)
        self._taken[gone] = self._noted[gone] = True
        self._last = places
        return np.flatnonzero(new), unnoted

    def note(self, rows: Words) -> None:
        """Older frames' notes on these rows of the last frame count no more."""
        self._noted[self._last[rows]] = True

    def _places(self, hashes: NDArray[np.uint64], ids: Texts) -> Words:
        places = self._known.rows(hashes, ids)
        more = len(self._known) - len(self._taken)
        self._taken, self._noted = (np.concatenate([x, np.zeros(more, np.bool_)]) for x in (self._taken, self._noted))
        return places


def put_rows(store: RowStore, frame: RowFrame, rows: Words) -> Words:
    """Put some rows of a frame into a store, which has none of them yet; their numbers there."""
    fixed, count = frame.fixed[rows], len(rows)
    numbers = np.array([store.objects.number(value) for value in frame.objects] or [0], np.int64)
    memory = store.memory._replace(fixed=address(fixed), pool=address(frame.pool))
    renumber_objects(memory, store.tables, count, address(store.scalars), address(store.dated), address(numbers), 0)
    places = store.rows(frame.hashes[rows], frame.ids.take(rows))
    at = 0
    while (at := place(store.memory, store.tables, memory, address(places), at, count)) < count:
        store.grow_pool()
    return places


def _own_objects(store: RowStore, memory: Memory, rows: int) -> list[Any]:
    """Number the objects of copied rows for themselves; the objects by these numbers."""
    table: ObjectTable = store.objects
    used = np.zeros(len(table.values) + 1, np.bool_)
    renumber_objects(memory, store.tables, rows, address(store.scalars), address(store.dated), 0, address(used))
    kept = np.flatnonzero(used)
    numbers = np.empty(len(used), np.int64)  # not filled: few of the process's objects are those of some rows
    numbers[kept] = np.arange(len(kept))
    renumber_objects(memory, store.tables, rows, address(store.scalars), address(store.dated), address(numbers), 0)
    return [table.values[number] for number in kept.tolist()]


@compiled
def block_words(memory: Memory, tables: Tables, rows: int) -> int:
    """Words of all blocks of some rows."""
    total = 0
    for number in range(rows):
        row = row_address(memory, number)
        for stream in range(STREAMS):
            if get(tables.log_words, stream):
                block = get(row, get(tables.log_header, stream))
                if block:
                    total += get(memory.sizes, block & 0xFF)
        if tables.holding_width:
            block = get(row, tables.holdings_header)
            if block:
                total += get(memory.sizes, block & 0xFF)
    return total


@compiled
def place(memory: Memory, tables: Tables, source: Memory, rows: int, start: int, count: int) -> int:
    """Copy rows of ``source`` from ``start`` on to ``rows`` of ``memory``; the first not copied for want of room."""
    for i in range(start, count):
        row, given = row_address(memory, get(rows, i)), row_address(source, i)
        for word in range(memory.row_words):
            put(row, word, get(given, word))
        for stream in range(STREAMS + 1):
            if stream < STREAMS:
                if get(tables.log_words, stream) == 0:
                    continue
                header = get(tables.log_header, stream)
            else:
                if tables.holding_width == 0:
                    continue
                header = tables.holdings_header
            block = get(given, header)
            if block == 0:
                continue
            block_class = block & 0xFF
            if not has_room(memory, block_class):
                give_back(memory, tables, row, stream)
                return i
            offset = allocate(memory, block_class)
            for word in range(get(memory.sizes, block_class)):
                put(memory.pool, offset + word, get(source.pool, (block >> 8) + word))
            put(row, header, offset << 8 | block_class)
    return count


@compiled
def give_back(memory: Memory, tables: Tables, row: int, streams: int) -> None:
    """Release the blocks of the first ``streams`` streams' logs."""
    for stream in range(streams):
        if get(tables.log_words, stream):
            block = get(row, get(tables.log_header, stream))
            if block:
                release(memory, block >> 8, block & 0xFF)
