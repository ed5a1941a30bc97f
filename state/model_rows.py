"""What goes into a model and what comes out of it, in columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class ModelRows:
    """Rows of one model in processing order: scored events, and labels of earlier ones.

    ``ts_ms``: int64[n], effective time. ``is_label``: bool[n], a label of an earlier scored event, else an event to be
    scored. ``keys``: uint64[n, 2], the identity of the scored event (a label carries its subject's). ``labels``:
    bool[n], of labels whether it was positive. ``features``: float64[n, f], of scored events; NaN is null.
    """

    ts_ms: NDArray[np.int64]
    is_label: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    labels: NDArray[np.bool_]
    features: NDArray[np.float64]


@dataclass
class Scored:
    """What a learner says of rows.

    ``raw``: float64[n], higher is more anomalous, on the real line; NaN for labels and while nothing is known.
    ``shares``: float64[n], of the latest such scores the share below it. ``top``: int8[n, 3], the features that
    contributed most to a high score, most first; −1 for none. ``parts``: float32[n, 3], their contributions.
    ``learned``: rows learned from; ``positives``: those of them with a positive label.
    """

    raw: NDArray[np.float64]
    shares: NDArray[np.float64]
    top: NDArray[np.int8]
    parts: NDArray[np.float32]
    learned: int = 0
    positives: int = 0

    @classmethod
    def nothing(cls, count: int, top: int) -> Scored:
        """Nothing said of ``count`` rows yet, with room for so many features that contributed most."""
        return cls(
            np.full(count, np.nan), np.full(count, np.nan), np.full((count, top), -1, np.int8),
            np.zeros((count, top), np.float32),
        )  # fmt: skip
