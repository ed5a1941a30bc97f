"""The customer's keyed stages: order what the partitions deliver, then decide.

Without ``per=`` aggregates and scores one stage does both (``Shard``). With them the ordered events pass the entities
and the models between the two (``OrderingShard``, then ``operators.entities`` and ``operators.measuring``, then
``operators.deciding``), because duplicates must be gone before an entity counts them, and whether an event is one is
known by its customer only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from operators.batch import EventBatch
from operators.decider import Decider
from operators.decider_state import Sections, decider_sections, note_changes, restore_decider
from operators.delivery import ENTITY_SHARDS, Delivery, EntityDelivery, EntityRows
from operators.ordering import Ordering
from operators.outcome import Counts, Entities, Outcome, ReadValues
from operators.tables import PlanTables
from operators.waiting import ReadMessages
from rules.model import STREAMS
from rules.plan import Plan
from rules.policy import Policy
from state.hashing import Key
from state.sequencer import AFTER_ALL_MS


def finish_or_go_on(
    decider: Decider,
    events: EventBatch | None,
    entities: Entities | None,
    frontier_ms: int,
    end_ms: int,
    other_bytes: int,
) -> Outcome:
    """Decide what lies below the frontier; at the end of a replay, everything, with the counts that are due then."""
    if frontier_ms < AFTER_ALL_MS:
        return decider.run(events, entities, frontier_ms)
    outcome = decider.run(events, entities, end_ms, inclusive=True)
    outcome.counts[("pending",)] += decider.timers.held_decisions
    outcome.counts[("armed",)] += decider.customers.armed
    outcome.counts[("memory", "customers")] += decider.store.filled
    outcome.counts[("memory", "bytes")] += decider.used_bytes + other_bytes
    return outcome


class StatefulShard(Protocol):
    """A keyed stage's shard whose state can be kept in files.

    A file holds what changed since the file before, or everything; ``note_changes`` comes before the first.
    """

    def note_changes(self) -> None:
        """From now on know what changes."""

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """What changed since the last call, or all, as buffers by name. Only at the end of an epoch."""

    def restore(self, frames: Sequence[Sections], read: ReadMessages) -> bool:
        """Take the state from files, the oldest first: one that held everything and those after it.

        Returns whether other rules wrote it: then the next file has to hold everything.
        """


class Shard:
    """One shard of customers, from partitions to decisions.

    ``until_ms``: the replay goes on to this time if the events end earlier; ``dealt_anew``: see ``Ordering``.
    """

    def __init__(
        self, tables: PlanTables, policy: Policy, read_values: ReadValues, partitions: int, dedup_ms: int,
        until_ms: int, key: Key, *, dealt_anew: bool = False,
    ) -> None:  # fmt: skip
        self._ordering = Ordering(partitions, dedup_ms, key, tables.objects, dealt_anew=dealt_anew)
        self._decider = Decider(tables, policy, read_values)
        self._until_ms = until_ms

    def step(self, deliveries: Sequence[Delivery]) -> Outcome | None:
        """Take deliveries and decide as far as the watermarks allow."""
        ready = self._ordering.step(deliveries)
        if ready is None:
            return None
        events, duplicates = ready
        end_ms = max(self._ordering.end_ms, self._until_ms)
        outcome = finish_or_go_on(
            self._decider, events, None, self._ordering.frontier.ms, end_ms, self._ordering.used_bytes
        )
        if duplicates:
            outcome.counts[("duplicates",)] += duplicates
        return outcome

    def size(self) -> tuple[int, int]:
        """Bytes of what is remembered, and of how many customers."""
        return self._decider.own_bytes + self._ordering.used_bytes, self._decider.store.filled

    def note_changes(self) -> None:
        """See ``StatefulShard``."""
        self._ordering.note_changes()
        note_changes(self._decider)

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """See ``StatefulShard``."""
        now_ms = min(self._ordering.frontier.ms, self._ordering.end_ms)
        return self._ordering.sections(everything=everything) | decider_sections(
            self._decider, now_ms, everything=everything
        )

    def restore(self, frames: Sequence[Sections], read: ReadMessages) -> bool:
        """See ``StatefulShard``."""
        self._ordering.restore(frames, read)
        return restore_decider(self._decider, frames, min(self._ordering.frontier.ms, self._ordering.end_ms))


class OrderingShard:
    """Orders one shard's events and sends them on to the entities and to the deciding stage."""

    def __init__(
        self, shard: int, plan: Plan, partitions: int, dedup_ms: int, key: Key, *, dealt_anew: bool = False
    ) -> None:
        self._shard = shard
        self._ordering = Ordering(partitions, dedup_ms, key, dealt_anew=dealt_anew)
        self._relevant = {name: mask_words(mask, len(plan.matchers)) for name, mask in _relevant_masks(plan).items()}
        self._slots = _hash_slots(plan)
        self._sequence = 0

    def step(self, deliveries: Sequence[Delivery]) -> tuple[Delivery, list[EntityDelivery], Counts] | None:
        """What is ready: for the deciding stage, for each entity shard, and counts for the summary."""
        ready = self._ordering.step(deliveries)
        if ready is None:
            return None
        events, duplicates = ready
        watermark_ms, end_ms = self._ordering.frontier.ms, self._ordering.end_ms
        counts: Counts = Counter({("duplicates",): duplicates} if duplicates else {})
        if watermark_ms == AFTER_ALL_MS:
            counts["memory", "bytes"] = self._ordering.used_bytes
        first_sequence = self._sequence
        to_entities = [EntityDelivery(self._shard, watermark_ms, end_ms, {}) for _ in range(ENTITY_SHARDS)]
        if events is not None:
            self._sequence += len(events)
            for name in self._relevant:
                self._split(name, events, first_sequence, to_entities)
        return Delivery(0, watermark_ms, end_ms, events, first_sequence), to_entities, counts

    def note_changes(self) -> None:
        """See ``StatefulShard``."""
        self._ordering.note_changes()

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """See ``StatefulShard``."""
        return self._ordering.sections(everything=everything)

    def restore(self, frames: Sequence[Sections], read: ReadMessages) -> bool:
        """See ``StatefulShard``."""
        self._ordering.restore(frames, read)
        return False

    def _split(self, name: str, events: EventBatch, first_sequence: int, to_entities: list[EntityDelivery]) -> None:
        slots = self._slots[name].take(events.stream)
        chosen = np.flatnonzero((slots >= 0) & (events.masks & self._relevant[name]).any(axis=1))
        keys = events.hashes.reshape(-1).take(chosen * events.hashes.shape[1] + slots.take(chosen))
        if not keys.all():  # some have no value in the field
            concerned = np.flatnonzero(keys)
            chosen, keys = chosen.take(concerned), keys.take(concerned)
        shards = (keys % np.uint64(ENTITY_SHARDS)).astype(np.int64)
        order = np.argsort(shards, kind="stable")
        bounds = np.searchsorted(shards[order], np.arange(ENTITY_SHARDS + 1))
        chosen, keys = chosen[order], keys[order]
        rows = EntityRows(
            events.take(chosen).without_messages(),
            keys,
            chosen + first_sequence,
            np.full(len(chosen), self._shard, np.int64),
        )
        for shard, delivery in enumerate(to_entities):
            if bounds[shard] < bounds[shard + 1]:
                delivery.rows[name] = rows.slice(int(bounds[shard]), int(bounds[shard + 1]))


