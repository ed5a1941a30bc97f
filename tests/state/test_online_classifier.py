"""The classifier of late labels: what it learns, and that neither batches nor snapshots change a bit of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from state.label_sample import NEGATIVES, POSITIVES, LabelSample, add_row, find_cuts
from state.model_rows import ModelRows, Scored
from state.online_classifier import ClassifierSettings, OnlineClassifier

DELAY_MS = 3_000
SETTINGS = ClassifierSettings(wait_ms=10_000, first_rows=200, first_positives=5, recut_rows=1_000)


def stream(features: NDArray[np.float64], positive: NDArray[np.bool_], *, delay_ms: int = DELAY_MS) -> ModelRows:
    """An event each ms, and its label ``delay_ms`` later."""
    count = len(features)
    ts_ms = np.concatenate([np.arange(count), np.arange(count) + delay_ms])
    order = np.argsort(ts_ms, kind="stable")
    number = np.tile(np.arange(count, dtype=np.uint64), 2)[order]
    is_label = np.repeat([False, True], count)[order]
    shown = np.where(is_label[:, None], np.nan, features[number])
    keys = np.stack([number * np.uint64(0x9E3779B97F4A7C15), number], axis=1)
    return ModelRows(ts_ms[order], is_label, keys, positive[number] & is_label, shown)


def part(rows: ModelRows, of: slice) -> ModelRows:
    return ModelRows(rows.ts_ms[of], rows.is_label[of], rows.keys[of], rows.labels[of], rows.features[of])


def batches(rows: ModelRows, size: int) -> Iterable[ModelRows]:
    for at in range(0, len(rows.ts_ms), size):
        yield part(rows, slice(at, at + size))


def joined(answers: Iterable[Scored]) -> tuple[NDArray[Any], ...]:
    answers = list(answers)
    columns = [np.concatenate([getattr(one, name) for one in answers]) for name in ("raw", "top", "parts")]
    return *columns, np.array([sum(one.learned for one in answers), sum(one.positives for one in answers)])


def assert_same(one: tuple[NDArray[Any], ...], other: tuple[NDArray[Any], ...]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.tobytes() == b.tobytes()


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(len(scores))
    hits = int(positive.sum())
    return float((ranks[positive].sum() - hits * (hits - 1) / 2) / (hits * (len(scores) - hits)))


def some_data(count: int = 12_000, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Positive where the first two features have the same sign and the third is large or null, with some noise."""
    draws = np.random.default_rng(seed)
    features = draws.normal(size=(count, 4))
    features[draws.random(count) < 0.1, 2] = np.nan
    positive = (features[:, 0] * features[:, 1] > 0) & ~(features[:, 2] < 0.8)
    return features, positive ^ (draws.random(count) < 0.01)


def test_it_learns_pairs_and_nulls_from_labels_that_come_late() -> None:
    features, positive = some_data()
    rows = stream(features, positive)
    scored = OnlineClassifier(4, SETTINGS).take(rows)
    raw = scored.raw[~rows.is_label]
    assert np.isnan(raw[: DELAY_MS + 150]).all()
    assert np.isfinite(raw[DELAY_MS + 1_000 :]).all()
    assert np.isnan(scored.raw[rows.is_label]).all()
    assert area_under_curve(raw[8_000:], positive[8_000:]) > 0.93
    assert scored.learned == len(features)
    assert scored.positives == positive.sum()


def test_the_top_features_are_those_that_made_the_score_high() -> None:
    draws = np.random.default_rng(2)
    features = draws.normal(size=(8_000, 3))
    features[:, 1] = 5.0
    positive = features[:, 2] > 1.5
    rows = stream(features, positive)
    scored = OnlineClassifier(3, SETTINGS).take(rows)
    late = (rows.ts_ms > 6_000) & ~rows.is_label & (rows.features[:, 2] > 1.5)
    assert (scored.top[late, 0] == 2).mean() > 0.99
    assert (scored.parts[late, 0] > 0).all()
    assert (scored.parts[late] * (scored.top[late] == 1)).max() < 0.2  # a constant says nothing
    assert ((scored.top >= 0) == (scored.parts > 0)).all()


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_batches_change_nothing(size: int) -> None:
    rows = stream(*some_data(5_000))
    whole = OnlineClassifier(4, SETTINGS).take(rows)
    learner = OnlineClassifier(4, SETTINGS)
    assert np.isfinite(whole.raw).any()
    assert_same(joined([whole]), joined(learner.take(batch) for batch in batches(rows, size)))


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, max_waiting=1_000, expired_is_negative=True)])
def test_a_restored_learner_goes_on_as_if_nothing_had_been(settings: ClassifierSettings) -> None:
    rows = stream(*some_data(6_000))
    learner = OnlineClassifier(4, settings)
    expected = joined([OnlineClassifier(4, settings).take(rows)])
    frames: list[dict[str, bytes]] = []
    answers = []
    for number, batch in enumerate(batches(rows, 400)):
        answers.append(learner.take(batch))
        found = learner.sections(everything=number % 9 == 0)
        frame = {name: array.tobytes() for name, array in found.items()}
        frames = [frame] if number % 9 == 0 else [*frames, frame]
        if number % 4 == 3:
            counters, learner = learner.counters, OnlineClassifier(4, settings)
            learner.restore(frames)
            assert learner.counters == counters
    assert_same(expected, joined(answers))


