"""Half-space trees as a model that learns from every row that it has scored, whatever the features' ranges are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.half_space_trees import WINDOWS, Trees, attribute, grow, learn_path, mass, max_mass
from state.model_rows import ModelRows, Scored
from state.score_ranks import RankArrays, ScoreRanks, add, rank

Doubles = NDArray[np.float64]
Frame = Mapping[str, bytes | memoryview | NDArray[np.generic]]

TOP = 3
_EXPLAINED = 0.9
"""Scores with a lower share of recent ones below them get no parts."""
_LOW, _HIGH, _MARGIN = 0.01, 0.99, 0.25
"""A feature's range: between these quantiles of the first window, and this share of their distance on both sides."""


@compiled
def _take(
    trees: Trees, ranks: RankArrays, limits: Doubles, window: int, even: float, skip_above: float, features: Doubles,
    is_label: NDArray[np.bool_], raw: Doubles, top: NDArray[np.int8], parts: NDArray[np.float32],
) -> int:  # fmt: skip
    width = features.shape[1]
    scaled, shares = np.empty(width), np.empty(width)
    learned = 0
    for i in range(len(features)):
        if is_label[i]:
            continue
        for on in range(width):
            scaled[on] = (features[i, on] - limits[0, on]) * limits[1, on]
        found = mass(trees, window, scaled)
        if trees.meta[WINDOWS]:
            raw[i] = -math.log((found + 1.0) / even)
            share = rank(ranks, raw[i])
            add(ranks, raw[i])
            if share >= _EXPLAINED:
                attribute(trees, window, shares)
                _note_top(shares, top[i], parts[i])
            if share > skip_above:
                continue
        learn_path(trees, window)
        learned += 1
    return learned


@compiled
def _note_top(shares: Doubles, top: NDArray[np.int8], parts: NDArray[np.float32]) -> None:
    for place in range(len(top)):
        best = -1
        for on in range(len(shares)):
            if shares[on] > 0.0 and (best < 0 or shares[on] > shares[best]):
                best = on
        if best < 0:
            return
        top[place], parts[place] = best, shares[best]
        shares[best] = 0.0


