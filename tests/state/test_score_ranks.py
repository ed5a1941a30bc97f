from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.score_ranks import ScoreRanks

REAL = st.floats(allow_nan=False, allow_infinity=False)


def true_shares(raw: np.ndarray, window: int) -> np.ndarray:
    return np.array([np.mean(raw[max(0, i - window) : i] < raw[i]) for i in range(1, len(raw))])


@pytest.mark.parametrize("window", [300, 5_000])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_a_share_is_that_of_the_scores_in_the_window_below(window: int, scale: float) -> None:
    generator = np.random.default_rng(3)
    raw = scale * (np.cumsum(generator.normal(0, 0.02, 6_000)) + generator.standard_t(2, 6_000))
    found = ScoreRanks(window).take(raw)[1:]
    expected = true_shares(raw, window)
    late = slice(1_000, None)
    assert np.abs(found - expected)[late].max() < 0.02
    assert np.abs(found - expected)[late].mean() < 0.001 + 1 / window


def test_new_maxima_get_higher_shares_below_one() -> None:
    ranks = ScoreRanks(1_000)
    ranks.take(np.random.default_rng(1).normal(size=2_000))
    moment = ranks.sections(everything=True)
    shares = []
    for score in (10.0, 11.0, 1e3, 1e6, 1e9, 1e100, 1e308, np.inf):
        ranks.restore([moment])
        shares.append(float(ranks.take(np.array([score]))[0]))
    assert all(a < b for a, b in pairwise(shares[:-1]))
    assert shares[-2] <= shares[-1] < 1


@given(st.lists(REAL, max_size=600), st.tuples(REAL, REAL))
def test_of_two_scores_at_one_moment_the_higher_ranks_not_lower(before: list[float], pair: tuple[float, float]) -> None:
    ranks = ScoreRanks(400)
    assert all(0 < share < 1 for share in ranks.take(np.array(before)))
    moment = ranks.sections(everything=True)
    shares = []
    for score in sorted(pair):
        ranks.restore([moment])
        shares.append(float(ranks.take(np.array([score]))[0]))
    assert 0 < shares[0] <= shares[1] < 1


def test_nan_passes_through_and_is_not_counted() -> None:
    raw = np.random.default_rng(5).normal(size=1_000)
    with_nan = np.insert(raw, 500, np.nan)
    shares = ScoreRanks(700).take(with_nan)
    assert np.isnan(shares[500])
    assert np.array_equal(np.delete(shares, 500), ScoreRanks(700).take(raw))


@pytest.mark.parametrize("cuts", [[100, 200, 255, 256, 257, 400], [700, 900, 1_900], [10, 10, 2_000]])
def test_batches_and_restored_ranks_give_the_same(cuts: list[int]) -> None:
    raw = np.random.default_rng(6).standard_cauchy(2_500)
    whole = ScoreRanks(500).take(raw)
    ranks, frames, found = ScoreRanks(500), list[dict[str, object]](), []
    for number, part in enumerate(np.split(raw, cuts)):
        found.append(ranks.take(part))
        frames.append({name: bytes(array.data) for name, array in ranks.sections(everything=number == 0).items()})
        ranks = ScoreRanks(500)
        ranks.restore(frames)  # type: ignore[arg-type]
    assert np.array_equal(np.concatenate(found), whole)


def test_equal_scores_are_defined() -> None:
    shares = ScoreRanks(1_000).take(np.full(3_000, 7.0))
    assert np.all((shares > 0) & (shares < 1))
    assert len(np.unique(shares[1_500:])) == 1
