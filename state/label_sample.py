"""A sample of labelled rows, and where to cut the features so that both classes are told apart finely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.crossed_bins import CUTS

POSITIVES = 2_048
NEGATIVES = 4_096
THINNED = 8
"""Once the sample is full, one negative in so many (a power of two) is taken, so that it covers some time."""
_MIXER = np.uint64(0x9E3779B97F4A7C15)
"""Multiplied by this, consecutive numbers have bits that look like chance (Knuth's golden ratio)."""

_QUANTILES = CUTS // 2
_FINE, _COARSE = np.arange(_QUANTILES), np.arange(7, _QUANTILES, 8)
"""Quantiles of a class at which bins end, and those at which coarse bins do: every eighth."""

Floats = NDArray[np.float32]


class Sample(NamedTuple):
    """The latest rows of both classes, each in a ring.

    ``positives``: float32[2048, f]; ``negatives``: float32[4096, f]; ``counts``: int64[3], how many were put into each
    (negatives first), and how many negatives there were.
    """

    positives: Floats
    negatives: Floats
    counts: NDArray[np.int64]


@compiled
def add_row(sample: Sample, row: Floats, positive: bool) -> None:
    """Take a row into the sample; which negatives are left out is by their number: keys differ from run to run."""
    if positive:
        at = sample.counts[1] % POSITIVES
        sample.counts[1] += 1
        for on in range(len(row)):
            sample.positives[at, on] = row[on]
        return
    seen = sample.counts[2]
    sample.counts[2] = seen + 1
    if sample.counts[0] >= NEGATIVES and np.uint64(seen) * _MIXER >> np.uint64(32) & np.uint64(THINNED - 1):
        return
    at = sample.counts[0] % NEGATIVES
    sample.counts[0] += 1
    for on in range(len(row)):
        sample.negatives[at, on] = row[on]


def find_cuts(sample: Sample, old: Floats, old_coarse: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """The cuts of every feature, float32[f, 127], and which of them are coarse ones: quantiles of both classes.

    Cuts are values of the sample; where a feature has few values there are fewer cuts, followed by infinities. An old
    cut that is still near enough to a quantile stays in its place: what was learned is kept best where nothing moves.
    """
    width = sample.positives.shape[1]
    cuts = np.full((width, CUTS), np.inf, np.float32)
    is_coarse = np.zeros((width, CUTS), np.bool_)
    classes = (
        sample.negatives[: min(sample.counts[0], NEGATIVES)],
        sample.positives[: min(sample.counts[1], POSITIVES)],
    )
    for on in range(width):
        known = [np.sort(rows[~np.isnan(rows[:, on]), on]) for rows in classes]
        known = [values for values in known if len(values)]
        if not known:
            continue
        coarse = [_quantiles(values, old[on][old_coarse[on]], _COARSE) for values in known]
        fine = [np.delete(_quantiles(values, old[on], _FINE), _COARSE) for values in known]
        found = np.unique(np.concatenate(fine + coarse))
        found = found[found < max(values[-1] for values in known)]  # above the highest there is nothing
        cuts[on, : len(found)] = found
        is_coarse[on, : len(found)] = np.isin(found, np.concatenate(coarse))
    return cuts, is_coarse


def _quantiles(known: Floats, old: Floats, which: NDArray[np.int64]) -> Floats:
    """Some of the 63 quantiles of sorted values; for each an old cut that is nearer to it than to the next one."""
    targets = (len(known) - 1) * (which + 1) // (_QUANTILES + 1)
    found = known[targets]
    old = old[np.isfinite(old)]
    if len(old):
        ranks = np.searchsorted(known, old, side="right") - 1
        distances = np.abs(ranks[None, :] - targets[:, None])
        nearest = distances.argmin(axis=1)
        step = len(known) / (_QUANTILES + 1) * (which[1] - which[0])
        stays = distances[np.arange(len(targets)), nearest] <= step / 2
        found[stays] = old[nearest[stays]]
    return found


class LabelSample:
    """A sample, and what of it a snapshot has not got yet.

    Attributes
    ----------
    rows
        For the kernel and for ``find_cuts``.
    """

    def __init__(self, width: int) -> None:
        self.rows = Sample(
            np.zeros((POSITIVES, width), np.float32), np.zeros((NEGATIVES, width), np.float32), np.zeros(3, np.int64)
        )
        self._told = np.zeros(3, np.int64)

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.rows)

    def sections(self, *, everything: bool) -> dict[str, NDArray[Any]]:
        """What has changed since the last call, or all."""
        counts = self.rows.counts
        told = np.zeros(3, np.int64) if everything else self._told
        self._told = counts.copy()
        return {
            "sample.negatives": self.rows.negatives[_latest(told[0], counts[0], NEGATIVES)],
            "sample.positives": self.rows.positives[_latest(told[1], counts[1], POSITIVES)],
            "sample.counts": counts.copy(),
        }

    def restore(self, frames: Sequence[Mapping[str, Any]]) -> None:
        """Take what ``sections`` gave, oldest first: one that held everything, then those after it."""
        for frame in frames:
            counts = np.frombuffer(frame["sample.counts"], np.int64)
            rings = (self.rows.negatives, self.rows.positives)
            for ring, name, count in zip(rings, ("negatives", "positives"), counts[:2], strict=True):
                rows = np.frombuffer(frame[f"sample.{name}"], np.float32).reshape(-1, ring.shape[1])
                ring[_latest(count - len(rows), count, len(ring))] = rows
            self.rows.counts[:] = self._told = counts
        self._told = self.rows.counts.copy()


def _latest(told: int, count: int, size: int) -> NDArray[np.int64]:
    """Places in a ring of the rows from number ``told`` on that are still there."""
    return np.arange(max(told, count - size), count) % size
