"""The kinds of models: what each is made of, and which parameters it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rules.diagnostics import Diagnostic, one_of, shown
from rules.models import ModelSpec
from state.half_space_learner import HalfSpaceLearner
from state.learner import Learner
from state.online_classifier import ClassifierSettings, OnlineClassifier
from state.surprise import SurpriseLearner


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a parameter takes."""

    least: float
    most: float
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model."""

    parameters: dict[str, Range]
    make: Callable[[ModelSpec, dict[str, float]], Learner]


def _half_space_trees(spec: ModelSpec, given: dict[str, float]) -> Learner:
    return HalfSpaceLearner(len(spec.features), skip_above=spec.skip_above, recent=spec.ranked_among, **_whole(given))


def _surprise(spec: ModelSpec, given: dict[str, float]) -> Learner:
    return SurpriseLearner(len(spec.features), skip_above=spec.skip_above, recent=spec.ranked_among, **_whole(given))


def _classifier(spec: ModelSpec, given: dict[str, float]) -> Learner:
    settings: dict[str, Any] = {name: int(value) if _CLASSIFIER[name].whole else value for name, value in given.items()}
    if "expired_is_negative" in settings:
        settings["expired_is_negative"] = bool(settings["expired_is_negative"])
    return OnlineClassifier(
        len(spec.features), ClassifierSettings(wait_ms=spec.keep_ms, **settings), recent=spec.ranked_among
    )


def _whole(given: dict[str, float]) -> dict[str, int]:
    return {name: int(value) for name, value in given.items()}


_CLASSIFIER = {
    "max_waiting": Range(1_000, 1 << 28, True), "expired_is_negative": Range(0, 1, True),
    "positive_weight": Range(0.01, 1_000), "step": Range(1e-4, 10), "pair_step": Range(1e-4, 10),
    "first_rows": Range(16, 1_000_000, True), "first_positives": Range(1, 1_000_000, True),
    "recut_growth": Range(1.01, 100), "recut_rows": Range(1_000, 1 << 40, True), "keep": Range(0, 1),
}  # fmt: skip

KINDS: dict[str, Kind] = {
    "half_space_trees": Kind(
        {"trees": Range(1, 500, True), "height": Range(1, 15, True), "window": Range(16, 1_000_000, True),
         "seed": Range(0, 2**31, True)},
        _half_space_trees,
    ),
    "surprise": Kind({"first": Range(16, 1_000_000, True)}, _surprise),
    "classifier": Kind(_CLASSIFIER, _classifier),
}  # fmt: skip
"""By the names of ``rules.models.KINDS``."""


def make_learner(spec: ModelSpec) -> Learner:
    """A model that has learned nothing yet; its parameters were checked."""
    return KINDS[spec.kind].make(spec, {parameter.name: parameter.value for parameter in spec.parameters})


def check_parameters(spec: ModelSpec) -> Iterator[Diagnostic]:
    """Problems of a model's parameters."""
    known = KINDS[spec.kind].parameters
    for parameter in spec.parameters:
        allowed = known.get(parameter.name)
        if allowed is None:
            message = f"a model of the kind {spec.kind} has no parameter {shown(parameter.name)}"
            yield Diagnostic("E604", "error", parameter.position, spec.name, message, one_of(known))
        elif not allowed.least <= parameter.value <= allowed.most or (allowed.whole and parameter.value % 1):
            what = "a whole number" if allowed.whole else "a number"
            message = f"`{parameter.name}` must be {what} from {allowed.least:g} to {allowed.most:g}"
            yield Diagnostic("E604", "error", parameter.position, spec.name, message, None)
