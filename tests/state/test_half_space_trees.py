from collections.abc import Callable, Sequence

import numpy as np
import pytest

from state.half_space_learner import HalfSpaceLearner
from state.half_space_trees import WINDOWS, attribute, grow, mass, max_mass, score_and_learn, splits_of
from state.model_rows import ModelRows, Scored
from state.scaled_learner import ScaledLearner
from state.surprise import SurpriseLearner


def rows_of(features: np.ndarray, labels: Sequence[int] = ()) -> ModelRows:
    count = len(features)
    is_label = np.zeros(count, np.bool_)
    is_label[list(labels)] = True
    nothing = np.zeros(count, np.int64)
    return ModelRows(nothing, is_label, np.zeros((count, 2), np.uint64), np.zeros(count, np.bool_), features)


def normal_rows(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal([10, 200, -3], [1, 30, 0.01], (count, 3))


def small(**options: float) -> HalfSpaceLearner:
    return HalfSpaceLearner(3, trees=25, height=8, window=300, recent=2_000, **options)  # type: ignore[arg-type]


def small_sum(**options: float) -> SurpriseLearner:
    return SurpriseLearner(3, first=300, recent=2_000, **options)  # type: ignore[arg-type]


Make = Callable[..., ScaledLearner]
each_kind = pytest.mark.parametrize("make", [small, small_sum])


def test_scores_are_those_of_river_given_its_trees_or_its_seed() -> None:
    anomaly = pytest.importorskip("river.anomaly", reason="river is not installed")
    names = ["a", "b", "c"]
    features = np.random.default_rng(2).beta(2, 5, (3_000, 3))
    river = anomaly.HalfSpaceTrees(n_trees=7, height=5, window_size=100, seed=42)
    expected = []
    for values in features:
        row = dict(zip(names, values.tolist(), strict=True))
        expected.append(river.score_one(row))
        river.learn_one(row)
    for trees in (splits_of(river.trees, names), grow(7, 5, 3, 42)):
        masses = np.empty(len(features))
        score_and_learn(trees, 100, features, masses)
        found = np.where(np.isnan(masses), 0.0, 1.0 - masses / max_mass(trees, 100))
        assert np.abs(found - expected).max() <= 1e-12


def test_the_mass_is_that_of_a_plain_walk() -> None:
    trees = grow(5, 4, 3, 7)
    rows = np.random.default_rng(3).random((450, 3))
    rows[::7, 1] = np.nan
    masses = np.empty(len(rows))
    score_and_learn(trees, 100, rows, masses)
    assert np.isnan(masses[:100]).all()
    assert trees.meta[WINDOWS] == 4
    for values in rows[:50]:
        expected = 0
        for tree in range(5):
            node, depth = 0, 0
            while True:
                expected += int(trees.reference[tree, node]) << depth
                if trees.reference[tree, node] < 10 or depth == 4:
                    break
                value = values[trees.feature[tree, node]]
                left = 2 * node + 1
                right = value >= trees.threshold[tree, node]
                if np.isnan(value):
                    right = trees.latest[tree, left] < trees.latest[tree, left + 1]
                node, depth = left + int(right), depth + 1
        assert mass(trees, 100, values) == expected


def test_parts_are_how_rare_the_sides_were() -> None:
    trees = grow(1, 2, 2, 3)
    rows = np.random.default_rng(4).random((100, 2))
    score_and_learn(trees, 100, rows, np.empty(100))
    parts, expected = np.empty(2), np.zeros(2)
    mass(trees, 100, rows[0])
    attribute(trees, 100, parts)
    inside, node = np.ones(100, np.bool_), 0
    for _ in range(2):
        on, before = trees.feature[0, node], inside.sum()
        right = rows[:, on] >= trees.threshold[0, node]
        inside &= right == right[0]
        expected[on] += np.log((before + 1) / (inside.sum() + 1))
        node = 2 * node + 1 + int(right[0])
    assert parts == pytest.approx(expected)


@each_kind
def test_odd_rows_score_above_usual_ones_and_say_why(make: Make) -> None:
    learner = make()
    learner.take(rows_of(normal_rows(3_000)))
    odd = np.array([[10, 800, -3], [10, 200, -3], [25, 200, -2.8], [10, 200, 5.0]])
    scored = learner.take(rows_of(odd))
    assert scored.raw[1] < scored.raw[[0, 2, 3]].min()
    assert scored.top[0, 0] == 1
    assert set(scored.top[2, :2]) == {0, 2}
    assert scored.top[3, 0] == 2
    assert (scored.top[1] == -1).all()
    assert scored.parts[0, 0] > scored.parts[0, 1] >= scored.parts[0, 2] >= 0


@each_kind
def test_batches_and_restored_learners_score_bit_for_bit_the_same(make: Make) -> None:
    features = normal_rows(2_500)
    features[::11, 0] = np.nan
    labels = np.arange(5, 2_500, 13)
    whole = make(skip_above=0.99)
    expected = whole.take(rows_of(features, labels))
    learner, frames, found = make(skip_above=0.99), list[dict[str, bytes]](), list[Scored]()
    cuts = [1, 130, 320, 335, 336, 900, 1_700]
    for first, last in zip([0, *cuts], [*cuts, 2_500], strict=True):
        inside = [int(i) - first for i in labels if first <= i < last]
        found.append(learner.take(rows_of(features[first:last], inside)))
        changed = learner.sections(everything=first in (0, 900))
        frames = [] if first == 900 else frames
        frames.append({name: bytes(array.data) for name, array in changed.items()})
        learner = make(skip_above=0.99)
        learner.restore(frames)
    for name in ("raw", "top", "parts"):
        parts = np.concatenate([getattr(one, name) for one in found])
        assert np.array_equal(parts, getattr(expected, name), equal_nan=name == "raw"), name
    assert sum(one.learned for one in found) == expected.learned
    final = whole.sections(everything=True)
    assert final.keys() == learner.sections(everything=True).keys()
    assert all(np.array_equal(array, final[name]) for name, array in learner.sections(everything=True).items())


@each_kind
def test_labels_are_neither_scored_nor_learned(make: Make) -> None:
    features = normal_rows(1_000)
    alone = make().take(rows_of(features))
    with_labels = np.insert(features, 500, np.full((50, 3), 1e9), axis=0)
    scored = make().take(rows_of(with_labels, range(500, 550)))
    assert np.isnan(scored.raw[500:550]).all()
    assert (scored.top[500:550] == -1).all()
    assert np.array_equal(np.delete(scored.raw, slice(500, 550)), alone.raw, equal_nan=True)
    assert scored.learned == alone.learned


def test_sure_anomalies_are_not_learned_from() -> None:
    features = normal_rows(6_000)
    features[3_000::4] = [10, 800, -3]
    skipping, learning = small(skip_above=0.98), small(skip_above=1.0)
    first, second = (learner.take(rows_of(features[:3_000])) for learner in (skipping, learning))
    assert first.learned < second.learned == 3_000
    few = features[3_000:3_040]
    assert skipping.take(rows_of(few)).learned < learning.take(rows_of(few)).learned == 40


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324])
@pytest.mark.parametrize("always", [False, True])
@each_kind
def test_any_feature_gives_a_defined_score(make: Make, odd: float, *, always: bool) -> None:
    features = normal_rows(1_500)
    features[:: 1 if always else 9, 1] = odd
    features[:, 2] = 4.0
    features[1_400, 2] = 4.1
    learner = make()
    scored = learner.take(rows_of(features))
    assert np.isnan(scored.raw[:300]).all()
    assert np.isfinite(scored.raw[300:]).all()
    assert np.isfinite(learner.take(rows_of(np.full((1, 3), odd))).raw).all()


