"""A classifier that learns from labels that come late: each event is scored, its features wait for its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.crossed_bins import Weights, coarse_cuts, contributions, find_cells, learn, logit, no_weights, recut
from state.label_sample import LabelSample, Sample, add_row, find_cuts
from state.model_rows import ModelRows, Scored
from state.pending_rows import (
    DOUBLE,
    EVICTED,
    EXPIRED,
    REPEATED,
    UNKNOWN,
    Pending,
    PendingRows,
    drop_first,
    give_back,
    label,
    leaves,
    push,
)
from state.score_ranks import ScoreRanks

TOP = 3
_MAX_FEATURES = 64
_DAY_MS = 86_400_000

_LEARNED, _POSITIVES, _RECUT_AT = range(3)
"""Counts: rows learned from, positive ones, the number of rows at which the features are cut anew."""

_COUNTERS = {"unknown": UNKNOWN, "repeated": REPEATED, "expired": EXPIRED, "evicted": EVICTED, "double": DOUBLE}


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """How a classifier learns.

    Attributes
    ----------
    wait_ms
        How long an event's features wait for a label.
    max_waiting
        How many events are remembered at most, labelled ones included; the oldest go first.
    expired_is_negative
        Whether an event without a label after ``wait_ms`` is learned as a negative one (where only positives are told).
    positive_weight
        How many times a positive counts in the loss. More than 1 shifts scores up; for ranks 1 was best.
    step, pair_step
        First length of a step of the weights of single features, and of pairs.
    first_rows, first_positives
        Rows and positive ones after which the features are cut for the first time; until then there is no score.
    recut_growth, recut_rows
        They are cut anew when so many times as many rows have been learned, at the latest after ``recut_rows`` more.
    keep
        The share of AdaGrad's sums that a new cut keeps; below 1, old rows count less and drift is followed.
    """

    wait_ms: int = 30 * _DAY_MS
    max_waiting: int = 1 << 20
    expired_is_negative: bool = False
    positive_weight: float = 1.0
    step: float = 0.3
    pair_step: float = 0.1
    first_rows: int = 500
    first_positives: int = 10
    recut_growth: float = 1.5
    recut_rows: int = 200_000
    keep: float = 0.8


class _Rates(NamedTuple):
    """The settings that the kernel reads."""

    wait_ms: int
    max_waiting: int
    expired_is_negative: bool
    positive_weight: float
    step: float
    pair_step: float
    first_positives: int


class _Space(NamedTuple):
    """Where the kernel puts what it has found of one row."""

    row: NDArray[np.float32]
    bins: NDArray[np.int64]
    cells: NDArray[np.int64]
    parts: NDArray[np.float64]


class _Given(NamedTuple):
    """The rows of a batch and what is answered; see ``ModelRows`` and ``Scored``."""

    ts_ms: NDArray[np.int64]
    is_label: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    labels: NDArray[np.bool_]
    features: NDArray[np.float32]
    raw: NDArray[np.float64]
    top: NDArray[np.int8]
    parts: NDArray[np.float32]


@compiled
def _learn_place(
    weights: Weights, sample: Sample, pending: Pending, rates: _Rates, space: _Space, counts: NDArray[np.int64],
    place: np.int64, positive: bool, known: bool,
) -> None:  # fmt: skip
    """Learn from the features at a place, which is given back."""
    row = pending.pool[place]
    if known:
        find_cells(weights, row, space.bins, space.cells)
        weight = rates.positive_weight if positive else 1.0
        learn(weights, space.bins, space.cells, positive, weight, rates.step, rates.pair_step)
    add_row(sample, row, positive)
    give_back(pending, place)
    counts[_LEARNED] += 1
    counts[_POSITIVES] += positive


@compiled
def _note_top(parts: NDArray[np.float64], top: NDArray[np.int8], top_parts: NDArray[np.float32]) -> None:
    for rank in range(TOP):
        best = -1
        for on in range(len(parts)):
            if parts[on] > 0.0 and (best < 0 or parts[on] > parts[best]):
                best = on
        if best < 0:
            return
        top[rank], top_parts[rank] = best, parts[best]
        parts[best] = 0.0


@compiled
def _take(
    weights: Weights, sample: Sample, pending: Pending, rates: _Rates, space: _Space, counts: NDArray[np.int64],
    given: _Given, start: int, known: bool, learns: bool,
) -> int:  # fmt: skip
    """Go through the rows from ``start`` on, until the features are to be cut anew; returns the next row."""
    marks = pending.marks
    for i in range(start, len(given.ts_ms)):
        if counts[_LEARNED] >= counts[_RECUT_AT] and counts[_POSITIVES] >= rates.first_positives:
            return i
        before_ms = given.ts_ms[i] - rates.wait_ms
        while leaves(pending, before_ms, rates.max_waiting):
            old = marks[0] & (len(pending.times) - 1)
            in_time = pending.times[old] <= before_ms
            place = drop_first(pending)
            if place < 0:
                continue
            marks[EXPIRED if in_time else EVICTED] += 1
            if in_time and rates.expired_is_negative and learns:
                _learn_place(weights, sample, pending, rates, space, counts, place, False, known)
            else:
                give_back(pending, place)
        first, second = given.keys[i, 0], given.keys[i, 1]
        if given.is_label[i]:
            if not learns:
                continue
            place = label(pending, first, second)
            if place >= 0:
                _learn_place(weights, sample, pending, rates, space, counts, place, given.labels[i], known)
            continue
        row = given.features[i]
        if known:
            find_cells(weights, row, space.bins, space.cells)
            given.raw[i] = logit(weights, space.bins, space.cells)
            contributions(weights, space.bins, space.cells, space.parts)
            _note_top(space.parts, given.top[i], given.parts[i])
        if learns:
            push(pending, first, second, given.ts_ms[i], row, False)
    return len(given.ts_ms)


class OnlineClassifier:
    """A learner (see ``ModelRows``) that ranks events by the log-odds of a positive label.

    Features are taken as 32-bit floats; NaN is a value of its own, infinities are the largest and the smallest number,
    and a constant feature changes nothing. Labels for events that are not known, and further ones for the same event,
    are counted (``counters``) and ignored.

    Parameters
    ----------
    features
        How many there are, 1 to 64.
    settings
        How it learns.
    recent
        How many scores are recent.
    """

    def __init__(self, features: int, settings: ClassifierSettings | None = None, *, recent: int = 50_000) -> None:
        if not 1 <= features <= _MAX_FEATURES:
            raise ValueError(f"between 1 and {_MAX_FEATURES} features")
        self._settings = settings = settings or ClassifierSettings()
        self._rates = _Rates(
            settings.wait_ms, settings.max_waiting, settings.expired_is_negative, settings.positive_weight,
            settings.step, settings.pair_step, settings.first_positives,
        )  # fmt: skip
        self._weights = no_weights(features)
        self._known = False
        self._sample, self._pending = LabelSample(features), PendingRows(features)
        self._ranks = ScoreRanks(recent)
        self._counts = np.array([0, 0, settings.first_rows], np.int64)
        self._space = _Space(
            np.zeros(features, np.float32), np.zeros(2 * features, np.int64),
            np.zeros(len(self._weights.cross), np.int64), np.zeros(features),
        )  # fmt: skip

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        weights = sum(array.nbytes for array in self._weights)
        return self._pending.used_bytes + self._sample.used_bytes + self._ranks.used_bytes + weights

    @property
    def waiting(self) -> int:
        """Events remembered: those without a label and those that had one, up to the limits."""
        return len(self._pending)

    @property
    def counters(self) -> dict[str, int]:
        """Totals of what was ignored.

        ``unknown``: labels for events that are not known; ``repeated``: further labels for the same event; ``expired``,
        ``evicted``: events that left unlabelled for their age and for their number; ``double``: scored events whose key
        was there already.
        """
        return {name: int(self._pending.arrays.marks[mark]) for name, mark in _COUNTERS.items()}

    def take(self, rows: ModelRows, *, learns: bool = True) -> Scored:
        """Score the events and learn from the labels, row after row; ``learned`` and ``positives`` are this call's.

        ``learns``: false for a model that is frozen: labels do nothing, and events that it scores wait for none.
        """
        count = len(rows.ts_ms)
        scored = Scored.nothing(count, TOP)
        with np.errstate(over="ignore"):  # too large is infinite
            features = np.require(rows.features, np.float32, ["C", "W"])
        given = _Given(
            np.require(rows.ts_ms, np.int64, ["C", "W"]), np.require(rows.is_label, np.bool_, ["C", "W"]),
            np.require(rows.keys, np.uint64, ["C", "W"]), np.require(rows.labels, np.bool_, ["C", "W"]), features,
            scored.raw, scored.top, scored.parts,
        )  # fmt: skip
        self._pending.make_room(count - int(np.count_nonzero(given.is_label)) if learns else 0)
        learned, positives = self._counts[_LEARNED], self._counts[_POSITIVES]
        at = 0
        while True:
            at = _take(
                self._weights, self._sample.rows, self._pending.arrays, self._rates, self._space, self._counts, given,
                at, self._known, learns,
            )  # fmt: skip
            if at == count:
                break
            self._cut_anew()
        scored.learned = int(self._counts[_LEARNED] - learned)
        scored.positives = int(self._counts[_POSITIVES] - positives)
        scored.shares = self._ranks.take(scored.raw)
        return scored

    def _cut_anew(self) -> None:
        settings, learned = self._settings, int(self._counts[_LEARNED])
        cuts, is_coarse = find_cuts(self._sample.rows, self._weights.cuts, coarse_cuts(self._weights))
        self._weights = recut(self._weights, cuts, is_coarse, settings.keep)
        self._known = True
        self._counts[_RECUT_AT] = min(int(learned * settings.recut_growth) + 1, learned + settings.recut_rows)

    def sections(self, *, everything: bool) -> dict[str, NDArray[Any]]:
        """What has changed since the last call, or all, as arrays by name."""
        found = self._pending.sections(everything=everything) | self._sample.sections(everything=everything)
        found |= {f"ranks.{name}": part for name, part in self._ranks.sections(everything=everything).items()}
        for name, array in self._weights._asdict().items():
            found[f"weights.{name}"] = array.copy()
        found["counts"], found["known"] = self._counts.copy(), np.array([self._known])
        return found

    def restore(self, frames: Sequence[Mapping[str, Any]]) -> None:
        """Take what ``sections`` gave, oldest first: one that held everything, then those after it."""
        self._pending.restore(frames)
        self._sample.restore(frames)
        self._ranks.restore(
            [{name[6:]: part for name, part in frame.items() if name.startswith("ranks.")} for frame in frames]
        )
        latest = frames[-1]
        for name, array in self._weights._asdict().items():
            array[:] = np.frombuffer(latest[f"weights.{name}"], array.dtype).reshape(array.shape)
        self._counts[:] = np.frombuffer(latest["counts"], np.int64)
        self._known = bool(np.frombuffer(latest["known"], np.bool_)[0])
