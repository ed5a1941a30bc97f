"""A plan made ready for the kernels; one for all shards of a process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.outcome import Entities
from operators.plan_changes import PlanChange
from operators.view_pace import ViewPace
from rules.model import STREAMS
from rules.plan import FeatureSet, Plan, Programs
from rules.planner import entity_features
from rules.score_keys import SCORE_VALUES, score_features
from state.compaction import DAY_MS
from state.dispatch import SignatureTable
from state.events import Events, RecordBuffer, value_of
from state.layout import Layout
from state.objects import ObjectTable
from state.periods import PeriodTable
from state.reads import NULL, WHOLE
from state.room import SpareRoom
from state.row_mapping import RowMapping
from state.store import RowStore


class RowTables:
    """Tables for one kind of row: the customer, or one ``per=`` field."""

    def __init__(
        self, plan: Plan, features: FeatureSet, programs: Programs, *, updates: Callable[[int], Sequence[int]] | None,
        anchors: Sequence[int], disarms: Callable[[int], int], objects: ObjectTable, compact_after_ms: int,
    ) -> None:  # fmt: skip
        self._objects, self._compact_after_ms, self._spare = objects, compact_after_ms, SpareRoom()
        words, hashes = (
            {
                (STREAMS.index(stream), column): slot
                for stream, columns in slots.items()
                for slot, column in enumerate(columns)
            }
            for slots in (plan.layout.words, plan.layout.hashes)
        )
        streams = [matcher.stream for matcher in plan.matchers]
        self.layout = Layout(features.series, features.features, streams, words, hashes, programs)
        self.tables = self.layout.tables()
        self.periods = PeriodTable(list(self.layout.periods))
        fed = [sum(1 << matcher for matcher in set(matchers)) for matchers in self.layout.fed_by]

        def fed_by(mask: int) -> list[int]:
            return [update for update, bits in enumerate(fed) if bits & mask]

        def anchored_by(mask: int) -> list[int]:
            return [rule for rule, bits in enumerate(anchors) if bits & mask]

        self.signatures = SignatureTable(
            max(1, -(-len(streams) // 64)), self.layout.record_bits, updates or fed_by, anchored_by,
            disarms,
        )  # fmt: skip

    def store(self) -> RowStore:
        """Rows of one shard, none yet."""
        return RowStore(
            self.layout, self.tables, self.periods, self._objects, self._compact_after_ms, self._spare
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Carried:
    """What is taken over from the state of another plan, and how its rows are turned into those of this one."""

    change: PlanChange
    customer: RowMapping
    entities: dict[str, RowMapping]
    scored: RowMapping | None


class ScoredRowTables(RowTables):
    """Tables for what is remembered of customers for the models' features.

    Attributes
    ----------
    first_programs
        int64[m + 1]: the number of the first program of each model, and one beyond the last.
    """

    def __init__(self, plan: Plan, objects: ObjectTable, compact_after_ms: int) -> None:
        scored = plan.scored
        super().__init__(
            plan, scored.customer, scored.programs, updates=None,
            anchors=[model.scored_mask for model in scored.models], disarms=lambda mask: 0, objects=objects,
            compact_after_ms=compact_after_ms,
        )  # fmt: skip
        ends = [model.programs.stop for model in scored.models]
        self.first_programs = np.array([0, *ends], np.int64)


class PlanTables:
    """Tables for all rows of a plan.

    ``compact_after_ms``: the stores give back memory whenever event time has gone on by this, if not before.
    ``rules_id``: of the rules that the plan was made of; ``earlier`` gives the plan of other rules by their id, for
    state that was written under them. ``entity_numbers``: where an entity's feature is among the values that the
    kernels get of an event. ``paused``: ids of the rules that are paused at the moment, another set whenever that
    changes; another thread may put it there. ``views``: if there are to be views of customers.
    """

    def __init__(
        self, plan: Plan, compact_after_ms: int = DAY_MS, rules_id: str = "",
        earlier: Callable[[str], Plan] | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.rules_id = plan, rules_id
        self.paused: frozenset[str] = frozenset()
        self.views: ViewPace | None = None
        self._earlier, self._carried = earlier, dict[str, Carried]()
        self._compact_after_ms = compact_after_ms
        self.objects = ObjectTable() if compact_after_ms else ObjectTable(least=0)

        def disarms(mask: int) -> int:
            bits = 0
            for rule, bit in zip(plan.rules, plan.programs.armed_bits, strict=True):
                bits |= bit if rule.unless_mask & mask else 0
            return bits

        triggers = [rule.trigger_mask for rule in plan.rules]
        self.customer = RowTables(
            plan, plan.customer, plan.programs, updates=None, anchors=triggers, disarms=disarms, objects=self.objects,
            compact_after_ms=compact_after_ms,
        )  # fmt: skip
        self.entities = {name: self._entity(name, features) for name, features in plan.entities.items()}
        models = [model.spec.name for model in plan.scored.models]
        keys = entity_features(plan.entities) + score_features(models)
        self.entity_numbers = {key: number for number, key in enumerate(keys)}
        self.scored = ScoredRowTables(plan, self.objects, compact_after_ms) if models else None
        self.records = RecordBuffer()
        self._nothing = [
            (WHOLE if feature.op in ("count", "sum", "distinct") else NULL)
            for features in plan.entities.values()
            for feature in features.features
        ] + [NULL] * (SCORE_VALUES * len(models))

    def rows_of(self, kind: str, *, scored: bool) -> RowTables | None:
        """The tables of a kind of rows, as files call them; ``scored``: of a file of the models' rows."""
        if scored:
            return self.scored
        return self.customer if kind == "rows" else self.entities.get(kind)

    def carried_from(self, rules_id: str) -> Carried | None:
        """How to take over what was written under some rules; null if they are this plan's own."""
        if self._earlier is None or rules_id == self.rules_id:
            return None
        if rules_id not in self._carried:
            old = PlanTables(self._earlier(rules_id), self._compact_after_ms)
            change = PlanChange(old.plan, self.plan)
            self._carried[rules_id] = Carried(
                change,
                RowMapping(old.customer.layout, self.customer.layout, change.counterparts()),
                {
                    name: RowMapping(old.entities[name].layout, of.layout, change.counterparts(name))
                    for name, of in self.entities.items()
                    if name in old.entities
                },
                None
                if self.scored is None or old.scored is None
                else RowMapping(old.scored.layout, self.scored.layout, change.counterparts(scored=True)),
            )
        return self._carried[rules_id]

    def entities_over_nothing(self, count: int) -> Entities:
        """What aggregates over no entity's events give, and no scores, for ``count`` events."""
        shape = count, len(self._nothing)
        kinds = np.broadcast_to(np.array(self._nothing, np.int64), shape).copy()
        return kinds, np.zeros(shape, np.int64), np.zeros(shape)

    def entity_reader(self, step: Events, index: int) -> Callable[[tuple[str, int]], Any]:
        """Gives the values of entities' features at an event, by ``per=`` field and number."""

        def read(key: tuple[str, int]) -> Any:
            at = index, self.entity_numbers[key]
            kind, integer, double = step.entity_kind[at], step.entity_integer[at], step.entity_double[at]
            return value_of(self.objects, int(kind), int(integer), float(double))

        return read

    def _entity(self, name: str, features: FeatureSet) -> RowTables:
        readers = [
            (anchors, [index for entity, index in read if entity == name]) for anchors, read in self.plan.entity_readers
        ]

        def read_by(mask: int) -> list[int]:
            return sorted({index for triggers, indices in readers if triggers & mask for index in indices})

        return RowTables(
            self.plan, features, Programs(), updates=read_by, anchors=(), disarms=lambda mask: 0, objects=self.objects,
            compact_after_ms=self._compact_after_ms,
        )  # fmt: skip
