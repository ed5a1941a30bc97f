"""Random numbers that depend on what they are for and not on when they are drawn.

Every number is a hash of (seed, purpose, keys), so events can be made in any order and in pieces, and the same seed
gives the same events on every machine.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Unsigned = NDArray[np.uint64]
Whole = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_QUANTILES = 4096
NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / _QUANTILES) for i in range(_QUANTILES)])
"""Quantiles of the standard normal distribution."""


def mix(x: Unsigned) -> Unsigned:
    """Scramble 64 bits (the finaliser of SplitMix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def keyed(seed: int, *keys: NDArray[np.generic] | int) -> Unsigned:
    """One 64-bit number for each combination of keys (arrays are broadcast)."""
    state: Unsigned = mix(np.asarray([seed], np.uint64) + _GOLDEN)
    for key in keys:
        state = mix(state * _GOLDEN + np.asarray(key).astype(np.uint64))
    return state


class Draws:
    """Independent numbers for each row of ``state``, told apart by their purpose."""

    def __init__(self, state: Unsigned) -> None:
        self._state = state

    def bits(self, purpose: int) -> Unsigned:
        """64 random bits."""
        return mix(self._state + np.uint64(0x9E3779B97F4A7C15 * (purpose + 1) % 2**64))

    def below(self, purpose: int, bound: int | Whole) -> Whole:
        """A whole number from 0 up to and without ``bound``, which is less than 2^31."""
        high = self.bits(purpose) >> np.uint64(33)
        return ((high * np.asarray(bound).astype(np.uint64)) >> np.uint64(31)).astype(np.int64)

    def normal(self, purpose: int) -> NDArray[np.float64]:
        """Standard normal, as one of 4096 quantiles."""
        return NORMAL[self.below(purpose, _QUANTILES)]
