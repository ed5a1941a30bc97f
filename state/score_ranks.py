"""The share of recent raw scores below a score: what calibrates a model's scores to 0..1.

The window is exact, the last ``window`` scores; values are kept as numbers of bins. With ``z = (x - m) / s`` (``m`` the
median, ``s`` the quartile distance of the first scores) bins are equally wide in ``t = asinh(z)``: fine around the
middle, relative in the tails. A score's share is

    (scores in lower bins + f * scores in its bin + g) / (scores + 1)

where ``f`` in (0, 1) is its place in its bin and ``g = (1 + t / (1 + |t|)) / 2`` its place on the real line. Both grow
with the score, so of two scores at one moment the higher has the higher share, among new maxima too, strictly between 0
and 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled

Doubles = NDArray[np.float64]

FIRST = 256
"""From so many scores the middle and the spread are learnt; until then all are compared one by one."""
BINS = 4_096
_REACH = 14.0
"""Bins go from −14 to 14 in ``t``: to about 600,000 spreads from the middle; the outermost two hold what is beyond."""
_WIDTH = 2 * _REACH / (BINS - 2)
_SEEN, _KNOWN = 0, 1
_LARGEST = 1.7976931348623157e308


class RankArrays(NamedTuple):
    """What ranks are read from; a kernel may hold it.

    ``ring``: int16[window], bins of the last scores, the oldest overwritten; ``tree``: int32[BINS + 1], a Fenwick tree
    of ``counts``, int32[BINS]; ``first``: the first scores; ``scale``: middle and spread; ``meta``: how many scores
    there were, and whether the scale is known.
    """

    ring: NDArray[np.int16]
    tree: NDArray[np.int32]
    counts: NDArray[np.int32]
    first: Doubles
    scale: Doubles
    meta: NDArray[np.int64]


@compiled
def _warped(arrays: RankArrays, x: float) -> float:
    x = min(max(x, -_LARGEST), _LARGEST)
    # halves: the difference of two large numbers is finite too
    warped: float = math.asinh(min(max((x * 0.5 - arrays.scale[0] * 0.5) / arrays.scale[1], -_LARGEST), _LARGEST) * 2.0)
    return warped


@compiled
def _bin(t: float) -> int:
    if t < -_REACH:
        return 0
    if t >= _REACH:
        return BINS - 1
    return 1 + min(int((t + _REACH) / _WIDTH), BINS - 3)


@compiled
def rank(arrays: RankArrays, x: float) -> float:
    """The share of the window's scores below ``x``, in (0, 1); NaN for NaN."""
    if math.isnan(x):
        return math.nan
    t = _warped(arrays, x)
    everywhere = 0.5 * (1.0 + t / (1.0 + abs(t)))
    seen = int(arrays.meta[_SEEN])
    below, inside = 0.0, 0.0
    if arrays.meta[_KNOWN] == 0:
        for i in range(seen):
            if arrays.first[i] < x:
                below += 1.0
            elif arrays.first[i] == x:
                below += 0.5
    else:
        number = _bin(t)
        at = number
        total = 0
        while at > 0:  # cells of a Fenwick tree count from 1
            total += arrays.tree[at]
            at &= at - 1
        if number == 0:
            place = 1.0 / (1.0 - _REACH - t)
        elif number == BINS - 1:
            place = 1.0 - 1.0 / (1.0 + t - _REACH)
        else:
            place = min(max((t + _REACH) / _WIDTH - (number - 1), 0.0), 1.0)
        below, inside = float(total), place * float(arrays.counts[number])
        seen = min(seen, len(arrays.ring))
    return (below + inside + everywhere) / (seen + 1.0)


@compiled
def _count(arrays: RankArrays, number: int, by: int) -> None:
    arrays.counts[number] += by
    at = number + 1
    while at <= BINS:
        arrays.tree[at] += by
        at += at & -at


@compiled
def add(arrays: RankArrays, x: float) -> None:
    """Put a score into the window; the oldest goes. NaN is not counted."""
    if math.isnan(x):
        return
    seen = arrays.meta[_SEEN]
    if arrays.meta[_KNOWN] == 0:
        arrays.first[seen] = min(max(x, -_LARGEST), _LARGEST)
        arrays.meta[_SEEN] = seen + 1
        if seen + 1 == len(arrays.first):
            _learn_scale(arrays)
        return
    place = seen % len(arrays.ring)
    if seen >= len(arrays.ring):
        _count(arrays, arrays.ring[place], -1)
    number = _bin(_warped(arrays, x))
    arrays.ring[place] = number
    _count(arrays, number, 1)
    arrays.meta[_SEEN] = seen + 1


