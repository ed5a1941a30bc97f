"""How well a classifier does: accuracy, Cohen's kappa, F1, the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASS_NAMES = ("negative", "positive", "neutral")


@dataclass(frozen=True, slots=True)
class TextScores:
    """``confusion[i][j]``: texts of class i that were taken for j; ``f1`` of each class."""

    confusion: NDArray[np.int64]
    accuracy: float
    kappa: float
    macro_f1: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]

    @classmethod
    def of(cls, truth: NDArray[np.int64], found: NDArray[np.int64]) -> TextScores:
        """Compare classes found with the true ones; without texts all figures are 0.

        >>> TextScores.of(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0])).accuracy
        0.75
        """
        size = len(CLASS_NAMES)
        confusion = np.bincount(truth * size + found, minlength=size * size).reshape(size, size)
        total = max(int(confusion.sum()), 1)
        right, true, taken = np.diag(confusion), confusion.sum(1), confusion.sum(0)
        accuracy = right.sum() / total
        chance = float((true * taken).sum()) / total**2
        kappa = (accuracy - chance) / (1 - chance) if chance < 1 else 0.0
        f1 = 2 * right / np.maximum(true + taken, 1)
        precision, recall = right / np.maximum(taken, 1), right / np.maximum(true, 1)
        each = [tuple(float(value) for value in values) for values in (precision, recall, f1)]
        return cls(confusion, float(accuracy), float(kappa), float(f1.mean()), *each)

    def as_json(self) -> dict[str, Any]:
        """The figures, for machines."""
        classes = {
            name: {"precision": self.precision[at], "recall": self.recall[at], "f1": self.f1[at]}
            for at, name in enumerate(CLASS_NAMES)
        }
        return {
            "texts": int(self.confusion.sum()), "accuracy": self.accuracy, "kappa": self.kappa,
            "macro_f1": self.macro_f1, "classes": classes, "confusion": self.confusion.tolist(),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The figures, for people."""
        head = f"accuracy {self.accuracy:.3f}   kappa {self.kappa:.3f}   macro-F1 {self.macro_f1:.3f}"
        rows = [f"{'':10}{'precision':>10}{'recall':>8}{'F1':>8}   taken for {' '.join(CLASS_NAMES)}"]
        for at, name in enumerate(CLASS_NAMES):
            pairs = zip(self.confusion[at], CLASS_NAMES, strict=True)
            taken = " ".join(f"{count:>{len(other)}}" for count, other in pairs)
            figures = f"{self.precision[at]:>10.3f}{self.recall[at]:>8.3f}{self.f1[at]:>8.3f}"
            rows.append(f"{name:10}{figures}   {'':9} {taken}")
        return [f"{int(self.confusion.sum()):,} texts: {head}", *rows]


def predicted(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class with the highest score, for each row."""
    found: NDArray[np.int64] = scores.argmax(1)
    return found
