"""An additive logistic model over binned features and all their pairs, learned a row at a time.

Every feature is cut into bins (bin 0 is for null) and every bin has a weight; each pair of features has a weight for
every pair of their coarse bins, which are unions of bins. The weights are learned by stochastic gradient descent with
AdaGrad's steps (Duchi, Hazan and Singer 2011), so a bin that few rows fall into learns from each of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled

CUTS = 127
"""Places for cuts of a feature, one less than a power of two; the last one is never used."""
BINS = CUTS + 1
"""Bins of a feature: for null, below the first cut or at it, …, above the last."""
COARSE = 16
"""Coarse bins of a feature, null's included."""
_CELLS = COARSE * COARSE
_USUAL_ROWS = 1_000.0
"""What a feature usually contributes is a mean over about so many scored rows."""

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


class Weights(NamedTuple):
    """The model's arrays; of the last axis the first is the weight, the second the sum of squared gradients.

    ``cuts``: float32[f, 127], ascending, infinite where there are fewer: bin ``b`` holds values up to ``cuts[b - 1]``.
    ``coarse``: uint8[f, 128], each bin's coarse bin. ``varied``: float64[f], 0 for a feature with one coarse bin only
    besides null's, else 1. ``bias``: float64[1, 2]. ``single``: float64[f, 128, 2]. ``cross``: float64[f (f − 1) / 2,
    256, 2], pairs in the order (1, 0), (2, 0), (2, 1), …. ``usual``: float64[f + 1], what each feature contributed on
    average, and the number of rows.
    """

    cuts: Floats
    coarse: NDArray[np.uint8]
    varied: Doubles
    bias: Doubles
    single: Doubles
    cross: Doubles
    usual: Doubles


def no_weights(features: int) -> Weights:
    """A model that knows nothing."""
    weights = Weights(
        cuts=np.full((features, CUTS), np.inf, np.float32),
        coarse=np.zeros((features, BINS), np.uint8),
        varied=np.zeros(features),
        bias=np.zeros((1, 2)),
        single=np.zeros((features, BINS, 2)),
        cross=np.zeros((features * (features - 1) // 2, _CELLS, 2)),
        usual=np.zeros(features + 1),
    )
    for sums in (weights.bias, weights.single, weights.cross):
        sums[..., 1] = 1.0  # else the first step would be as large as can be
    return weights


@compiled
def bin_of(weights: Weights, feature: int, value: np.float32) -> int:
    """The bin of a value."""
    if math.isnan(value):
        return 0
    at, step = 0, (CUTS + 1) // 2
    while step:  # without a branch that depends on the value: it could not be foreseen
        at += step * (weights.cuts[feature, at + step - 1] < value)
        step >>= 1
    return at + 1


@compiled
def find_cells(weights: Weights, row: Floats, bins: Numbers, cells: Numbers) -> None:
    """Where a row falls: its bin of each feature (``bins[:f]``, then the coarse ones) and its cell of each pair."""
    width = len(row)
    pair = 0
    for a in range(width):
        bins[a] = bin_of(weights, a, row[a])
        bins[width + a] = weights.coarse[a, bins[a]]
        for b in range(a):
            cells[pair] = bins[width + a] * COARSE + bins[width + b]
            pair += 1


@compiled
def logit(weights: Weights, bins: Numbers, cells: Numbers) -> float:
    """The score of a row, by where it falls."""
    total = weights.bias[0, 0]
    for a in range(len(weights.single)):
        total += weights.single[a, bins[a], 0]
    for pair in range(len(cells)):
        total += weights.cross[pair, cells[pair], 0]
    return float(total)


@compiled
def contributions(weights: Weights, bins: Numbers, cells: Numbers, parts: Doubles) -> None:
    """What each feature adds to a row's score beyond what it usually adds; a pair's weight is its features' by half.

    But with a feature that has the same value always, it is the other one's.
    """
    width = len(weights.single)
    pair = 0
    for a in range(width):
        parts[a] = weights.single[a, bins[a], 0]
        for b in range(a):
            weight = weights.cross[pair, cells[pair], 0]
            share = 0.5 * (1.0 + weights.varied[a] - weights.varied[b])
            parts[a] += share * weight
            parts[b] += (1.0 - share) * weight
            pair += 1
    rows = min(weights.usual[width] + 1.0, _USUAL_ROWS)
    weights.usual[width] = rows
    for a in range(width):
        excess = parts[a] - weights.usual[a]
        weights.usual[a] += excess / rows
        parts[a] = excess


@compiled
def learn(
    weights: Weights, bins: Numbers, cells: Numbers, positive: bool, weight: float, step: float, pair_step: float
) -> None:
    """One step down the gradient of the logistic loss, the row counting ``weight`` times."""
    slope = 1.0 / (1.0 + math.exp(-logit(weights, bins, cells))) - (1.0 if positive else 0.0)
    slope *= weight
    square = slope * slope
    weights.bias[0, 1] += square
    weights.bias[0, 0] -= step * slope / math.sqrt(weights.bias[0, 1])
    for a in range(len(weights.single)):
        at = bins[a]
        weights.single[a, at, 1] += square
        weights.single[a, at, 0] -= step * slope / math.sqrt(weights.single[a, at, 1])
    for pair in range(len(cells)):
        at = cells[pair]
        weights.cross[pair, at, 1] += square
        weights.cross[pair, at, 0] -= pair_step * slope / math.sqrt(weights.cross[pair, at, 1])


def coarse_cuts(weights: Weights) -> NDArray[np.bool_]:
    """Which cuts are ends of coarse bins too, bool[f, 127]."""
    bins = weights.coarse[:, 1:].astype(np.int64)
    return np.diff(bins, axis=1, append=bins[:, -1:]) > 0


def recut(old: Weights, cuts: Floats, is_coarse: NDArray[np.bool_], keep: float) -> Weights:
    """The same model with other cuts: a bin takes over from the one in which its upper end lay.

    ``cuts`` as in ``Weights``; ``is_coarse``: bool[f, 127], those at which coarse bins end too, at most 14 of a
    feature; ``keep``: the share of the sums of squares that is kept: less makes the steps longer again.
    """
    width = len(cuts)
    new = no_weights(width)._replace(cuts=cuts, usual=old.usual)
    counts = 1 + np.cumsum(is_coarse, axis=1)
    new.coarse[:, 1] = 1
    new.coarse[:, 2:] = counts[:, :-1]
    new.varied[:] = counts[:, -1] > 1
    from_bins = np.zeros((width, BINS), np.int64)
    from_coarse = np.zeros((width, COARSE), np.int64)
    for on in range(width):
        from_bins[on, 1:] = 1 + np.searchsorted(old.cuts[on], cuts[on], side="left")
        coarse_ends = np.append(cuts[on][is_coarse[on]], np.float32(np.inf))
        bins = 1 + np.searchsorted(old.cuts[on], coarse_ends, side="left")
        from_coarse[on, 1 : 1 + len(bins)] = old.coarse[on, bins]
        new.single[on] = old.single[on, from_bins[on]]
    pair = 0
    for a in range(width):
        for b in range(a):
            cells = (from_coarse[a][:, None] * COARSE + from_coarse[b][None, :]).ravel()
            new.cross[pair] = old.cross[pair, cells]
            pair += 1
    new.bias[:] = old.bias
    for sums in (new.bias, new.single, new.cross):
        sums[..., 1] = 1.0 + keep * (sums[..., 1] - 1.0)
    return new
