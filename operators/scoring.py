"""The models' keyed stage: one model learns from all customers, in processing order over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.decision import Decision, decision_digest
from operators.delivery import ENTITY_SHARDS, SHARDS, EntityAnswer, EntityValues
from operators.drift import Drift, DriftWatch
from operators.json_lines import encode_line
from operators.learners import make_learner
from operators.model_input import ModelDelivery, ModelInput, in_order
from operators.outcome import Counts
from operators.waiting import ReadMessages
from rules.model import STREAMS
from rules.models import ModelSpec
from rules.score_keys import SCORE_VALUES, TOP, score_key
from state.json_values import from_json, to_json
from state.model_rows import Scored
from state.reads import NULL, NUMBER, WHOLE
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS, Frontier

_LEARNER = "learner."
"""Before the names of the learner's sections."""


@dataclass(slots=True)
class ScoringOutcome:
    """What a step of a model gives: an answer for each shard of customers, and what is to be written."""

    answers: list[EntityAnswer]
    lines: list[bytes] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)


class ScoringShard:
    """One model. ``place``: among the models of the plan."""

    def __init__(self, spec: ModelSpec, place: int) -> None:
        self._spec = spec
        self._source = 1 + ENTITY_SHARDS + place
        self._learner = make_learner(spec)
        self._drift = DriftWatch()
        self._seen = self._learned = 0
        self._frontier = Frontier(SHARDS)
        self._end_ms = BEFORE_ALL_MS
        self._runs: list[ModelInput] = []

    def step(self, deliveries: Sequence[ModelDelivery]) -> ScoringOutcome | None:
        """Take rows; once every shard has passed them, score them and learn from them."""
        before_ms = self._frontier.ms
        for delivery in deliveries:
            if delivery.rows is not None:
                self._runs.append(delivery.rows)
            self._frontier.advance(delivery.source, delivery.watermark_ms)
            self._end_ms = max(self._end_ms, delivery.end_ms)
        if self._frontier.ms == before_ms:
            return None
        out = ScoringOutcome([EntityAnswer(self._source, self._frontier.ms, self._end_ms, []) for _ in range(SHARDS)])
        ready = self._ready()
        if ready:
            self._score(in_order(ready), out)
        if self._frontier.ms == AFTER_ALL_MS:
            out.answers[0].used_bytes = self.used_bytes
        return out

    @property
    def used_bytes(self) -> int:
        """Bytes of what is remembered."""
        return self._learner.used_bytes

    def size(self) -> tuple[int, int]:
        """Bytes of what is remembered; no customers."""
        return self.used_bytes, 0

    def _ready(self) -> list[ModelInput]:
        ready, waiting = [], []
        for run in self._runs:
            count = int(np.searchsorted(run.effective_ms, self._frontier.ms))
            if count:
                ready.append(run if count == len(run) else run.slice(0, count))
            if count < len(run):
                waiting.append(run.slice(count, len(run)))
        self._runs = waiting
        return ready

    def _score(self, rows: ModelInput, out: ScoringOutcome) -> None:
        spec = self._spec
        scored = self._learner.take(rows.rows, learns=spec.mode != "frozen")
        shares = scored.shares
        counted = rows.is_label if spec.labels else ~rows.is_label
        seen = self._seen + np.cumsum(counted) - counted  # before each row
        shares[seen < spec.warm_up] = np.nan
        self._seen += int(counted.sum())
        self._learned += scored.learned
        for drift in self._drift.take(np.where(np.isnan(shares), np.nan, scored.raw)):
            out.lines.append(self._told(drift, rows))
            out.counts["models", spec.name, "drifts"] += 1
            out.counts["decisions", f"model:{spec.name}", "emitted"] += 1
        numbers = {
            "events": len(rows) - int(rows.is_label.sum()), "scored": len(rows) - int(np.isnan(shares).sum()),
            "labels": int(rows.is_label.sum()), "learned": scored.learned, "positives": scored.positives,
        }  # fmt: skip
        out.counts.update({("models", spec.name, name): n for name, n in numbers.items() if n})
        answer(rows, shares, scored, spec.name, out.answers)

    def _told(self, drift: Drift, rows: ModelInput) -> bytes:
        """A drift as a decision on the model: a tag, whose customer is the model."""
        spec, row = self._spec, drift.row
        subject = f"model:{spec.name}"
        stream, anchor_id = STREAMS[rows.stream[row]], rows.event_id.bytes_at(row).decode()
        t_ms = int(rows.effective_ms[row])
        action_id = decision_digest(
            [subject, spec.version, rows.customer_id.bytes_at(row).decode(), stream, anchor_id, t_ms, None, "tag", 0]
        )
        figures = {"before": round(drift.before, 6), "after": round(drift.after, 6)}
        return encode_line(
            Decision(
                action_id, "tag", subject, spec.version, "service", 50, subject, t_ms, anchor_id, None, "emitted", None,
                None, None, False, figures, {"tag": "drift", "model": spec.name, "detector": "ADWIN"},
            )
        )  # fmt: skip

    # --- state -----------------------------------------------------------------------------------

    def note_changes(self) -> None:
        """See ``operators.shard.StatefulShard``."""

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """See ``operators.shard.StatefulShard``. At the end of an epoch nothing waits here."""
        assert not self._runs
        head = {"watermark_ms": self._frontier.ms, "end_ms": self._end_ms, "seen": self._seen,
                "learned": self._learned, "name": self._spec.name, "model": definition(self._spec)}  # fmt: skip
        learner = self._learner.sections(everything=everything)
        return {f"{_LEARNER}{name}": section for name, section in learner.items()} | {
            "scoring": to_json(head), "drift": self._drift.section(),
        }  # fmt: skip

    def restore(self, frames: Sequence[Mapping[str, Any]], read: ReadMessages) -> bool:
        """See ``operators.shard.StatefulShard``. A model that is another one now begins anew."""
        head = from_json(frames[-1]["scoring"])
        self._frontier.restore([head["watermark_ms"]] * SHARDS)
        self._end_ms = head["end_ms"]
        if head["model"] != definition(self._spec):
            return True
        self._seen, self._learned = head["seen"], head["learned"]
        self._learner.restore(
            [{n.removeprefix(_LEARNER): part for n, part in sections.items() if n.startswith(_LEARNER)}
             for sections in frames]
        )  # fmt: skip
        self._drift.restore(frames[-1]["drift"])
        return False


