"""The models that rules take scores from, as data: what the loader makes of a models file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rules.model import Expr, Position, RuleSet, Score, Selector
from rules.walk import expressions, walk

KINDS = ("half_space_trees", "surprise", "classifier")
"""How a model learns: the first two without labels, from what is usual; the last from labels that arrive later."""

MODES = ("live", "shadow", "frozen")
"""``live``: scores and learns; ``shadow``: the same, and rules that read it are shadow rules; ``frozen``: it scores by
what it has learned and learns no more."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a model's kind, as written."""

    name: str
    value: int | float
    position: Position


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model as written.

    Attributes
    ----------
    scored, labels
        The events that it scores; the labels that it learns from (of the stream ``label``).
    features
        Name and expression of each, over the customer's events as of the scored one; a later one may use earlier ones.
    warm_up
        Until so many events have come (or labels, if it learns from them) its score is null.
    ranked_among
        A score is the share of so many latest ones below it.
    keep_ms
        A scored event waits so long for its label.
    skip_above
        Events that score above this are not learned from; 1 to learn from all. Only of models without labels.
    """

    name: str
    version: int
    title: str
    kind: str
    mode: str
    scored: tuple[Selector, ...]
    labels: tuple[Selector, ...]
    features: tuple[tuple[str, Expr], ...]
    warm_up: int
    ranked_among: int
    keep_ms: int
    skip_above: float
    parameters: tuple[Parameter, ...]
    timezone: str
    position: Position = field(compare=False)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of its features in order."""
        return tuple(name for name, _ in self.features)


@dataclass(frozen=True, slots=True)
class ModelSet:
    """All models of all files, in the order of the text; ``sources``: the files' names and contents."""

    models: tuple[ModelSpec, ...] = ()
    sources: tuple[tuple[str, bytes], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The models' names."""
        return frozenset(model.name for model in self.models)


def with_models(rules: RuleSet, models: ModelSet) -> RuleSet:
    """The rules together with the models that those of them read which are not paused; others do not run."""
    read = scores_read(rules)
    used = tuple(model for model in models.models if model.name in read)
    return replace(rules, models=used, model_sources=models.sources if used else ())


def scores_read(rules: RuleSet) -> frozenset[str]:
    """The names of the models whose scores the rules read."""
    return frozenset(
        node.model
        for rule in rules.rules
        if rule.status != "paused"
        for expr in expressions(rule)
        for node in walk(expr)
        if isinstance(node, Score)
    )