def test_nothing_is_known_before_the_first_window_is_full() -> None:
    learner = small()
    assert np.isnan(learner.take(rows_of(normal_rows(299))).raw).all()
    assert np.isnan(learner.take(rows_of(normal_rows(1))).raw).all()
    assert np.isfinite(learner.take(rows_of(normal_rows(1))).raw).all()
    assert learner.take(rows_of(np.zeros((0, 3)))).learned == 0


@each_kind
def test_a_frozen_model_goes_on_scoring_by_what_it_knew(make: Make) -> None:
    learner, odd = make(), np.array([[10, 800, -3]])
    assert np.isnan(make().take(rows_of(normal_rows(400)), learns=False).raw).all()
    learner.take(rows_of(normal_rows(1_000)))
    before = learner.take(rows_of(odd), learns=False).raw
    assert learner.take(rows_of(np.repeat(odd, 900, axis=0)), learns=False).learned == 0
    assert learner.take(rows_of(odd), learns=False).raw == before
    learner.take(rows_of(np.repeat(odd, 900, axis=0)))
    assert learner.take(rows_of(odd), learns=False).raw < before


def test_one_row_moves_a_scale_little_and_counts_of_what_was_rare_find_their_own() -> None:
    learner = small_sum()
    features = np.tile([0.0, 1.0, 2.0], (30_000, 1))
    features[:, 1] = np.random.default_rng(8).normal(100, 10, 30_000)
    learner.take(rows_of(features[:5_000]))
    before = np.array(learner.sections(everything=True)["scales"]).reshape(3, 3)
    learner.take(rows_of(np.array([[0.0, 1e300, 2.0]])))
    after = np.array(learner.sections(everything=True)["scales"]).reshape(3, 3)
    assert abs(after[0, 1] - before[0, 1]) < 0.1
    assert before[1, 1] < after[1, 1] < 1.1 * before[1, 1]
    features[5_000::20, 0] = 3.0
    learner.take(rows_of(features[5_000:]))
    scaled = np.array(learner.sections(everything=True)["scales"]).reshape(3, 3)
    assert np.sqrt(scaled[1, 0]) == pytest.approx(0.65, rel=0.3)
