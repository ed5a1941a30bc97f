"""The entities' keyed stage: aggregates over all customers' events of one device, terminal, counterparty, …"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from operators.delivery import SHARDS, EntityAnswer, EntityDelivery
from rules.plan import Plan
from state.book import Row, SeriesBook
from state.event import Event
from state.sequencer import BEFORE_ALL_MS, Frontier, OrderedBuffer

_REMEMBERED_MASKS = 8_192
"""Combinations of selectors that events match are few; rules that make them many cost a look at every rule."""


@dataclass(slots=True)
class _Reads:
    """Features that an event may need: to be read before it is added, and after."""

    before: list[int]
    after: list[int]


class EntityShard:
    """One shard of entities of every ``per=`` field."""

    def __init__(self, entity_shard: int, plan: Plan) -> None:
        self._source = 1 + entity_shard
        self._plan = plan
        self._books = {name: SeriesBook(f.series, f.features) for name, f in plan.entities.items()}
        self._rows: dict[tuple[str, Any], Row] = {}
        self._reads = lru_cache(_REMEMBERED_MASKS)(self._reads_of)
        self._frontier = Frontier(SHARDS)
        self._end_ms = BEFORE_ALL_MS
        self._buffer: OrderedBuffer[tuple[Event, int, int, tuple[tuple[str, Any], ...]]] = OrderedBuffer(nested=True)

    def step(self, deliveries: Sequence[EntityDelivery]) -> list[EntityAnswer] | None:
        """Take rows; once every customer shard has passed them, give the answers, one for each customer shard."""
        before_ms = self._frontier.ms
        for delivery in deliveries:
            self._buffer.add((row.event, delivery.source, row.sequence, row.keys) for row in delivery.rows)
            self._frontier.advance(delivery.source, delivery.watermark_ms)
            self._end_ms = max(self._end_ms, delivery.end_ms)
        if self._frontier.ms == before_ms:
            return None
        answers = [EntityAnswer(self._source, self._frontier.ms, self._end_ms, []) for _ in range(SHARDS)]
        for event, shard, sequence, keys in self._buffer.take(self._frontier.ms):
            values: dict[tuple[str, int], Any] = {}
            for key in keys:
                self._apply(key, event, values)
            if values:
                answers[shard].values.append((sequence, values))
        return answers

    def _apply(self, key: tuple[str, Any], event: Event, values: dict[tuple[str, int], Any]) -> None:
        name = key[0]
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = {}
        book = self._books[name]
        reads = self._reads(name, event.mask)
        readers, t_ms = book.readers, event.effective_ms
        for index in reads.before:
            values[(name, index)] = readers[index](row, t_ms, event)
        for add in book.adders(event.mask):
            add(row, event)
        for index in reads.after:
            values[(name, index)] = readers[index](row, t_ms, event)

    def _reads_of(self, name: str, mask: int) -> _Reads:
        wanted = sorted(
            {
                index
                for rule in self._plan.rules
                if rule.trigger_mask & mask
                for entity, index in rule.entity_features
                if entity == name
            }
        )
        features = self._plan.entities[name].features
        return _Reads([i for i in wanted if features[i].before], [i for i in wanted if not features[i].before])
