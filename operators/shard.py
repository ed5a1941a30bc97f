"""The customer's keyed stages: order what the partitions deliver, then decide.

Without ``per=`` aggregates one stage does both (``Shard``). With them the ordered events pass the entities between the
two (``OrderingShard``, then ``operators.entities``, then ``DecidingShard``), because duplicates must be gone before an
entity counts them, and whether an event is one is known by its customer only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from operators.decider import Decider, Outcome
from operators.delivery import ENTITY_SHARDS, Delivery, EntityAnswer, EntityDelivery, EntityRow
from rules.plan import Plan
from rules.policy import Policy
from state.event import Event, value_key
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS, Deduplicator, Frontier, OrderedBuffer


class _Ordering:
    """Events of all partitions up to the frontier, in order and each once."""

    def __init__(self, partitions: int, dedup_ms: int) -> None:
        self.frontier = Frontier(partitions)
        self.end_ms = BEFORE_ALL_MS
        self._buffer: OrderedBuffer[Event] = OrderedBuffer()
        self._deduplicator = Deduplicator(dedup_ms)

    def step(self, deliveries: Sequence[Delivery]) -> tuple[list[Event], int] | None:
        """Events that are ready and the number of duplicates dropped; none if the frontier did not move."""
        before_ms = self.frontier.ms
        for delivery in deliveries:
            self._buffer.add(delivery.events)
            self.frontier.advance(delivery.source, delivery.watermark_ms)
            self.end_ms = max(self.end_ms, delivery.end_ms)
        if self.frontier.ms == before_ms:
            return None
        taken = self._buffer.take(self.frontier.ms)
        kept = self._deduplicator.keep_new(taken)
        return kept, len(taken) - len(kept)


def _finish_or_go_on(decider: Decider, events: Any, frontier_ms: int, end_ms: int) -> Outcome:
    if frontier_ms < AFTER_ALL_MS:
        return decider.run(events, frontier_ms)
    outcome = decider.run(events, end_ms, inclusive=True)
    outcome.counts[("pending",)] += decider.pending
    outcome.counts[("armed",)] += decider.armed
    return outcome


class Shard:
    """One shard of customers, from partitions to decisions.

    ``until_ms``: the replay goes on to this time if the events end earlier.
    """

    def __init__(self, plan: Plan, policy: Policy, partitions: int, dedup_ms: int, until_ms: int) -> None:
        self._ordering = _Ordering(partitions, dedup_ms)
        self._decider = Decider(plan, policy)
        self._until_ms = until_ms

    def step(self, deliveries: Sequence[Delivery]) -> Outcome | None:
        """Take deliveries and decide as far as the watermarks allow."""
        ready = self._ordering.step(deliveries)
        if ready is None:
            return None
        events, duplicates = ready
        end_ms = max(self._ordering.end_ms, self._until_ms)
        outcome = _finish_or_go_on(
            self._decider, ((event, None) for event in events), self._ordering.frontier.ms, end_ms
        )
        if duplicates:
            outcome.counts[("duplicates",)] += duplicates
        return outcome


class OrderingShard:
    """Orders one shard's events and sends them on to the entities and to the deciding stage."""

    def __init__(self, shard: int, plan: Plan, partitions: int, dedup_ms: int) -> None:
        self._shard = shard
        self._ordering = _Ordering(partitions, dedup_ms)
        self._columns = {name: features.entity_columns for name, features in plan.entities.items()}
        self._relevant = _relevant_masks(plan)
        self._sequence = 0

    def step(self, deliveries: Sequence[Delivery]) -> tuple[Delivery, list[EntityDelivery], int] | None:
        """What is ready: for the deciding stage, for each entity shard, and the number of duplicates dropped."""
        ready = self._ordering.step(deliveries)
        if ready is None:
            return None
        events, duplicates = ready
        watermark_ms, end_ms = self._ordering.frontier.ms, self._ordering.end_ms
        first_sequence = self._sequence
        self._sequence += len(events)
        to_entities = [EntityDelivery(self._shard, watermark_ms, end_ms, []) for _ in range(ENTITY_SHARDS)]
        for sequence, event in enumerate(events, first_sequence):
            keys: dict[int, list[tuple[str, Any]]] = {}
            for name, mask in self._relevant.items():
                if event.mask & mask:
                    value = event.values[self._columns[name][event.stream]]
                    if value is not None:
                        key = (name, value_key(value))
                        keys.setdefault(crc32(repr(key).encode()) % ENTITY_SHARDS, []).append(key)
            for entity_shard, own in keys.items():
                to_entities[entity_shard].rows.append(EntityRow(event, sequence, tuple(own)))
        onward = Delivery(0, watermark_ms, end_ms, events, first_sequence)
        return onward, to_entities, duplicates


def _relevant_masks(plan: Plan) -> dict[str, int]:
    """By ``per=`` field, the matchers whose events feed its aggregates or may read them."""
    masks: dict[str, int] = {}
    for name, features in plan.entities.items():
        feeds = {matcher for series in features.series for matcher in series.matchers}
        mask = sum(1 << matcher for matcher in feeds)
        for rule in plan.rules:
            if any(entity == name for entity, _ in rule.entity_features):
                mask |= rule.trigger_mask
        masks[name] = mask
    return masks


class DecidingShard:
    """Decides for one shard of customers once the entities have answered."""

    def __init__(self, plan: Plan, policy: Policy, until_ms: int) -> None:
        self._frontier = Frontier(1 + ENTITY_SHARDS)
        self._buffer: OrderedBuffer[tuple[Event, int]] = OrderedBuffer(nested=True)
        self._values: dict[int, dict[tuple[str, int], Any]] = {}
        self._decider = Decider(plan, policy)
        self._end_ms = until_ms

    def step(self, items: Sequence[Delivery | EntityAnswer]) -> Outcome | None:
        """Take ordered events and entities' answers, and decide as far as both go."""
        before_ms = self._frontier.ms
        for item in items:
            if isinstance(item, Delivery):
                self._buffer.add((event, item.first_sequence + i) for i, event in enumerate(item.events))
            else:
                for sequence, values in item.values:
                    self._values.setdefault(sequence, {}).update(values)
            self._frontier.advance(item.source, item.watermark_ms)
            self._end_ms = max(self._end_ms, item.end_ms)
        if self._frontier.ms == before_ms:
            return None
        taken = self._buffer.take(self._frontier.ms)
        events = ((event, self._values.pop(sequence, None)) for event, sequence in taken)
        return _finish_or_go_on(self._decider, events, self._frontier.ms, self._end_ms)
