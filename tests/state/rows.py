"""Series and features as the kernels keep and read them, driven by hand: events in, the features' values out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rules import opcodes as p
from rules.plan import Feature, Programs, Series
from state.dispatch import SignatureTable
from state.events import Events, RecordBuffer, value_of
from state.hashing import text_hashes, value_hash
from state.layout import Layout
from state.log import POOL_USED
from state.objects import ObjectTable
from state.periods import PeriodTable
from state.store import RowStore
from state.tables import HAS_PROFILE
from state.texts import Texts

KEY = (1, 2)
STREAM = 4
AT_EVENTS, AT_TICKS = 0, 1
"""The two rules: both may hold always, so the values of all features come out."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event: its mask over the matchers, its one field, whose it is, and whether the features are read after it."""

    ts_ms: int
    value: Any = None
    mask: int = 1
    effective_ms: int | None = None
    row: str = "C"
    read: bool = True

    @property
    def at_ms(self) -> int:
        return self.ts_ms if self.effective_ms is None else self.effective_ms


class Rows:
    """A store of rows over one stream of events with one field (column 0, as a scalar and hashed).

    ``conditions``: the programs of the streaks, by their numbers in the series.
    """

    def __init__(
        self, series: Sequence[Series], features: Sequence[Feature], conditions: Sequence[list[tuple[int, int]]] = (),
        constants: Sequence[float] = (),
    ) -> None:  # fmt: skip
        programs = Programs(captures=[tuple(range(len(features)))] * 2, rule_flags=[0, 0], armed_bits=[0, 0])
        programs.rise_counts, programs.constants = [0, 0], list(map(float, constants))
        for code in ([(p.PUSH_UNKNOWN, 0)], [(p.PUSH_UNKNOWN, 0)], *conditions):
            programs.starts.append(len(programs.code))
            programs.code += [*code, (p.END, 0)]
        matchers = 1 + max([0, *(matcher for one in series for matcher in one.matchers)])
        self.reading = 1 << matchers  # the bit of events after which the features are read
        self.layout = Layout(
            series, features, [STREAM] * matchers, {(STREAM, 0): 0}, {(STREAM, 0): 0}, programs
        )  # fmt: skip
        fed = [sum(1 << matcher for matcher in set(own)) for own in self.layout.fed_by]
        self._signatures = SignatureTable(
            1, self.layout.record_bits, lambda mask: [i for i, bits in enumerate(fed) if bits & mask],
            lambda mask: [AT_EVENTS] if mask & self.reading else [], lambda _: 0,
        )  # fmt: skip
        self.objects = ObjectTable()
        self.store = RowStore(
            self.layout, self.layout.tables(), PeriodTable(list(self.layout.periods)), self.objects
        )  # fmt: skip
        self._records = RecordBuffer()
        self._width = len(features)
        self._hashed = any(one.kind in ("values", "unusual_value") for one in series)

    def add(self, happenings: Iterable[Happening]) -> list[list[Any]]:
        """Take events, in processing order, in one step; of those that are read, all features' values."""
        events = list(happenings)
        step = self._step(events)
        walk = self.store.walk(self._signatures, step, self._records)
        found: list[list[Any]] = []
        at = 0
        while at < len(events):
            at = walk.take(at, len(events))
            assert int(self.store.pool_counters[POOL_USED]) <= len(
                self.store._pool.cells
            )  # nothing wrote beyond its end
            found += self._found()
        return found

    def tick(self, t_ms: int) -> dict[str, list[Any]]:
        """All features' values of every row at a time without an event."""
        start, found = 0, {}
        for row in range(len(self.store)):
            self.store.flag(row, HAS_PROFILE)
        while start < len(self.store):
            start = self.store.tick(self._records, AT_TICKS, False, t_ms, start)
            numbers = self._records.events[: self._records.counters[0]].tolist()
            found |= {self.store.id_of(row): values for row, values in zip(numbers, self._found(), strict=True)}
        return found

    def make(self, rows: Iterable[str]) -> None:
        """Rows without events."""
        texts = Texts.from_lines([row.encode() for row in rows])
        self.store.rows(text_hashes(texts, KEY), texts)

    def _step(self, events: Sequence[Happening]) -> Events:
        ids = Texts.from_lines([event.row.encode() for event in events])
        masks = np.array([[event.mask | (self.reading if event.read else 0)] for event in events], np.uint64)
        none = np.empty((len(events), 0), np.int64)
        return Events(
            np.array([event.at_ms for event in events], np.int64), np.array([event.ts_ms for event in events],
                                                                            np.int64),
            np.full(len(events), STREAM, np.uint8), self._signatures.signatures(masks), masks,
            np.array([[self.objects.word(event.value)] for event in events], np.int64),
            np.array([[value_hash(event.value, KEY) if self._hashed else 0] for event in events], np.uint64),
            self.store.rows(text_hashes(ids, KEY), ids), (none, none, np.empty((len(events), 0))),
        )  # fmt: skip

    def _found(self) -> list[list[Any]]:
        records, objects = self._records, self.store.objects
        return [
            [
                value_of(objects, int(records.kinds[i]), int(records.integers[i]), float(records.doubles[i]))
                for i in range(start, start + self._width)
            ]
            for start in records.starts[: records.counters[0]].tolist()
        ]
