"""The deciding stage where others have a say: once entities and models have answered, the rules are decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from operators.answered import AnsweredEvents
from operators.decider import Decider
from operators.decider_state import Sections, decider_sections, note_changes, restore_decider
from operators.delivery import ENTITY_SHARDS, Delivery, EntityAnswer
from operators.outcome import Outcome, ReadValues
from operators.shard import finish_or_go_on
from operators.tables import PlanTables
from operators.waiting import ReadMessages
from rules.policy import Policy
from state.json_values import from_json, to_json


class DecidingShard:
    """Decides for one shard of customers once the entities and the models have answered."""

    def __init__(self, tables: PlanTables, policy: Policy, read_values: ReadValues, until_ms: int) -> None:
        self._senders = 1 + ENTITY_SHARDS + len(tables.plan.scored.models)
        self._events = AnsweredEvents(tables, self._senders, until_ms)
        self._decider = Decider(tables, policy, read_values)

    def step(self, items: Sequence[Delivery | EntityAnswer]) -> Outcome | None:
        """Take ordered events and answers, and decide as far as all go."""
        waiting = self._events
        before_ms = waiting.frontier.ms
        for item in items:
            waiting.take(item)
        if waiting.frontier.ms == before_ms:
            return None
        events, _, entities = waiting.ready() or (None, None, None)
        return finish_or_go_on(
            self._decider, events, entities, waiting.frontier.ms, waiting.end_ms, waiting.other_bytes
        )

    def size(self) -> tuple[int, int]:
        """Bytes of what is remembered, and of how many customers."""
        return self._decider.own_bytes, self._decider.store.filled

    def note_changes(self) -> None:
        """See ``StatefulShard``."""
        note_changes(self._decider)

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """See ``StatefulShard``. At the end of an epoch nothing waits here."""
        waiting = self._events
        assert not waiting.waits
        frontier_ms = waiting.frontier.ms
        head = {"watermark_ms": frontier_ms, "end_ms": waiting.end_ms, "entity_bytes": waiting.other_bytes}
        now_ms = min(frontier_ms, waiting.end_ms)
        return decider_sections(self._decider, now_ms, everything=everything) | {"deciding": to_json(head)}

    def restore(self, frames: Sequence[Sections], read: ReadMessages) -> bool:
        """See ``StatefulShard``."""
        if "deciding" in frames[-1]:
            head = from_json(frames[-1]["deciding"])
            watermark_ms, self._events.other_bytes = head["watermark_ms"], head["entity_bytes"]
        else:  # the rules before read nothing with per=, and no scores: one stage did all
            head = from_json(frames[-1]["ordering"])
            watermark_ms = min(head["watermarks"])
        self._events.frontier.restore([watermark_ms] * self._senders)
        self._events.end_ms = head["end_ms"]
        return restore_decider(self._decider, frames, min(watermark_ms, head["end_ms"]))
