"""The entities' keyed stage: aggregates over all customers' events of one device, terminal, counterparty, …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from operators.delivery import SHARDS, EntityAnswer, EntityDelivery, EntityRows, EntityValues
from operators.split import merge_order
from operators.tables import PlanTables, RowTables
from operators.waiting import ReadMessages
from state.events import Events
from state.json_values import from_json, to_json
from state.reads import BIG_WHOLE, NUMBER, OBJECT, WHOLE
from state.row_mapping import RowMapping, read_rows
from state.row_snapshots import Newest, RowFrame, put_rows
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS, Frontier
from state.store import RowStore
from state.texts import Texts


class EntityShard:
    """One shard of entities of every ``per=`` field."""

    def __init__(self, entity_shard: int, tables: PlanTables) -> None:
        self._source = 1 + entity_shard
        self._tables = tables
        self._fields = {name: _EntityField(name, of) for name, of in tables.entities.items()}
        self._frontier = Frontier(SHARDS)
        self._end_ms = BEFORE_ALL_MS

    def step(self, deliveries: Sequence[EntityDelivery]) -> list[EntityAnswer] | None:
        """Take rows; once every customer shard has passed them, give the answers, one for each customer shard."""
        before_ms = self._frontier.ms
        for delivery in deliveries:
            for name, rows in delivery.rows.items():
                self._fields[name].add(rows)
            self._frontier.advance(delivery.source, delivery.watermark_ms)
            self._end_ms = max(self._end_ms, delivery.end_ms)
        if self._frontier.ms == before_ms:
            return None
        answers = [EntityAnswer(self._source, self._frontier.ms, self._end_ms, []) for _ in range(SHARDS)]
        for entity_field in self._fields.values():
            entity_field.answer(self._frontier.ms, answers)
        if self._frontier.ms == AFTER_ALL_MS:
            answers[0].used_bytes = sum(entity_field.used_bytes for entity_field in self._fields.values())
        return answers

    def note_changes(self) -> None:
        """See ``operators.shard.StatefulShard``."""
        for entity_field in self._fields.values():
            entity_field.store.note_changes()

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """See ``operators.shard.StatefulShard``. At the end of an epoch nothing waits here."""
        now_ms = min(self._frontier.ms, self._end_ms)
        head = {"watermark_ms": self._frontier.ms, "end_ms": self._end_ms, "rules": self._tables.rules_id}
        sections: dict[str, Any] = {"entities": to_json(head)}
        for name, entity_field in self._fields.items():
            sections |= entity_field.sections(name, now_ms, everything)
        return sections

    def restore(self, frames: Sequence[Mapping[str, Any]], read: ReadMessages) -> bool:
        """See ``operators.shard.StatefulShard``."""
        head = from_json(frames[-1]["entities"])
        self._frontier.restore([head["watermark_ms"]] * SHARDS)
        self._end_ms = head["end_ms"]
        carried = self._tables.carried_from(head.get("rules", ""))
        for name, entity_field in self._fields.items():
            mapping = None if carried is None else carried.entities.get(name)
            if carried is None or mapping is not None:
                entity_field.restore(name, frames, mapping)
        return carried is not None


class _EntityField:
    """The entities of one ``per=`` field in one shard, and the events that wait."""

    def __init__(self, name: str, tables: RowTables) -> None:
        self._name = name
        self._tables = tables
        self.store: RowStore = tables.store()
        self._runs: list[EntityRows] = []

    @property
    def used_bytes(self) -> int:
        """Bytes of what is remembered of the entities."""
        return self.store.used_bytes

    def sections(self, name: str, now_ms: int, everything: bool) -> dict[str, Any]:
        """The entities that changed, or all, as sections of a file."""
        assert not self._runs
        return RowFrame.of(self.store, *self.store.take_changes(everything=everything), now_ms).sections(name)

    def restore(self, name: str, frames: Sequence[Mapping[str, Any]], mapping: RowMapping | None) -> None:
        """Take the entities from files, the oldest first; ``mapping``: from the rows of other rules."""
        newest = Newest()
        for sections in reversed(frames):
            frame = read_rows(name, sections, self.store, mapping)
            put_rows(self.store, frame, newest.rows(frame)[0])

    def add(self, rows: EntityRows) -> None:
        """Take events of one customer shard, in processing order."""
        self._runs.append(rows)

    def answer(self, frontier_ms: int, answers: list[EntityAnswer]) -> None:
        """Add the events below the frontier in the order over all customers, and tell each shard what they saw."""
        ready: list[EntityRows] = []
        waiting: list[EntityRows] = []
        for run in self._runs:
            count = int(np.searchsorted(run.events.effective_ms, frontier_ms))
            if count:
                ready.append(run.slice(0, count))
            if count < len(run.keys):
                waiting.append(run.slice(count, len(run.keys)))
        self._runs = waiting
        self._answer(ready, answers)
        if frontier_ms < AFTER_ALL_MS:
            self.store.compact_when_due(frontier_ms)

    def _answer(self, ready: list[EntityRows], answers: list[EntityAnswer]) -> None:
        if not ready:
            return
        rows = EntityRows.concat(ready)
        events = rows.events
        rows = rows.take(
            merge_order(events.effective_ms, events.stream, events.event_id, events.customer_id, events.raw)
        )
        read = self._read(rows)
        order = np.argsort(rows.shards, kind="stable")
        bounds = np.searchsorted(rows.shards[order], np.arange(SHARDS + 1)).tolist()
        for shard, answer in enumerate(answers):
            chosen = order[bounds[shard] : bounds[shard + 1]]
            if len(chosen):
                by_sequence = chosen[np.argsort(rows.sequences[chosen])]
                answer.values.append(
                    EntityValues(
                        self._name, rows.sequences.take(by_sequence), read.entity_kind.take(by_sequence, 0),
                        read.entity_integer.take(by_sequence, 0), read.entity_double.take(by_sequence, 0),
                    )
                )  # fmt: skip

    def _read(self, rows: EntityRows) -> Events:
        store, events, count = self.store, rows.events, len(rows.keys)
        shape = count, self._tables.layout.features
        # the hash with its 64 bits is the entity's id: no other text is needed of it
        no_text = Texts(np.empty(0, np.uint8), np.zeros(count, np.int64), np.zeros(count, np.int32))
        read = Events(
            events.effective_ms, events.ts_ms, events.stream, self._tables.signatures.signatures(events.masks),
            events.masks, store.objects.adopt(events.words, events.objects), events.hashes, store.rows(rows.keys,
                                                                                                       no_text),
            (np.full(shape, -1, np.int64), np.zeros(shape, np.int64), np.zeros(shape)),
        )  # fmt: skip
        store.answer(self._tables.signatures, read)
        for i, feature in np.argwhere(read.entity_kind == OBJECT).tolist():
            # objects have other numbers elsewhere; those that aggregates give are numbers
            value = store.objects.values[read.entity_integer[i, feature]]
            read.entity_kind[i, feature] = NUMBER
            if isinstance(value, int):
                fits = -(1 << 63) <= value < 1 << 63
                read.entity_kind[i, feature] = WHOLE if fits else BIG_WHOLE
                read.entity_integer[i, feature] = value if fits else value - int(read.entity_double[i, feature])
        return read
