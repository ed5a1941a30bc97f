"""The dataflow: decoded micro-batches to shards, through the entities where rules read them, to the sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from flows.failures import Report, watched
from flows.files_source import SourceBatch
from flows.shard_keys import shard_key
from operators.batch import EventBatch
from operators.delivery import SHARDS, Delivery, EntityAnswer, EntityDelivery
from operators.entities import EntityShard
from operators.outcome import Outcome, ReadValues
from operators.shard import DecidingShard, OrderingShard, Shard
from operators.tables import PlanTables
from rules.plan import Plan
from rules.policy import Policy
from state.hashing import Key

Keyed = tuple[str, Any]


def build_dataflow(
    source: Source[SourceBatch], tables: PlanTables, policy: Policy, read_values: ReadValues, *, partitions: int,
    dedup_ms: int, until_ms: int, key: Key, actions: Sink[Any], dead_letters: Sink[Any], counts: Sink[Any],
    report: Report | None = None,
) -> Dataflow:  # fmt: skip
    """Wire the graph. The sinks take keyed items: lists of lines, and counters; ``report`` is told of failures."""

    plan = tables.plan

    def kept(logic: _Logic) -> _Logic:
        return watched(logic, report, "on_batch")

    flow = Dataflow("cem")
    batches = op.input("read", flow, source)
    op.output("write_dead_letters", op.flat_map("dead_letters", batches, _dead_letters), dead_letters)
    routed: Stream[Keyed] = op.flat_map("route", batches, _route)
    if plan.entities:
        ordered = op.stateful_batch("order", routed, lambda _: kept(_OrderLogic(plan, partitions, dedup_ms, key)))
        rows = op.flat_map("rows", ordered, lambda item: item[1][1])
        answers = op.stateful_batch("entities", rows, lambda _: kept(_EntityLogic(tables)))
        inward = op.merge(
            "inward",
            op.flat_map("ordered", ordered, lambda item: item[1][0]),
            op.flat_map("answers", answers, lambda item: item[1]),
        )
        decided = op.stateful_batch(
            "decide", inward, lambda _: kept(_StepLogic(DecidingShard(tables, policy, read_values, until_ms).step))
        )
        dropped = op.flat_map("dropped", ordered, lambda item: item[1][2])
        shard_counts = op.merge("shard_counts", op.flat_map("counts", decided, _counts), dropped)
    else:
        decided = op.stateful_batch(
            "decide", routed,
            lambda _: kept(_StepLogic(Shard(tables, policy, read_values, partitions, dedup_ms, until_ms, key).step)),
        )  # fmt: skip
        shard_counts = op.flat_map("counts", decided, _counts)
    op.output("write_actions", op.flat_map("lines", decided, _lines), actions)
    source_counts = op.flat_map("source_counts", batches, _source_counts)
    op.output("write_counts", op.merge("all_counts", source_counts, shard_counts), counts)
    return flow


def _route(batch: SourceBatch) -> list[tuple[str, tuple[int, Delivery]]]:
    """Split a batch by shard. Every shard gets an item, as every shard needs the watermark."""
    events: list[EventBatch | None] = [part if len(part) else None for part in batch.events] or [None] * SHARDS
    return [
        (shard_key(shard), (shard, Delivery(batch.source, batch.watermark_ms, batch.end_ms, part)))
        for shard, part in enumerate(events)
    ]


def _dead_letters(batch: SourceBatch) -> list[Keyed]:
    return [("dead_letters", batch.dead_letters)] if batch.dead_letters else []


def _source_counts(batch: SourceBatch) -> list[Keyed]:
    return [("counts", batch.counts)] if batch.counts else []


def _lines(item: tuple[str, Outcome]) -> list[Keyed]:
    return [("actions", item[1].lines)] if item[1].lines else []


def _counts(item: tuple[str, Outcome]) -> list[Keyed]:
    return [("counts", item[1].counts)] if item[1].counts else []


class _Logic(StatefulBatchLogic[Any, Any, None]):
    """A stage that is kept as long as the flow runs. Items carry the shard, as a builder is not told the key."""

    def snapshot(self) -> None:
        return None


class _StepLogic(_Logic):
    def __init__(self, step: Callable[[list[Any]], Outcome | None]) -> None:
        self._step = step

    def on_batch(self, values: list[tuple[int, Any]]) -> tuple[Iterable[Outcome], bool]:
        outcome = self._step([delivery for _, delivery in values])
        return ([] if outcome is None else [outcome]), StatefulBatchLogic.RETAIN


class _OrderLogic(_Logic):
    """Emits one triple a step: items for the deciding stage, for the entities, and counts."""

    def __init__(self, plan: Plan, partitions: int, dedup_ms: int, key: Key) -> None:
        self._plan, self._partitions, self._dedup_ms, self._key = plan, partitions, dedup_ms, key
        self._shard: OrderingShard | None = None

    def on_batch(self, values: list[tuple[int, Delivery]]) -> tuple[Iterable[Any], bool]:
        shard = values[0][0]
        if self._shard is None:
            self._shard = OrderingShard(shard, self._plan, self._partitions, self._dedup_ms, self._key)
        ready = self._shard.step([delivery for _, delivery in values])
        if ready is None:
            return [], StatefulBatchLogic.RETAIN
        onward, to_entities, counted = ready
        rows = [(shard_key(i), (i, delivery)) for i, delivery in enumerate(to_entities)]
        counts = [("counts", counted)] if counted else []
        return [([(shard_key(shard), (shard, onward))], rows, counts)], StatefulBatchLogic.RETAIN


class _EntityLogic(_Logic):
    """Emits one list of answers a step, one for each customer shard."""

    def __init__(self, tables: PlanTables) -> None:
        self._tables = tables
        self._shard: EntityShard | None = None

    def on_batch(self, values: list[tuple[int, EntityDelivery]]) -> tuple[Iterable[list[Keyed]], bool]:
        if self._shard is None:
            self._shard = EntityShard(values[0][0], self._tables)
        answers: list[EntityAnswer] | None = self._shard.step([delivery for _, delivery in values])
        if answers is None:
            return [], StatefulBatchLogic.RETAIN
        return [[(shard_key(i), (i, answer)) for i, answer in enumerate(answers)]], StatefulBatchLogic.RETAIN
