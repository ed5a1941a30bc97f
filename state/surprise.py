"""How unusual a row is as a sum over its features: a model for features that each measure a surprise.

The raw score is ``log(1 + sum of z²)``, ``z`` being how many deviations a feature lies above its mean
(``state.feature_scaling``); what lies below counts nothing: the larger a feature, the odder it is meant to be. Squares
let one great surprise outweigh many small ones, so features that say nothing cost little. Nulls count nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.feature_scaling import Scales, scale_and_learn
from state.model_rows import ModelRows, Scored
from state.scaled_learner import EXPLAINED, Doubles, ScaledLearner, note_top
from state.score_ranks import RankArrays, add, rank


class SurpriseLearner(ScaledLearner):
    """A learner of the features' scales and of nothing else. A part is a feature's share of the sum.

    Parameters
    ----------
    features
        How many features there are, at most 127.
    first
        The scales begin with so many rows; until then nothing is known.
    skip_above, recent
        As of every learner without labels; what is skipped counts as not learned from, but no row moves scales far.
    """

    def __init__(self, features: int, *, first: int = 1_000, skip_above: float = 0.999, recent: int = 50_000) -> None:
        super().__init__(features, first, skip_above, recent)

    def _begin(self, first: Doubles) -> None:
        """The scales are all there is."""

    def _run(self, rows: ModelRows, scored: Scored, *, learns: bool) -> int:
        return _take(
            self._ranks.arrays, self._scales, self._skip_above if learns else -1.0, learns, rows.features,
            rows.is_label, scored.raw, scored.shares, scored.top, scored.parts,
        )  # fmt: skip


@compiled
def _take(
    ranks: RankArrays, known: Scales, skip_above: float, learns: bool, features: Doubles, is_label: NDArray[np.bool_],
    raw: Doubles, shares: Doubles, top: NDArray[np.int8], parts: NDArray[np.float32],
) -> int:  # fmt: skip
    squares = np.empty(features.shape[1])
    learned = 0
    for i in range(len(features)):
        if is_label[i]:
            continue
        scale_and_learn(known, features[i], squares, learns)
        total = 0.0
        for on in range(len(squares)):
            above = max(squares[on], 0.0) if not math.isnan(squares[on]) else 0.0
            squares[on] = above * above
            total += squares[on]
        raw[i] = math.log1p(total)
        share = shares[i] = rank(ranks, raw[i])
        add(ranks, raw[i])
        if share >= EXPLAINED:
            for on in range(len(squares)):
                squares[on] /= max(total, 1e-300)
            note_top(squares, top[i], parts[i])
        if share <= skip_above:
            learned += 1
    return learned
