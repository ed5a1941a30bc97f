"""What models without labels have in common: scales learnt as rows come, ranks of scores, what is explained."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.feature_scaling import learn_first, scales
from state.model_rows import ModelRows, Scored
from state.score_ranks import ScoreRanks

Doubles = NDArray[np.float64]

TOP = 3
EXPLAINED = 0.9
"""Scores with a lower share of recent ones below them get no parts."""


@compiled
def note_top(shares: Doubles, top: NDArray[np.int8], parts: NDArray[np.float32]) -> None:
    """Note the greatest of the features' shares that are above 0; ``shares`` loses them."""
    for place in range(len(top)):
        best = -1
        for on in range(len(shares)):
            if shares[on] > 0.0 and not math.isnan(shares[on]) and (best < 0 or shares[on] > shares[best]):
                best = on
        if best < 0:
            return
        top[place], parts[place] = best, shares[best]
        shares[best] = 0.0


class ScaledLearner(ABC):
    """A model that scores nothing until it has seen ``first`` rows, from which it learns the features' scales.

    Rows that score above ``skip_above``, as a share of the ``recent`` scores, are not learned from; the scales
    alone learn from every row, none of which can move them far.
    """

    def __init__(self, features: int, first: int, skip_above: float, recent: int) -> None:
        if not 1 <= features <= 127:
            raise ValueError("between 1 and 127 features")
        self._scales = scales(features)
        self._ranks = ScoreRanks(recent)
        self._skip_above = skip_above
        self._first: Doubles | None = np.zeros((first, features))
        self._held = self._told_first = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        first = 0 if self._first is None else self._first.nbytes
        return sum(array.nbytes for array in self._scales) + self._ranks.used_bytes + first

    @abstractmethod
    def _begin(self, first: Doubles) -> None:
        """The first rows are there, and the scales know them."""

    @abstractmethod
    def _run(self, rows: ModelRows, scored: Scored, *, learns: bool) -> int:
        """Score the events among rows into ``scored`` and learn; returns how many rows were learned from."""

    def take(self, rows: ModelRows, *, learns: bool = True) -> Scored:
        """Score each event and then learn from it, if ``learns``; ``learned`` counts those of this call."""
        count = len(rows.features)
        scored = Scored.nothing(count, TOP)
        start = 0
        if self._first is not None:
            if not learns:
                return scored
            events = np.flatnonzero(~rows.is_label)[: len(self._first) - self._held]
            self._first[self._held : self._held + len(events)] = rows.features[events]
            self._held += len(events)
            scored.learned = len(events)
            if self._held < len(self._first):
                return scored
            first, self._first = self._first, None
            learn_first(self._scales, first)
            self._begin(first)
            start = int(events[-1]) + 1
        rest = slice(start, count)
        later = ModelRows(
            rows.ts_ms[rest], rows.is_label[rest], rows.keys[rest], rows.labels[rest],
            np.ascontiguousarray(rows.features[rest], np.float64),
        )  # fmt: skip
        said = Scored(scored.raw[rest], scored.shares[rest], scored.top[rest], scored.parts[rest])
        scored.learned += self._run(later, said, learns=learns)
        return scored

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """What has changed since the last call, or all, as arrays by name."""
        ranks = self._ranks.sections(everything=everything)
        found: dict[str, Any] = {f"ranks.{name}": array for name, array in ranks.items()}
        found |= {"held": np.array([self._held]), "scales": np.concatenate(self._scales)}
        if self._first is not None:
            told = 0 if everything else self._told_first
            found |= {"first": self._first[told : self._held].ravel(), "first_from": np.array([told])}
            self._told_first = self._held
        return found

    def restore(self, frames: Sequence[Mapping[str, Any]]) -> None:
        """Take what ``sections`` gave, oldest first: one that held everything, then those after it."""
        self._ranks.restore(
            [{name[6:]: part for name, part in frame.items() if name.startswith("ranks.")} for frame in frames]
        )
        for frame in frames:
            self._held = int(np.frombuffer(frame["held"], np.int64)[0])
            for scale, values in zip(self._scales, np.split(np.frombuffer(frame["scales"]), 3), strict=True):
                scale[:] = values
            if "first" in frame:
                assert self._first is not None
                told = int(np.frombuffer(frame["first_from"], np.int64)[0])
                self._first[told : self._held] = np.frombuffer(frame["first"]).reshape(-1, self._first.shape[1])
            else:
                self._first = None
        self._told_first = self._held
