"""The dataflow: decoded micro-batches to shards, through the entities where rules read them, to the sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from flows.failures import Report, watched
from flows.keeper import DECIDE, ORDER, Keeper, KeptShard, Resume, Snapshot
from flows.shard_keys import shard_key
from flows.source_batch import SourceBatch
from operators.batch import EventBatch
from operators.delivery import SHARDS, Delivery, EntityAnswer
from operators.entities import EntityShard
from operators.outcome import Outcome, ReadValues
from operators.shard import DecidingShard, OrderingShard, Shard
from operators.tables import PlanTables
from rules.policy import Policy
from state.hashing import Key

Keyed = tuple[str, Any]


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


class Observer(Protocol):
    """Is told what the keyed stages of this process do."""

    def received(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries of sources came to a shard."""

    def stepped(self, stage: str, seconds: float) -> None:
        """A shard took a step."""

    def kept(self, stage: str, number: int, shard: Any) -> None:
        """A shard's state is about to be written."""


def build_dataflow(
    source: Source[SourceBatch], tables: PlanTables, policy: Policy, read_values: ReadValues, *, partitions: int,
    dedup_ms: int, until_ms: int, key: Key, keeper: Keeper, outputs: Outputs, by_entity: bool = False,
    dealt_anew: bool = False, report: Report | None = None, observer: Observer | None = None,
) -> Dataflow:  # fmt: skip
    """Wire the graph; ``report`` is told of failures.

    ``by_entity``: with the stages of the entities, even if the plan has none; ``dealt_anew``: see ``Ordering``.
    """

    plan = tables.plan
    by_entity = by_entity or bool(plan.entities)
    first = ORDER if by_entity else DECIDE

    def stage(logic: type[_Logic], name: str, make: Callable[[int], Any]) -> Callable[[Resume | None], _Logic]:
        def build(resume: Resume | None) -> _Logic:
            made = logic(name, make, keeper, resume, report, observer, name == first)
            return watched(made, report, "on_batch", "snapshot")

        return build

    flow = Dataflow("cem")
    batches = op.input("read", flow, source)
    _write(op.flat_map("dead_letters", batches, _dead_letters), outputs.dead_letters)
    if outputs.events:
        _write(op.flat_map("events", batches, _archive), outputs.events)
    routed: Stream[Keyed] = op.flat_map("route", batches, _route)
    if by_entity:
        ordered = op.stateful_batch(
            ORDER, routed,
            stage(
                _OrderLogic, ORDER,
                lambda number: OrderingShard(number, plan, partitions, dedup_ms, key, dealt_anew=dealt_anew),
            ),
        )  # fmt: skip
        rows = op.flat_map("rows", ordered, lambda item: item[1][1])
        answers = op.stateful_batch(
            "entities", rows, stage(_EntityLogic, "entities", lambda number: EntityShard(number, tables))
        )
        inward = op.merge(
            "inward",
            op.flat_map("ordered", ordered, lambda item: item[1][0]),
            op.flat_map("answers", answers, lambda item: item[1]),
        )
        decided = op.stateful_batch(
            DECIDE, inward,
            stage(_Logic, DECIDE, lambda _: DecidingShard(tables, policy, read_values, until_ms)),
        )  # fmt: skip
        dropped = op.flat_map("dropped", ordered, lambda item: item[1][2])
        shard_counts = op.merge("shard_counts", op.flat_map("counts", decided, _counts), dropped)
    else:
        decided = op.stateful_batch(
            DECIDE, routed,
            stage(
                _Logic, DECIDE,
                lambda _: Shard(
                    tables, policy, read_values, partitions, dedup_ms, until_ms, key, dealt_anew=dealt_anew
                ),
            ),
        )  # fmt: skip
        shard_counts = op.flat_map("counts", decided, _counts)
    _write(op.flat_map("lines", decided, _lines), outputs.actions)
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


class _Logic(StatefulBatchLogic[Any, Any, Any]):
    """One shard of a stage, kept as long as the flow runs, and in files where state is kept.

    Items carry the shard's number, as a builder is not told the key; ``resume`` does too.
    """

    def __init__(
        self, stage: str, make: Callable[[int], Any], keeper: Keeper, resume: Resume | None, report: Report | None,
        observer: Observer | None, is_first: bool,
    ) -> None:  # fmt: skip
        self._stage, self._make, self._keeper, self._report = stage, make, keeper, report
        self._observer, self._is_first = observer, is_first
        self._shard: Any = None
        self._kept: KeptShard | None = None
        if resume is not None:
            self._open(resume[0], resume)

    def _open(self, number: int, resume: Resume | None) -> None:
        self._number, self._shard = number, self._make(number)
        self._kept = self._keeper.open(self._stage, number, self._shard, resume)

    def on_batch(self, values: list[tuple[int, Any]]) -> tuple[Iterable[Any], bool]:
        """Let the shard take a step."""
        if self._shard is None:
            self._open(values[0][0], None)
        deliveries = [delivery for _, delivery in values]
        if self._observer is None:
            done = self._shard.step(deliveries)
        else:
            if self._is_first:
                self._observer.received(deliveries)
            began = perf_counter()
            done = self._shard.step(deliveries)
            self._observer.stepped(self._stage, perf_counter() - began)
        return ([] if done is None else [self._emitted(done)]), StatefulBatchLogic.RETAIN

    def _emitted(self, done: Any) -> Any:
        return done

    def snapshot(self) -> Snapshot | None:
        """Write what changed; what the runtime is to remember of it."""
        if self._observer is not None and self._shard is not None:
            self._observer.kept(self._stage, self._number, self._shard)
        return None if self._kept is None else watched(self._kept.snapshot(), self._report, "wait")


class _OrderLogic(_Logic):
    """Emits one triple a step: items for the deciding stage, for the entities, and counts."""

    def _emitted(self, done: tuple[Any, Any, Any]) -> Any:
        onward, to_entities, counted = done
        rows = [(shard_key(i), (i, delivery)) for i, delivery in enumerate(to_entities)]
        counts = [("counts", counted)] if counted else []
        return [(shard_key(self._number), (self._number, onward))], rows, counts


class _EntityLogic(_Logic):
    """Emits one list of answers a step, one for each customer shard."""

    def _emitted(self, done: list[EntityAnswer]) -> list[Keyed]:
        return [(shard_key(i), (i, answer)) for i, answer in enumerate(done)]
