"""Half-space trees as a model that learns from every row that it has scored, whatever the features' ranges are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.cells import address, get
from state.compiled import compiled
from state.feature_scaling import Scales, scale_and_learn
from state.half_space_trees import WINDOWS, Forest, explain, forest, grow, learn_path, walk
from state.model_rows import ModelRows, Scored
from state.scaled_learner import EXPLAINED, TOP, ScaledLearner, note_top
from state.score_ranks import RankArrays, add, rank

Doubles = NDArray[np.float64]

_REACH = math.asinh(300.0)
"""The trees' range is 300 deviations on both sides, warped: it is the tails that they are to tell apart."""


class HalfSpaceLearner(ScaledLearner):
    """A learner of half-space trees.

    The first ``window`` rows teach each feature's scale and are then the first reference; until then nothing is known.
    Scales go on learning (``state.feature_scaling``), so the trees see how odd each value is: ``0.5 + 0.5 * asinh(z) /
    asinh(300)`` of the deviations ``z``. A score is ``-log`` of a row's mass as a share of what it would be if rows
    were spread evenly over that range. Infinities count as 1e100, nulls as in ``state.half_space_trees``.

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
        self, features: int, *, trees: int = 25, height: int = 8, window: int = 1_000, seed: int = 1,
        skip_above: float = 0.999, recent: int = 50_000,
    ) -> None:  # fmt: skip
        super().__init__(features, window, skip_above, recent)
        self._trees = grow(trees, height, features, seed)
        self._forest = forest(self._trees, window)
        self._even = float(trees * window * (height + 1))
        self._told_windows = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        return super().used_bytes + self._trees.used_bytes

    def _begin(self, first: Doubles) -> None:
        count = len(first)
        self._walk(first, np.zeros(count, np.bool_), Scored.nothing(count, TOP), math.inf, learns=False)

    def _run(self, rows: ModelRows, scored: Scored, *, learns: bool) -> int:
        skip_above = self._skip_above if learns else -1.0
        return self._walk(rows.features, rows.is_label, scored, skip_above, learns=learns)

    def _walk(
        self, features: Doubles, is_label: NDArray[np.bool_], scored: Scored, skip_above: float, *, learns: bool
    ) -> int:
        scaled = np.empty(features.shape[1])
        return _take(
            self._forest, self._ranks.arrays, self._scales, self._even, skip_above, learns, features,
            is_label, scored.raw, scored.shares, scored.top, scored.parts, scaled, address(scaled),
        )  # fmt: skip

    def sections(self, *, everything: bool) -> dict[str, Any]:
        """What has changed since the last call, or all, as arrays by name."""
        found = super().sections(everything=everything)
        trees, windows = self._trees, int(self._trees.meta[WINDOWS])
        if self._first is None:
            found |= {"meta": trees.meta.copy(), "latest": trees.latest.ravel().copy()}
            if everything or windows != self._told_windows:
                found["reference"] = trees.reference.ravel().copy()
            self._told_windows = windows
        return found

    def restore(self, frames: Sequence[Mapping[str, Any]]) -> None:
        """Take what ``sections`` gave, oldest first: one that held everything, then those after it."""
        super().restore(frames)
        trees = self._trees
        for frame in frames:
            if "meta" in frame:
                trees.meta[:] = np.frombuffer(frame["meta"], np.int64)
                trees.latest[:] = np.frombuffer(frame["latest"], np.int32).reshape(trees.latest.shape)
            if "reference" in frame:
                trees.reference[:] = np.frombuffer(frame["reference"], np.int32).reshape(trees.reference.shape)
        self._told_windows = int(trees.meta[WINDOWS])


@compiled
def _take(
    trees: Forest, ranks: RankArrays, known: Scales, even: float, skip_above: float, learns: bool,
    features: Doubles, is_label: NDArray[np.bool_], raw: Doubles, shares: Doubles, top: NDArray[np.int8],
    parts: NDArray[np.float32], scaled: Doubles, to: int,
) -> int:  # fmt: skip
    """``to``: the address of ``scaled``, scratch for one row."""
    width = features.shape[1]
    part_of = np.empty(width)
    learned = 0
    for i in range(len(features)):
        if is_label[i]:
            continue
        scale_and_learn(known, features[i], scaled, learns)
        for on in range(width):
            scaled[on] = 0.5 + 0.5 * math.asinh(scaled[on]) / _REACH
        found = walk(trees, to)
        if get(trees.meta, WINDOWS):
            raw[i] = -math.log((found + 1.0) / even)
            share = shares[i] = rank(ranks, raw[i])
            add(ranks, raw[i])
            if share >= EXPLAINED:
                explain(trees, part_of)
                note_top(part_of, top[i], parts[i])
            if share > skip_above:
                continue
        learn_path(trees)
        learned += 1
    return learned