def test_strange_numbers_have_results_like_any_other() -> None:
    draws = np.random.default_rng(3)
    features = draws.choice([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 5e-324], size=(6_000, 3))
    features[:, 1], features[:, 2] = np.nan, 7.0
    positive = (features[:, 0] == np.inf) | np.isnan(features[:, 0])
    learner = OnlineClassifier(3, SETTINGS)
    learner.take(stream(features, positive))
    values = np.array([np.nan, np.inf, 1e300, 0.0, 5e-324, -1e300, -np.inf])
    asked = np.stack([values, np.full(7, np.nan), np.full(7, 7.0)], axis=1)
    keys = np.full((7, 2), 1 << 60, np.uint64) + np.arange(7, dtype=np.uint64)[:, None]
    scored = learner.take(ModelRows(np.full(7, 99_999), np.zeros(7, np.bool_), keys, np.zeros(7, np.bool_), asked))
    null, infinite, huge, zero, tiny, minus_huge, minus_infinite = scored.raw.tolist()
    assert null > zero + 2
    assert infinite == huge  # one and the same as 32-bit floats
    assert infinite > zero + 0.5
    assert tiny == zero
    assert minus_huge == minus_infinite
    assert np.isfinite(scored.raw).all()
    assert np.isfinite(scored.parts).all()


def test_only_constants_give_one_score() -> None:
    rows = stream(np.ones((5_000, 2)), np.arange(5_000) % 10 == 0)
    scored = OnlineClassifier(2, SETTINGS).take(rows)
    assert (scored.parts <= 0.5).all()
    assert np.isfinite(scored.raw[(rows.ts_ms > 4_000) & ~rows.is_label]).all()


def labels_for(keys: NDArray[np.uint64], ts_ms: int) -> ModelRows:
    count = len(keys)
    return ModelRows(
        np.full(count, ts_ms), np.ones(count, np.bool_), keys, np.ones(count, np.bool_), np.full((count, 4), np.nan)
    )


def test_labels_of_unknown_events_and_further_ones_are_counted_and_teach_nothing() -> None:
    rows = stream(*some_data(5_000))
    learner, other = OnlineClassifier(4, SETTINGS), OnlineClassifier(4, SETTINGS)
    learner.take(rows)
    other.take(rows)
    used, now = learner.used_bytes, int(rows.ts_ms[-1])
    unknown = np.arange(2_000_000, dtype=np.uint64).reshape(-1, 2)
    for at in range(0, len(unknown), 100_000):
        answer = learner.take(labels_for(unknown[at : at + 100_000] + np.uint64(1 << 40), now))
        assert (answer.learned, answer.positives) == (0, 0)
    assert learner.counters["unknown"] == 1_000_000
    learner.take(labels_for(rows.keys[rows.is_label][-500:], now))
    assert learner.counters["repeated"] == 500
    assert learner.used_bytes <= max(used, 30_000_000)
    assert learner.waiting == other.waiting
    more = stream(*some_data(300, seed=5))
    more = replace(more, ts_ms=more.ts_ms + now, keys=more.keys + np.uint64(1 << 50))
    assert_same(joined([learner.take(more)]), joined([other.take(more)]))


def test_labels_after_the_limit_find_nobody_and_memory_is_bounded() -> None:
    settings = replace(SETTINGS, wait_ms=500)
    learner = OnlineClassifier(4, settings)
    sizes = []
    for batch in batches(stream(*some_data(50_000), delay_ms=600), 1_000):
        learner.take(batch)
        sizes.append(learner.used_bytes)
    assert learner.counters["unknown"] == learner.counters["expired"] == 50_000
    assert learner.waiting <= 501
    assert sizes[-1] == sizes[5]


def test_above_their_number_the_oldest_leave() -> None:
    learner = OnlineClassifier(4, replace(SETTINGS, max_waiting=100))
    scored = learner.take(stream(*some_data(2_000), delay_ms=150))
    assert (learner.counters["evicted"], learner.counters["unknown"]) == (1_900, 1_900)
    assert scored.learned == 100


def test_where_only_positives_are_told_the_rest_count_as_negative() -> None:
    features, positive = some_data()
    rows = stream(features, positive)
    told = ~rows.is_label | rows.labels
    rows = ModelRows(rows.ts_ms[told], rows.is_label[told], rows.keys[told], rows.labels[told], rows.features[told])
    scored = OnlineClassifier(4, replace(SETTINGS, wait_ms=3_500, expired_is_negative=True)).take(rows)
    raw = scored.raw[~rows.is_label]
    assert area_under_curve(raw[8_000:], positive[8_000:]) > 0.93


def test_an_event_scored_twice_is_learned_once() -> None:
    rows = stream(*some_data(1_000))
    twice = ModelRows(*(np.repeat(getattr(rows, name), 2, axis=0) for name in ModelRows.__dataclass_fields__))
    learner = OnlineClassifier(4, SETTINGS)
    assert learner.take(twice).learned == 1_000
    assert (learner.counters["double"], learner.counters["repeated"]) == (1_000, 1_000)


def test_cuts_stay_where_nothing_moves_and_follow_what_does() -> None:
    draws = np.random.default_rng(4)
    sample = LabelSample(1)
    for shift, kept in ((0.0, None), (0.0, 0.7), (50.0, 0.0)):
        old = find_cuts(sample.rows, np.full((1, 127), np.inf, np.float32), np.zeros((1, 127), np.bool_))
        for number in range(8 * (NEGATIVES + POSITIVES)):
            row = draws.normal(size=1).astype(np.float32) + np.float32(shift)
            add_row(sample.rows, row, number % 3 == 0)
        cuts, is_coarse = find_cuts(sample.rows, *old)
        assert np.isfinite(cuts).sum() > 90
        assert 7 <= is_coarse.sum() <= 14
        if kept is not None:
            assert np.isin(cuts, old[0]).mean() >= kept
    assert cuts[0, 0] > 40.0
