"""Plans the models: their features share matchers and entities with the rules; customers' rows are their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rules import model as m
from rules.models import ModelSpec
from rules.plan import ModelPlan, ModelRows, Programs
from rules.plan_features import AGGREGATES, FeaturePlanner
from rules.program import Compiler
from rules.walk import walk

SUBJECT = "subject_event_id"
"""The field of a label that names the event it is about."""


def plan_models(
    models: Sequence[ModelSpec], beside: FeaturePlanner, entities: Mapping[tuple[str, int], int]
) -> ModelRows:
    """The models' plans; ``beside`` are the features of the rules, ``entities`` the numbers of entities' features."""
    if not models:
        return ModelRows()
    nodes = [node for model in models for _, expr in model.features for node in walk(expr)]
    of_customer = [
        node for node in nodes if isinstance(node, AGGREGATES) and not (isinstance(node, m.Aggregate) and node.per)
    ]
    features = FeaturePlanner(of_customer, beside=beside)
    compiler = Compiler(features, entities)
    planned = tuple(_plan(model, features, compiler) for model in models)
    for condition, parts in features.streaks:
        compiler.streak(condition, parts)
    compiler.programs.approximate = True  # a model need not know a number to its last digit
    compiler.programs.keeps_profiles = any(isinstance(node, m.ProfileField) for node in nodes)
    return ModelRows(
        planned, features.customer, compiler.programs, tuple(condition for condition, _ in features.streaks)
    )


def _plan(model: ModelSpec, features: FeaturePlanner, compiler: Compiler) -> ModelPlan:
    programs, lets = compiler.programs, dict(model.features)
    first = len(programs.captures)
    for expr in lets.values():
        number = compiler.number(expr, lets)
        if number is None:
            number = compiler.nothing()
        assert number == len(programs.captures)
        _add_no_rule(programs)
    if model.labels:
        features.word_slot("label", "label")
        features.hash_slot("label", SUBJECT)
    read = {
        features.entity_feature(node)
        for expr in lets.values()
        for node in walk(expr)
        if isinstance(node, m.Aggregate) and node.per
    }
    return ModelPlan(
        model, features.mask(model.scored), features.mask(model.labels), range(first, len(programs.captures)),
        tuple(sorted(read)),
    )  # fmt: skip


def _add_no_rule(programs: Programs) -> None:
    """A program that is no rule's condition has nothing of what comes with one."""
    programs.captures.append(())
    programs.rule_flags.append(0)
    programs.armed_bits.append(0)
    programs.rise_counts.append(0)
