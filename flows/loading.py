"""Rules, contact policy and models from their files, with every problem of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from operators.learners import check_parameters
from rules.diagnostics import Diagnostic
from rules.load import load_rules
from rules.load_models import load_models
from rules.model import RuleSet
from rules.models import ModelSet, with_models
from rules.policy import Policy, load_policy

SHIPPED_MODELS = "models.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files say, and all problems; ``rules`` are null exactly if one of the problems is an error.

    ``rules`` come with the models that they read.
    """

    rules: RuleSet | None
    policy: Policy
    problems: list[Diagnostic]


def load(rules: Sequence[Path], policy: Path | None = None, models: Sequence[Path] | None = None) -> Loaded:
    """Load everything. ``models``: null for the file that is shipped."""
    model_set, problems = load_model_files(models)
    rule_set, rule_problems = load_rules(rules, None if model_set is None else model_set.names)
    problems += rule_problems
    contact_policy = Policy.default()
    if policy is not None:
        loaded, policy_problems = load_policy(policy)
        problems += policy_problems
        contact_policy = loaded or contact_policy
    if rule_set is None or model_set is None or any(problem.is_error for problem in problems):
        return Loaded(None, contact_policy, problems)
    return Loaded(with_models(rule_set, model_set), contact_policy, problems)


def load_model_files(paths: Sequence[Path] | None) -> tuple[ModelSet | None, list[Diagnostic]]:
    """The models of some files, or of the one that is shipped; see ``rules.load_models``."""
    if paths is None:
        with as_file(files("config") / SHIPPED_MODELS) as path:
            return load_model_files([path])
    model_set, problems = load_models(paths)
    if model_set is not None:
        wrong = [problem for model in model_set.models for problem in check_parameters(model)]
        if wrong:
            return None, [*problems, *wrong]
    return model_set, problems
