"""The models' stages: features of the events that models score, and the models themselves, each under its own key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import bytewax.operators as op
from bytewax.dataflow import Stream

from flows.keeper import Resume
from flows.stage_logic import Keyed, ScoreLogic, StageLogic
from operators.measuring import MeasuringShard
from operators.scoring import ScoringShard
from operators.tables import PlanTables
from state.hashing import Key

MEASURE, SCORE = "measure", "score"
"""Names of stages."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the models give: answers for the deciding stage, lines of decisions, and counts; all keyed."""

    answers: Stream[Keyed]
    lines: Stream[Keyed]
    counts: Stream[Keyed]


class MakeStage(Protocol):
    """Makes what builds the shards of a keyed stage."""

    def __call__(
        self, logic: type[StageLogic], name: str, make: Callable[[int], Any]
    ) -> Callable[[Resume | None], StageLogic]:
        """``make`` gives the shard of a number, or nothing where there is none any more."""


def score(inward: Stream[Keyed], tables: PlanTables, key: Key, stage: MakeStage) -> Said:
    """Add the stages; ``inward`` are ordered events and entities' answers under their shard's key."""
    names = [model.spec.name for model in tables.plan.scored.models]
    keys = [(name, model_number(name)) for name in names]
    places = {number: place for place, (_, number) in enumerate(keys)}

    def make(number: int) -> ScoringShard | None:
        place = places.get(number)
        return None if place is None else ScoringShard(tables.plan.scored.models[place].spec, place)

    measured = op.stateful_batch(
        MEASURE, inward, stage(StageLogic, MEASURE, lambda shard: MeasuringShard(shard, tables, key))
    )
    rows = op.flat_map(
        "to_models", measured,
        lambda item: [(name, (number, one)) for (name, number), one in zip(keys, item[1], strict=True)],
    )  # fmt: skip
    scored = op.stateful_batch(SCORE, rows, stage(ScoreLogic, SCORE, make))
    return Said(
        op.flat_map("scores", scored, lambda item: item[1][0]),
        op.flat_map("drifts", scored, lambda item: item[1][1]),
        op.flat_map("model_counts", scored, lambda item: item[1][2]),
    )


def model_number(name: str) -> int:
    """A model's number among the shards of its stage: it stays the same whatever other models there are."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")