class HalfSpaceLearner:
    """A learner of half-space trees.

    The first ``window`` rows teach each feature's range and are then the first reference; until then nothing is known.
    The range is fixed from then on: what lies outside falls where the range ends. A feature that is constant in these rows
    has a range of one unit around it, one that is null in all of them 0..1; infinities count as the largest numbers.

    Parameters
    ----------
    features
        How many features there are, at most 127.
    trees, height, window
        Of the trees: each has ``2 ** height`` leaves; the masses are those of ``window`` rows.
    seed
        Grows the trees.
    skip_above
        Rows with a share of recent scores below theirs above this are scored but not learned from.
    recent
        How many scores are recent.
    """

    def __init__(
        self, features: int, *, trees: int = 25, height: int = 8, window: int = 2_048, seed: int = 1,
        skip_above: float = 0.999, recent: int = 50_000,
    ) -> None:  # fmt: skip
        if not 1 <= features <= 127:
            raise ValueError("between 1 and 127 features")
        self._trees = grow(trees, height, features, seed)
        self._ranks = ScoreRanks(recent)
        self._window, self._skip_above = window, skip_above
        self._even = max_mass(self._trees, window) / (2 ** (height + 1) - 1) * (height + 1)
        self._limits = np.zeros((2, features))
        self._first: Doubles | None = np.zeros((window, features))
        self._held = 0
        self._told_first = self._told_windows = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        first = 0 if self._first is None else self._first.nbytes
        return sum(array.nbytes for array in self._trees) + self._ranks.used_bytes + first

    def take(self, rows: ModelRows, *, learns: bool = True) -> Scored:
        """Score each row and then learn from it; ``learned`` counts those of this call."""
        count = len(rows.features)
        scored = Scored(
            np.full(count, np.nan), np.full((count, TOP), -1, np.int8), np.zeros((count, TOP), np.float32), 0, 0
        )
        features = np.nan_to_num(rows.features, nan=np.nan, posinf=1e300, neginf=-1e300)
        start = 0
        if self._first is not None:
            events = np.flatnonzero(~rows.is_label)[: self._window - self._held]
            self._first[self._held : self._held + len(events)] = features[events]
            self._held += len(events)
            if self._held < self._window:
                scored.learned = len(events)
                return scored
            self._learn_limits()
            start, scored.learned = int(events[-1]) + 1, len(events)
        rest = slice(start, count)
        scored.learned += _take(
            self._trees, self._ranks.arrays, self._limits, self._window, self._even, self._skip_above, features[rest],
            rows.is_label[rest], scored.raw[rest], scored.top[rest], scored.parts[rest],
        )  # fmt: skip
        return scored

    def _learn_limits(self) -> None:
        first, self._first = self._first, None
        assert first is not None
        for on in range(first.shape[1]):
            known = first[~np.isnan(first[:, on]), on]
            low, high = np.quantile(known, (_LOW, _HIGH)) if len(known) else (0.0, 1.0)
            if high - low <= 1e-12 * max(abs(low), abs(high)):  # most are alike: then the range is that of the others
                low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
            margin = _MARGIN * (high - low)
            if margin == 0.0:
                margin = max(0.5, 1e-12 * abs(low))  # less would not change numbers so large
            self._limits[:, on] = low - margin, 1.0 / (high - low + 2 * margin)
        labels = np.zeros(len(first), np.bool_)
        nothing = np.zeros((len(first), 0))
        _take(self._trees, self._ranks.arrays, self._limits, self._window, self._even, 2.0, first, labels,
              np.empty(len(first)), nothing.astype(np.int8), nothing.astype(np.float32))  # fmt: skip

    def sections(self, *, everything: bool) -> dict[str, NDArray[np.generic]]:
        """What has changed since the last call, or all, as arrays by name."""
        found: dict[str, NDArray[np.generic]] = {
            f"ranks.{name}": array for name, array in self._ranks.sections(everything=everything).items()
        }
        found["held"] = np.array([self._held])
        if self._first is not None:
            told = 0 if everything else self._told_first
            found["first"], found["first_from"] = self._first[told : self._held].ravel(), np.array([told])
            self._told_first = self._held
            return found
        trees, windows = self._trees, int(self._trees.meta[WINDOWS])
        found["limits"], found["meta"] = self._limits.ravel(), trees.meta.copy()
        found["latest"] = trees.latest.ravel().copy()
        if everything or windows != self._told_windows:
            found["reference"] = trees.reference.ravel().copy()
        self._told_windows = windows
        return found

    def restore(self, frames: Sequence[Frame]) -> None:
        """Take what ``sections`` gave, oldest first: one that held everything, then those after it."""
        trees = self._trees
        self._ranks.restore(
            [{name[6:]: part for name, part in frame.items() if name.startswith("ranks.")} for frame in frames]
        )
        for frame in frames:
            self._held = int(np.frombuffer(frame["held"], np.int64)[0])
            if "first" in frame:
                assert self._first is not None
                told = int(np.frombuffer(frame["first_from"], np.int64)[0])
                self._first[told : self._held] = np.frombuffer(frame["first"]).reshape(-1, self._first.shape[1])
                continue
            self._first = None
            self._limits[:] = np.frombuffer(frame["limits"]).reshape(self._limits.shape)
            trees.meta[:] = np.frombuffer(frame["meta"], np.int64)
            trees.latest[:] = np.frombuffer(frame["latest"], np.int32).reshape(trees.latest.shape)
            if "reference" in frame:
                trees.reference[:] = np.frombuffer(frame["reference"], np.int32).reshape(trees.reference.shape)
        self._told_first, self._told_windows = self._held, int(trees.meta[WINDOWS])