def _hash_slots(plan: Plan) -> dict[str, np.ndarray]:
    """By ``per=`` field, the hash slot of its values by stream; −1 where it does not matter."""
    slots: dict[str, np.ndarray] = {}
    for name in plan.entities:
        of = slots[name] = np.full(len(STREAMS), -1, np.int64)
        for code, stream in enumerate(STREAMS):
            fields, hashed = plan.fields[stream], plan.layout.hashes.get(stream, ())
            if name in fields and fields.index(name) in hashed:
                of[code] = hashed.index(fields.index(name))
    return slots


def mask_words(mask: int, matchers: int) -> np.ndarray:
    """A bit set over the plan's matchers as words of events' masks."""
    words = [mask >> 64 * word & (1 << 64) - 1 for word in range(max(1, -(-matchers // 64)))]
    return np.array(words, np.uint64)


def _relevant_masks(plan: Plan) -> dict[str, int]:
    """By ``per=`` field, the matchers whose events feed its aggregates or may read them."""
    masks: dict[str, int] = {}
    for name, features in plan.entities.items():
        feeds = {matcher for series in features.series for matcher in series.matchers}
        mask = sum(1 << matcher for matcher in feeds)
        for anchors, read in plan.entity_readers:
            if any(entity == name for entity, _ in read):
                mask |= anchors
        masks[name] = mask
    return masks
