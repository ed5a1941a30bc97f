"""Watches a model's scores for drift (ADWIN: Bifet and Gavaldà 2007, river's): it is told, not adapted to."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 0.02
"""Of many scores the smallest change is sure: a change of their mean by less is not told."""

_DELTA = 0.002
"""How likely a drift may be told of scores that do not drift; river's default."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The mean of scores is ``after`` now, and was ``before`` since the last drift; ``row``: at which row given."""

    row: int
    before: float
    after: float


class DriftWatch:
    """Notes raw scores as they come; they are watched as numbers between 0 and 1 (the logistic function of them)."""

    def __init__(self) -> None:
        self._detector = _new_detector()
        self._sum, self._count = 0.0, 0  # since the last drift

    def take(self, raw: NDArray[np.float64]) -> list[Drift]:
        """Note scores in order, NaN excepted; returns the drifts that were found."""
        found = []
        rows = np.flatnonzero(~np.isnan(raw))
        values = 1.0 / (1.0 + np.exp(-np.clip(raw[rows], -50.0, 50.0)))
        update, total, count = self._detector.update, self._sum, self._count
        for row, value in zip(rows.tolist(), values.tolist(), strict=True):
            total += value
            count += 1
            if update(value):
                drift = Drift(row, total / count, self._detector.get_total() / self._detector.get_width())
                self._detector = _new_detector()  # as river begins anew after one
                update = self._detector.update
                if abs(drift.after - drift.before) >= LEAST:
                    found.append(drift)
                    total, count = 0.0, 0
        self._sum, self._count = total, count
        return found

    def section(self) -> bytes:
        """All that is remembered."""
        return pickle.dumps((self._detector, self._sum, self._count))

    def restore(self, section: Any) -> None:
        """Take what an earlier run remembered; the caller vouches for it by its checksum."""
        self._detector, self._sum, self._count = pickle.loads(bytes(section))


def _new_detector() -> Any:
    """What is inside river's ``ADWIN``, with its defaults: the shell doubles the time of a score, and importing river's
    detectors takes a second."""
    from river._river_rust.drift import AdaptiveWindowing  # few need it

    return AdaptiveWindowing(delta=_DELTA, clock=32, max_buckets=5, min_window_length=5, grace_period=10)
