"""The additive model of bins and pairs: where values fall, what a row's parts are, and new cuts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from state.crossed_bins import (
    CUTS,
    Weights,
    bin_of,
    coarse_cuts,
    contributions,
    find_cells,
    learn,
    logit,
    no_weights,
    recut,
)

Floats = NDArray[np.float32]


def some_cuts(features: int, seed: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Cuts in -2..2, fewer for each further feature, every ninth a coarse one; none of the last feature."""
    draws = np.random.default_rng(seed)
    cuts = np.full((features, CUTS), np.inf, np.float32)
    for on in range(features - 1):
        cuts[on, : 120 - 30 * on] = np.sort(draws.uniform(-2, 2, 120 - 30 * on))
    return cuts, (np.arange(CUTS) % 9 == 5) & np.isfinite(cuts)


def some_weights(features: int = 4, seed: int = 1) -> Weights:
    draws = np.random.default_rng(seed)
    weights = recut(no_weights(features), *some_cuts(features, seed), 1.0)
    for sums in (weights.bias, weights.single, weights.cross):
        sums[...] = draws.uniform(0.5, 1.5, sums.shape)
    return weights


def some_rows(count: int, features: int = 4) -> Floats:
    draws = np.random.default_rng(9)
    rows = draws.uniform(-2.5, 2.5, (count, features)).astype(np.float32)
    rows[draws.random(rows.shape) < 0.1] = np.nan
    return rows


def cells_of(weights: Weights, row: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    bins, cells = np.zeros(2 * len(row), np.int64), np.zeros(len(weights.cross), np.int64)
    find_cells(weights, row, bins, cells)
    return bins, cells


def test_a_bin_holds_values_up_to_its_cut() -> None:
    weights = no_weights(1)
    weights.cuts[0, :3] = -1.0, 0.0, 2.5
    values = {-np.inf: 1, -1.0: 1, -0.9: 2, 0.0: 2, 1e-30: 3, 2.5: 3, 2.6: 4, 3e38: 4, np.inf: 4, np.nan: 0}
    for value, expected in values.items():
        assert bin_of(weights, 0, np.float32(value)) == expected, value


def test_every_number_of_cuts_is_searched_to_the_end() -> None:
    for count in (0, 1, 63, 64, CUTS - 1):
        weights = no_weights(1)
        weights.cuts[0, :count] = np.arange(count)
        for value in (-1.0, 0.0, count / 2, count - 1.0, count - 0.5, 1e9):
            assert bin_of(weights, 0, np.float32(value)) == 1 + np.searchsorted(weights.cuts[0], np.float32(value))


def test_parts_and_what_is_usual_add_up_to_the_score() -> None:
    weights = some_weights()
    parts = np.zeros(4)
    for row in some_rows(3_000):
        at = cells_of(weights, row)
        usual = weights.usual[:-1].sum()
        contributions(weights, *at, parts)
        assert parts.sum() + usual == pytest.approx(logit(weights, *at) - weights.bias[0, 0])
    mean = np.mean([logit(weights, *cells_of(weights, row)) for row in some_rows(3_000)]) - weights.bias[0, 0]
    assert weights.usual[:-1].sum() == pytest.approx(mean, rel=0.02)


def test_new_cuts_that_are_the_old_ones_change_no_score() -> None:
    weights = some_weights()
    same = recut(weights, weights.cuts.copy(), coarse_cuts(weights), 0.5)
    assert (coarse_cuts(same) == coarse_cuts(weights)).all()
    for row in some_rows(500):
        assert logit(same, *cells_of(same, row)) == logit(weights, *cells_of(weights, row))
    assert same.single[0, :100, 1] == pytest.approx(1.0 + 0.5 * (weights.single[0, :100, 1] - 1.0))


def test_what_was_learned_outlives_other_cuts() -> None:
    """Learn where the score is high, cut anew at other places: it is high there still."""
    weights = recut(no_weights(4), *some_cuts(4, 1), 1.0)
    rows = some_rows(20_000)
    positive = (rows[:, 0] > 0.5) & (rows[:, 1] < 0.5)
    for row, one in zip(rows, positive, strict=True):
        learn(weights, *cells_of(weights, row), bool(one), 1.0, 0.3, 0.1)
    other = recut(weights, *some_cuts(4, 2), 1.0)
    before = np.array([logit(weights, *cells_of(weights, row)) for row in rows[:2_000]])
    after = np.array([logit(other, *cells_of(other, row)) for row in rows[:2_000]])
    assert np.corrcoef(before, after)[0, 1] > 0.95
    assert not (other.cuts == weights.cuts)[:3, :20].any()
