"""The dataflow: decoded micro-batches to shards, through the entities where rules read them, to the sinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.outputs import Sink

from flows.failures import Report, watched
from flows.keeper import DECIDE, ORDER, Keeper, Resume
from flows.model_stages import Said, score
from flows.shard_keys import shard_key
from flows.source_batch import SourceBatch
from flows.stage_logic import EntityLogic, Keyed, Observer, OrderLogic, StageLogic
from operators.batch import EventBatch
from operators.deciding import DecidingShard
from operators.delivery import SHARDS, Delivery
from operators.entities import EntityShard
from operators.outcome import Outcome, ReadValues
from operators.shard import OrderingShard, Shard
from operators.tables import PlanTables
from rules.policy import Policy
from state.hashing import Key


@dataclass(frozen=True, slots=True)
class Outputs:
    """The sinks by the names of their steps; all take keyed items.

    ``actions`` and ``views`` get lists of lines under their shard's key: decisions, and views of customers;
    ``dead_letters`` and ``events``, the messages that were events, under the number of their source. ``counts`` gets
    counters.
    """

    actions: Mapping[str, Sink[Any]]
    dead_letters: Mapping[str, Sink[Any]]
    counts: Sink[Any]
    events: Mapping[str, Sink[Any]] = field(default_factory=dict)
    views: Mapping[str, Sink[Any]] = field(default_factory=dict)


def build_dataflow(
    source: Source[SourceBatch], tables: PlanTables, policy: Policy, read_values: ReadValues, *, partitions: int,
    dedup_ms: int, until_ms: int, key: Key, keeper: Keeper, outputs: Outputs, by_entity: bool = False,
    dealt_anew: bool = False, report: Report | None = None, observer: Observer | None = None,
) -> Dataflow:  # fmt: skip
    """Wire the graph; ``report`` is told of failures.

    ``by_entity``: with the stages of the entities, even if the plan needs none; ``dealt_anew``: see ``Ordering``.
    """

    plan = tables.plan
    by_entity = by_entity or plan.is_answered
    first = ORDER if by_entity else DECIDE

    def stage(logic: type[StageLogic], name: str, make: Callable[[int], Any]) -> Callable[[Resume | None], StageLogic]:
        def build(resume: Resume | None) -> StageLogic:
            made = logic(name, make, keeper, resume, report, observer, name == first)
            return watched(made, report, "on_batch", "snapshot")

        return build

    flow = Dataflow("cem")
    batches = op.input("read", flow, source)
    _write(op.flat_map("dead_letters", batches, _dead_letters), outputs.dead_letters)
    if outputs.events:
        _write(op.flat_map("events", batches, _archive), outputs.events)
    routed: Stream[Keyed] = op.flat_map("route", batches, _route)
    said: Said | None = None
    if by_entity:
        ordered = op.stateful_batch(
            ORDER, routed,
            stage(
                OrderLogic, ORDER,
                lambda number: OrderingShard(number, plan, partitions, dedup_ms, key, dealt_anew=dealt_anew),
            ),
        )  # fmt: skip
        rows = op.flat_map("rows", ordered, lambda item: item[1][1])
        answers = op.stateful_batch(
            "entities", rows, stage(EntityLogic, "entities", lambda number: EntityShard(number, tables))
        )
        inward = [
            op.flat_map("ordered", ordered, lambda item: item[1][0]),
            op.flat_map("answers", answers, lambda item: item[1]),
        ]
        if plan.scored.models:
            said = score(op.merge("to_measure", *inward), tables, key, stage)
            inward.append(said.answers)
        decided = op.stateful_batch(
            DECIDE, op.merge("inward", *inward),
            stage(StageLogic, DECIDE, lambda _: DecidingShard(tables, policy, read_values, until_ms)),
        )  # fmt: skip
        dropped = op.flat_map("dropped", ordered, lambda item: item[1][2])
        counts = [op.flat_map("counts", decided, _counts), dropped, *([said.counts] if said else [])]
        shard_counts = op.merge("shard_counts", *counts)
    else:
        decided = op.stateful_batch(
            DECIDE, routed,
            stage(
                StageLogic, DECIDE,
                lambda _: Shard(
                    tables, policy, read_values, partitions, dedup_ms, until_ms, key, dealt_anew=dealt_anew
                ),
            ),
        )  # fmt: skip
        shard_counts = op.flat_map("counts", decided, _counts)
    lines = op.flat_map("lines", decided, _lines)
    _write(op.merge("all_lines", lines, said.lines) if said else lines, outputs.actions)
    if outputs.views:
        _write(op.flat_map("views", decided, _views), outputs.views)
    source_counts = op.flat_map("source_counts", batches, _source_counts)
    op.output("write_counts", op.merge("all_counts", source_counts, shard_counts), outputs.counts)
    return flow


def _write(lines: Stream[Keyed], sinks: Mapping[str, Sink[Any]]) -> None:
    for step, sink in sinks.items():
        op.output(step, lines, sink)


def _route(batch: SourceBatch) -> list[tuple[str, tuple[int, Delivery]]]:
    """Split a batch by shard. Every shard gets an item, as every shard needs the watermark."""
    events: list[EventBatch | None] = [part if len(part) else None for part in batch.events] or [None] * SHARDS
    return [
        (shard_key(shard), (shard, Delivery(batch.source, batch.watermark_ms, batch.end_ms, part, idle=batch.idle)))
        for shard, part in enumerate(events)
    ]


def _dead_letters(batch: SourceBatch) -> list[Keyed]:
    return [(str(batch.source), batch.dead_letters)] if batch.dead_letters else []


def _archive(batch: SourceBatch) -> list[Keyed]:
    return [(str(batch.source), batch.archive)] if batch.archive else []


def _source_counts(batch: SourceBatch) -> list[Keyed]:
    return [("counts", batch.counts)] if batch.counts else []


def _lines(item: tuple[str, Outcome]) -> list[Keyed]:
    return [(item[0], item[1].lines)] if item[1].lines else []


def _views(item: tuple[str, Outcome]) -> list[Keyed]:
    return [(item[0], item[1].views)] if item[1].views else []


def _counts(item: tuple[str, Outcome]) -> list[Keyed]:
    return [("counts", item[1].counts)] if item[1].counts else []
