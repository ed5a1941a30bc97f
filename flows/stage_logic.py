"""Shards of the keyed stages, as the runtime sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any, Protocol

from bytewax.operators import StatefulBatchLogic

from flows.failures import Report, watched
from flows.keeper import Keeper, KeptShard, Resume, Snapshot
from flows.shard_keys import shard_key
from operators.delivery import SHARDS, Delivery, EntityAnswer
from operators.scoring import ScoringOutcome

Keyed = tuple[str, Any]


class Observer(Protocol):
    """Is told what the keyed stages of this process do."""

    def received(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries of sources came to a shard."""

    def stepped(self, stage: str, seconds: float) -> None:
        """A shard took a step."""

    def kept(self, stage: str, number: int, shard: Any) -> None:
        """A shard's state is about to be written."""


class StageLogic(StatefulBatchLogic[Any, Any, Any]):
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
        self._resume = resume
        if resume is not None:
            self._open(resume[0], resume)

    def _open(self, number: int, resume: Resume | None) -> None:
        self._number, self._shard = number, self._make(number)
        if self._shard is not None:  # else it was of a model that there is no more: nothing will reach it
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

    def snapshot(self) -> Snapshot | Resume | None:
        """Write what changed; what the runtime is to remember of it."""
        if self._observer is not None and self._shard is not None:
            self._observer.kept(self._stage, self._number, self._shard)
        if self._kept is None:  # of a model that does not run: it goes on from there if it ever comes back
            return self._resume
        return watched(self._kept.snapshot(), self._report, "wait")


class OrderLogic(StageLogic):
    """Emits one triple a step: items for the deciding stage, for the entities, and counts."""

    def _emitted(self, done: tuple[Any, Any, Any]) -> Any:
        onward, to_entities, counted = done
        rows = [(shard_key(i), (i, delivery)) for i, delivery in enumerate(to_entities)]
        counts = [("counts", counted)] if counted else []
        return [(shard_key(self._number), (self._number, onward))], rows, counts


class EntityLogic(StageLogic):
    """Emits one list of answers a step, one for each customer shard."""

    def _emitted(self, done: list[EntityAnswer]) -> list[Keyed]:
        return [(shard_key(i), (i, answer)) for i, answer in enumerate(done)]


class ScoreLogic(StageLogic):
    """Emits one triple a step: answers for the customers' shards, lines of decisions, and counts."""

    def _emitted(self, done: ScoringOutcome) -> Any:
        answers = [(shard_key(i), (i, answer)) for i, answer in enumerate(done.answers)]
        lines = [(shard_key(self._number % SHARDS), done.lines)] if done.lines else []
        return answers, lines, [("counts", done.counts)] if done.counts else []