@compiled
def _learn_scale(arrays: RankArrays) -> None:
    order = np.sort(arrays.first)
    count = len(order)
    middle = order[count // 2]
    spread = order[(3 * count) // 4] * 0.5 - order[count // 4] * 0.5
    arrays.scale[0] = middle
    if spread == 0.0:
        spread = max(abs(middle), 1e-300)
    arrays.scale[1] = min(max(2.0 * spread, 1e-12 * abs(middle), 1e-300), _LARGEST)
    arrays.meta[_KNOWN] = 1
    arrays.meta[_SEEN] = 0
    for x in arrays.first:
        number = _bin(_warped(arrays, x))
        arrays.ring[arrays.meta[_SEEN]] = number
        _count(arrays, number, 1)
        arrays.meta[_SEEN] += 1


@compiled
def _take(arrays: RankArrays, raw: Doubles, shares: Doubles) -> None:
    for i in range(len(raw)):
        shares[i] = rank(arrays, raw[i])
        add(arrays, raw[i])


class ScoreRanks:
    """Turns raw scores into shares of the last ``window`` scores below them.

    >>> ranks = ScoreRanks(window=1_000)
    >>> shares = ranks.take(np.arange(1_000.0))
    >>> bool(0 < shares.min() and shares.max() < 1)
    True
    """

    def __init__(self, window: int = 50_000) -> None:
        if window < 1:
            raise ValueError("a window has at least one score")
        self.arrays = RankArrays(
            np.zeros(window, np.int16), np.zeros(BINS + 1, np.int32), np.zeros(BINS, np.int32),
            np.zeros(min(FIRST, window)), np.array([0.0, 1.0]), np.zeros(2, np.int64),
        )  # fmt: skip
        self._written = 0
        self._told_scale = False

    def take(self, raw: Doubles) -> Doubles:
        """The shares of raw scores, float64[n], in order: each is ranked among those before it and then counted."""
        shares = np.empty(len(raw))
        _take(self.arrays, raw, shares)
        return shares

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)

    def sections(self, *, everything: bool) -> dict[str, NDArray[np.generic]]:
        """What has changed since the last call, or all, as arrays by name."""
        arrays = self.arrays
        seen, window = int(arrays.meta[_SEEN]), len(arrays.ring)
        first = 0 if everything else self._written
        first = max(first, seen - window) if arrays.meta[_KNOWN] else seen
        places = np.arange(first, seen) % window
        self._written = seen if arrays.meta[_KNOWN] else 0
        found: dict[str, NDArray[np.generic]] = {
            "ring": arrays.ring[places], "ring_from": np.array([first]), "meta": arrays.meta.copy(),
        }  # fmt: skip
        if everything or not self._told_scale:
            found |= {"first": arrays.first.copy(), "scale": arrays.scale.copy()}
        self._told_scale = bool(arrays.meta[_KNOWN])
        return found

    def restore(self, frames: Sequence[Mapping[str, bytes | memoryview | NDArray[np.generic]]]) -> None:
        """Take what ``sections`` gave, oldest first: one that held everything, then those after it."""
        arrays = self.arrays
        for frame in frames:
            bins, (first,) = np.frombuffer(frame["ring"], np.int16), np.frombuffer(frame["ring_from"], np.int64)
            arrays.ring[np.arange(first, first + len(bins)) % len(arrays.ring)] = bins
            arrays.meta[:] = np.frombuffer(frame["meta"], np.int64)
            if "first" in frame:
                arrays.first[:] = np.frombuffer(frame["first"], np.float64)
                arrays.scale[:] = np.frombuffer(frame["scale"], np.float64)
        arrays.counts[:] = 0
        arrays.tree[:] = 0
        if arrays.meta[_KNOWN]:
            held = arrays.ring[: min(int(arrays.meta[_SEEN]), len(arrays.ring))]
            for number, count in enumerate(np.bincount(held, minlength=BINS)):
                _count(arrays, number, count)
        self._told_scale = bool(arrays.meta[_KNOWN])
        self._written = int(arrays.meta[_SEEN]) if self._told_scale else 0
