"""The customers' stage of the models: works out the features of the events that they score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.answered import AnsweredEvents
from operators.batch import EventBatch
from operators.delivery import ENTITY_SHARDS, Delivery, EntityAnswer
from operators.model_input import ModelDelivery, ModelInput
from operators.outcome import Entities
from operators.survey import SCORED
from operators.tables import PlanTables
from operators.waiting import ReadMessages
from rules.model import STREAMS
from rules.plan import ModelPlan, Plan
from rules.plan_models import SUBJECT
from state.events import Events
from state.hashing import Key, text_hashes
from state.json_values import from_json, to_json
from state.log import Words
from state.measure import measured
from state.row_mapping import read_rows
from state.row_snapshots import Newest, RowFrame, put_rows
from state.sequencer import AFTER_ALL_MS
from state.words import BOOL, KIND_BITS

_TRUE = 1 << KIND_BITS | BOOL


class MeasuringShard:
    """One shard of customers, as far as models look at them.

    ``shard``: its number; ``key``: of the hashes.
    """

    def __init__(self, shard: int, tables: PlanTables, key: Key) -> None:
        assert tables.scored is not None
        plan = tables.plan
        self._shard, self._tables, self._key, self._plan = shard, tables, key, plan
        self._rows = tables.scored
        self.store = tables.scored.store()
        self._events = AnsweredEvents(tables, 1 + ENTITY_SHARDS, 0, self._relevant_rows)
        self._masks = [(_Matching(m.scored_mask), _Matching(m.label_mask)) for m in plan.scored.models]
        self._label = _LabelColumns.of(plan)
        self._relevant = _Matching(_relevant(plan))

    def step(self, items: Sequence[Delivery | EntityAnswer]) -> list[ModelDelivery] | None:
        """Take ordered events and entities' answers; as far as both go, what each model is to learn of."""
        waiting = self._events
        before_ms = waiting.frontier.ms
        for item in items:
            waiting.take(item)
        frontier_ms = waiting.frontier.ms
        if frontier_ms == before_ms:
            return None
        ready = waiting.ready()
        models = self._plan.scored.models
        found: list[ModelInput | None] = [None] * len(models) if ready is None else self._inputs(*ready)
        if frontier_ms < AFTER_ALL_MS:
            self.store.compact_when_due(frontier_ms)
        return [ModelDelivery(self._shard, frontier_ms, waiting.end_ms, rows) for rows in found]

    def size(self) -> tuple[int, int]:
        """Bytes of what is remembered; no customers, as the deciding stage counts them."""
        return self.store.used_bytes, 0

    def _relevant_rows(self, events: EventBatch) -> Words:
        relevant = self._relevant.of(events)
        if self._rows.tables.keeps_profiles:
            relevant |= events.stream == STREAMS.index("profile")
        return np.flatnonzero(relevant)

    def _inputs(self, some: EventBatch, sequences: Words, entities: Entities) -> list[ModelInput | None]:
        step = Events(
            some.effective_ms, some.ts_ms, some.stream, self._rows.signatures.signatures(some.masks), some.masks,
            some.words, some.hashes, self.store.rows(some.customer_hash, some.customer_id),
            entities,
        )  # fmt: skip
        features = measured(self.store, self._rows.signatures, step, self._rows.first_programs)
        return [
            self._input(model, some, sequences, *masks, table)
            for model, masks, table in zip(self._plan.scored.models, self._masks, features, strict=True)
        ]

    def _input(
        self, model: ModelPlan, events: EventBatch, sequences: Words, scored: _Matching, labelled: _Matching,
        features: NDArray[np.float64],
    ) -> ModelInput | None:  # fmt: skip
        is_scored = scored.of(events)
        is_label = labelled.of(events) & ~is_scored
        chosen = np.flatnonzero(is_scored | is_label)
        if not len(chosen):
            return None
        keys = np.zeros((len(chosen), 2), np.uint64)
        keys[:, 0] = events.customer_hash[chosen]
        labels = np.zeros(len(chosen), np.bool_)
        if model.spec.labels:
            keys[:, 1] = text_hashes(events.event_id.take(chosen), self._key)
            at = np.flatnonzero(is_label[chosen])
            if len(at):
                keys[at, 1] = events.hashes[chosen[at], self._label.subject]
                labels[at] = events.words[chosen[at], self._label.label] == _TRUE
        return ModelInput.of(
            events, chosen, sequences=sequences[chosen], shards=np.full(len(chosen), self._shard, np.int64),
            is_label=is_label[chosen], keys=keys, labels=labels, features=features[chosen],
        )  # fmt: skip

    def note_changes(self) -> None:
        """See ``operators.shard.StatefulShard``."""
        self.store.note_changes()

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """See ``operators.shard.StatefulShard``. At the end of an epoch nothing waits here."""
        waiting = self._events
        assert not waiting.waits
        now_ms = min(waiting.frontier.ms, waiting.end_ms)
        head = {"watermark_ms": waiting.frontier.ms, "end_ms": waiting.end_ms, "rules": self._tables.rules_id}
        frame = RowFrame.of(self.store, *self.store.take_changes(everything=everything), now_ms)
        return frame.sections(SCORED) | {"measuring": to_json(head)}

    def restore(self, frames: Sequence[Mapping[str, Any]], read: ReadMessages) -> bool:
        """See ``operators.shard.StatefulShard``."""
        head = from_json(frames[-1]["measuring"])
        self._events.frontier.restore([head["watermark_ms"]] * (1 + ENTITY_SHARDS))
        self._events.end_ms = head["end_ms"]
        carried = self._tables.carried_from(head["rules"])
        if carried is not None and carried.scored is None:
            return True
        newest = Newest()
        for sections in reversed(frames):
            frame = read_rows(SCORED, sections, self.store, None if carried is None else carried.scored)
            put_rows(self.store, frame, newest.rows(frame)[0])
        return carried is not None


class _Matching:
    """Tells which events one of some matchers selects."""

    def __init__(self, mask: int) -> None:
        words = [mask >> 64 * place & (1 << 64) - 1 for place in range(-(-mask.bit_length() // 64))]
        self._words = [(place, np.uint64(word)) for place, word in enumerate(words) if word]

    def of(self, events: EventBatch) -> NDArray[np.bool_]:
        """bool[n]; one column after the other, as most matchers share a word: quicker than all of them at once."""
        found = np.zeros(len(events), np.bool_)
        for place, word in self._words:
            found |= (events.masks[:, place] & word) != 0
        return found


class _LabelColumns:
    """The slots of a label's fields."""

    def __init__(self, subject: int, label: int) -> None:
        self.subject, self.label = subject, label

    @classmethod
    def of(cls, plan: Plan) -> _LabelColumns:
        names, layout = plan.fields["label"], plan.layout
        if not any(model.spec.labels for model in plan.scored.models):
            return cls(-1, -1)
        return cls(
            layout.hashes["label"].index(names.index(SUBJECT)), layout.words["label"].index(names.index("label"))
        )


def _relevant(plan: Plan) -> int:
    """The matchers of the events that models look at."""
    mask = 0
    for series in plan.scored.customer.series:
        for matcher in series.matchers:
            mask |= 1 << matcher
    for model in plan.scored.models:
        mask |= model.scored_mask | model.label_mask
    return mask