def answer(
    rows: ModelInput, shares: NDArray[np.float64], scored: Scored, name: str, answers: list[EntityAnswer]
) -> None:
    """Tell the shards of customers the scores of their events."""
    known = np.flatnonzero(~np.isnan(shares))
    if not len(known):
        return
    kinds = np.full((len(known), SCORE_VALUES), NUMBER, np.int64)
    integers = np.zeros((len(known), SCORE_VALUES), np.int64)
    doubles = np.zeros((len(known), SCORE_VALUES))
    doubles[:, 0] = shares[known]
    top = scored.top[known]
    kinds[:, 1:] = np.where(np.tile(top, 2) < 0, NULL, NUMBER)
    kinds[:, 1 : 1 + TOP][top >= 0] = WHOLE
    integers[:, 1 : 1 + TOP] = top
    doubles[:, 1 : 1 + TOP] = top
    doubles[:, 1 + TOP :] = scored.parts[known]
    order = np.lexsort((rows.sequences[known], rows.shards[known]))
    shards, sequences = rows.shards[known][order], rows.sequences[known][order]
    bounds = np.searchsorted(shards, np.arange(SHARDS + 1)).tolist()
    key = score_key(name)[0]
    for shard, to in enumerate(answers):
        part = order[bounds[shard] : bounds[shard + 1]]
        if len(part):
            own = sequences[bounds[shard] : bounds[shard + 1]]
            to.values.append(EntityValues(key, own, kinds[part], integers[part], doubles[part]))


def definition(spec: ModelSpec) -> str:
    """What a model is, as a text: another one cannot go on from what this one learned."""
    parameters = [(parameter.name, parameter.value) for parameter in spec.parameters]
    return repr(
        (spec.version, spec.kind, spec.scored, spec.labels, spec.features, spec.timezone, spec.ranked_among, parameters)
    )
