"""How a model's scores travel: like the values of an entity's features, under a name that no field has."""

from __future__ import annotations

from collections.abc import Sequence

TOP = 3
"""So many features are named that contributed most to a score."""

SCORE_VALUES = 1 + 2 * TOP
"""Of a scored event: its score; the numbers of the features that contributed most; what each contributed."""


def score_key(model: str, value: int = 0) -> tuple[str, int]:
    """Where a model's score (or what comes with it) is found among the features of entities."""
    return f"score({model})", value


def score_features(models: Sequence[str]) -> list[tuple[str, int]]:
    """All values of all models, in the order in which the kernels number them; they follow those of entities."""
    return [score_key(model, value) for model in models for value in range(SCORE_VALUES)]
