"""The rows of one shard: finding them by id, letting their memory grow, and running the kernels over events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.calendar import date_ordinal
from state.cells import address
from state.changes import Changes
from state.compaction import DAY_MS, CompactionClock, compact, find_idle, renumber_objects, scalar_words, sequence_reach
from state.dispatch import SignatureTable
from state.events import Events, RecordBuffer, moment
from state.layout import Layout
from state.log import POOL_FREE, POOL_USED, Memory, Words, block_sizes
from state.objects import ObjectTable
from state.operations import MACHINE_CELLS
from state.periods import PeriodTable
from state.profiles import keep_holdings
from state.reads import Step
from state.room import Room, SpareRoom
from state.row_index import FIRST_ROWS, RowIndex
from state.tables import R_ARMED, R_FLAGS, Tables
from state.texts import Texts
from state.walk import answer, tick
from state.walker import Walk

_FIRST_POOL_WORDS = 1024
_GROWTH = 1.25
_MOST_HELD = 65_536


class RowStore:
    """Rows of one kind, with the plan's tables.

    Parameters
    ----------
    layout, tables
        Of the plan.
    periods
        Gives the calendar periods of times; shared by all stores of a process, as are the ``objects``.
    compact_after_ms
        Event time after which the memory is compacted at the latest.
    spare
        What compacting moves to; may be shared by stores that take turns.
    """

    def __init__(
        self, layout: Layout, tables: Tables, periods: PeriodTable, objects: ObjectTable,
        compact_after_ms: int = DAY_MS, spare: SpareRoom | None = None,
    ) -> None:  # fmt: skip
        self._clock = CompactionClock(compact_after_ms)
        self._reach = sequence_reach(layout.feature_rows, layout.update_rows)
        self.objects = objects
        self.tables = tables
        self._layout = layout  # keeps the tables alive
        self._periods = periods
        self.index = RowIndex()
        self._rows = Room(FIRST_ROWS, (layout.row_words,))
        self._pool, self._spare = Room(_FIRST_POOL_WORDS), spare or SpareRoom()
        self._mover = self._spare.join()
        self._sizes = block_sizes()
        self._free = np.zeros(len(self._sizes), np.int64)
        self.pool_counters = np.zeros(2, np.int64)
        self.pool_counters[POOL_USED] = 1  # offset 0 stands for no block
        self._undo = np.zeros(layout.row_words, np.int64)
        self._undone = np.full(layout.updates + 1, -1, np.int64)
        self._cached, self._cached_kind, self._cached_integer = (
            np.zeros(layout.features + 1, np.int64) for _ in range(3)
        )
        self._cached_double = np.zeros(layout.features + 1)
        self._held: list[int] = []  # holdings that wait, for one call for many: row, count, columns
        self.dated = np.array([kind == "date" for _, kind in layout.holding_columns] + [False])
        self.changes: Changes | None = None
        self._stack_kinds, self._stack_numbers = np.zeros(MACHINE_CELLS, np.int64), np.zeros(MACHINE_CELLS)
        self._scratch = tuple(
            map(address, (
                self._undo, self._undone, self._cached, self._cached_kind, self._cached_integer, self._cached_double,
                self._stack_kinds, self._stack_numbers,
            ))
        )  # fmt: skip
        self.scalars = scalar_words(layout.update_rows, layout.profile_row)
        self._refresh()
        objects.hold(self)

    def _refresh(self) -> None:
        """Note where the arrays are now."""
        self.fixed: Words = self._rows.cells
        pool = self._pool.cells
        self._memory = Memory(
            address(self.fixed), self.fixed.shape[1], address(pool), len(pool), address(self._free),
            address(self.pool_counters), address(self._sizes), len(self._sizes), *self.objects.addresses,
        )  # fmt: skip

    def __len__(self) -> int:
        """Rows up to the last one in use, free ones included."""
        return len(self.index)

    @property
    def row_words(self) -> int:
        """Words of a row without its logs."""
        return self._layout.row_words

    def note_changes(self) -> None:
        """From now on know which rows change."""
        self.changes = Changes(self.index)

    def changes_in(self, rows: Words) -> None:
        """Something that belongs to some rows changed, here or elsewhere."""
        if self.changes is not None:
            self.changes.note(rows)

    def take_changes(self, *, everything: bool) -> tuple[Words, tuple[NDArray[np.uint64], Texts]]:
        """See ``Changes.take``."""
        assert self.changes is not None
        self._put_holdings()
        return self.changes.take(everything=everything)

    # --- rows ------------------------------------------------------------------------------------

    def rows(self, hashes: NDArray[np.uint64], ids: Texts) -> Words:
        """The rows of some ids, made where they are new."""
        found = self.index.rows(hashes, ids)
        if len(self.index) > len(self.fixed):
            del self.fixed  # or it could not grow where it is
            self._rows.resize(len(self.index.places))
            self._refresh()
        return found

    def id_of(self, row: int) -> str:
        """The id of a row."""
        return self.index.id_of(row)

    # --- memory ----------------------------------------------------------------------------------

    @property
    def filled(self) -> int:
        """Number of rows that are not free."""
        return len(self.index) - self.index.free

    @property
    def used_bytes(self) -> int:
        """Bytes of what is in use: rows with their ids, and logs with their freed blocks."""
        return 8 * (len(self) * self.row_words + int(self.pool_counters[POOL_USED])) + self.index.used_bytes

    def compact_when_due(self, now_ms: int, remembered: Callable[[list[int]], Collection[int]] | None = None) -> bool:
        """Give back what nothing at or after ``now_ms`` can see, if it is time; whether it was.

        ``remembered``: those of some rows of which Python remembers something.
        """
        self.objects.collect_when_doubled()
        self._put_holdings()
        if not self._clock.is_due(now_ms, self.pool_counters):
            return False
        live_words = int(self.pool_counters[POOL_USED] - self.pool_counters[POOL_FREE])
        pool = self._spare.take(live_words)
        used = compact(self.memory, self.tables, len(self), now_ms, address(pool.cells))
        pool.resize(used + _FIRST_POOL_WORDS)  # behind lies what the last one left, which is not to be kept as room
        self._spare.leave(self._pool, self._mover)
        self._pool = pool
        self.pool_counters[POOL_USED], self.pool_counters[POOL_FREE] = used, 0
        self._clock.words_left = used
        self._free.fill(0)
        self._refresh()
        step, _kept = self.prepared(moment(now_ms))
        found = np.empty(len(self) + 1, np.int64)
        count = find_idle(
            self.memory, self.tables, step, len(self), self._layout.updates, address(self._reach), now_ms,
            address(self.index.places), address(found),
        )  # fmt: skip
        if count:
            kept = () if remembered is None else remembered(found[:count].tolist())
            idle = np.setdiff1d(found[:count], np.fromiter(kept, np.int64))
            if self.changes is not None:
                self.changes.note_removed(idle)
            self.fixed[idle] = 0
            self.index.remove(idle)
        return True

    def mark_objects(self, used: NDArray[np.bool_]) -> None:
        """See ``ObjectHolder``."""
        self._put_holdings()
        self._renumber_objects(0, address(used))

    def renumber_objects(self, numbers: Words) -> None:
        """See ``ObjectHolder``."""
        self._renumber_objects(address(numbers), 0)

    def _renumber_objects(self, numbers: int, used: int) -> None:
        scalars, dated = address(self.scalars), address(self.dated)
        renumber_objects(self.memory, self.tables, len(self), scalars, dated, numbers, used)

    # --- events ----------------------------------------------------------------------------------

    def prepared(self, events: Events) -> tuple[Step, tuple[NDArray[Any], ...]]:
        """The events as addresses, and the arrays that must live as long."""
        numbers, starts = self._periods.of(events.effective_ms)
        self._undone.fill(-1)
        self._cached.fill(-1)
        arrays: tuple[NDArray[Any], ...] = (
            events.effective_ms, events.ts_ms, events.stream, events.signature, events.masks, events.words,
            events.hashes, events.rows, numbers, starts, events.entity_kind, events.entity_integer,
            events.entity_double,
        )  # fmt: skip
        effective_ms, ts_ms, stream, signature, masks, words, hashes, rows, *others = map(address, arrays)
        number, start, *entities = others
        scratch: list[Any] = [*self._scratch[:6], *entities, events.entity_kind.shape[1], *self._scratch[6:]]
        return Step(
            effective_ms, ts_ms, stream, signature, masks, events.masks.shape[1], words, events.words.shape[1], hashes,
            events.hashes.shape[1], rows, number, start, numbers.shape[1], *scratch,
        ), arrays  # fmt: skip

    def walk(self, table: SignatureTable, events: Events, records: RecordBuffer) -> Walk:
        """Begin to take events."""
        self.changes_in(events.rows)
        step, kept = self.prepared(events)
        return Walk(self, self._layout, table, step, kept, records)

    def answer(self, table: SignatureTable, events: Events, *, changing: bool = True) -> None:
        """Add events (unless they only ask) and read the features that each wants, into ``events.entity_…``."""
        if changing:
            self.changes_in(events.rows)
        step, _kept = self.prepared(events)
        start = 0
        while (start := answer(self.memory, self.tables, table.dispatch, step, start, len(events))) < len(events):
            self.grow_pool()

    def tick(self, records: RecordBuffer, rule: int, each_holding: bool, t_ms: int, start: int) -> int:
        """Try a date rule from row ``start`` on; returns the first row not tried."""
        self._put_holdings()
        if self.changes is not None and start == 0 and self._layout.rises(rule):
            self.changes.note(np.arange(len(self)))  # it remembers what the conditions were
        records.counters[:] = 0
        step, _kept = self.prepared(moment(t_ms))
        reached: int = tick(
            self.memory, self.tables, step, records.addresses, rule, each_holding, t_ms, start, len(self),
            self._layout.captures,
        )  # fmt: skip
        return reached

    def set_holdings(self, row: int, holdings: Sequence[Sequence[Any]]) -> None:
        """Keep a customer's holdings: of each the columns that programs look at."""
        if not self.tables.holding_width:
            return
        held, dated, word = self._held, self.dated[:-1].tolist(), self.objects.word
        held += (row, len(holdings))
        for holding in holdings:
            held += [date_ordinal(x) if date else word(x) for date, x in zip(dated, holding, strict=True)]
        if len(held) > _MOST_HELD:
            self._put_holdings()

    def _put_holdings(self) -> None:
        """Bring the holdings that wait into the rows; whoever reads them there must come by here first."""
        words, at = np.array(self._held, np.int64), 0
        while (at := keep_holdings(self.memory, self.tables, address(words), at, len(words))) < len(words):
            self.grow_pool()
        self._held.clear()

    def grow_pool(self) -> None:
        """Make more room for logs."""
        self._pool.resize(int(len(self._pool.cells) * _GROWTH) + 64)
        self._refresh()

    def flag(self, row: int, bits: int) -> None:
        """Set flags of a row."""
        if not bits & ~self.fixed.item(row, R_FLAGS):
            return  # as after most walks
        self.changes_in(np.array([row]))
        self.fixed[row, R_FLAGS] |= bits

    def arm(self, row: int, bit: int, on: bool) -> None:
        """Note that a rule waits for its deadline, or no longer does."""
        if bool(self.fixed.item(row, R_ARMED) & bit) is on:
            return
        self.changes_in(np.array([row]))
        if on:
            self.fixed[row, R_ARMED] |= bit
        else:
            self.fixed[row, R_ARMED] &= ~bit

    @property
    def memory(self) -> Memory:
        """Where the arrays are now."""
        if self._memory.object_numbers != self.objects.addresses[0]:
            self._refresh()
        return self._memory
