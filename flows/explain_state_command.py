"""`cem explain --state`: why a rule would not act now, asked of the folder that a run keeps."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from flows.explain.answer import Answer
from flows.explain.from_state import Asked, explain_state
from flows.explain_command import FAILED, WRONG_INPUT, WRONG_USAGE, fail, rule_of
from flows.replay_options import load_or_exit
from flows.state_rules import FolderRules
from rules.model import RuleSet
from rules.policy import Policy, load_policy
from state.disk import StateError
from state.state_folder import StateFolder


def answer_from_state(
    folder: Path, rules: Sequence[Path] | None, policy: Path | None, models: Sequence[Path] | None, *,
    customer: str | None, rule: str | None, others: Mapping[str, object],
) -> Answer:  # fmt: skip
    """The answer; ``others``: options that a state folder can do nothing with, by name, null if they are not given."""
    given = [name for name, value in others.items() if value]
    if given:
        fail(
            f"{' and '.join(given)} cannot be given with --state: a state folder has no events, and knows how it is "
            "now; give --rules and --events to ask about the past", WRONG_USAGE,
        )  # fmt: skip
    if not customer or rule is None:
        fail("--state takes --customer C and --rule R: whom, and which rule", WRONG_USAGE)
    try:
        opened = StateFolder.inspect(folder)
        kept = FolderRules(opened, rules or ())
        rule_set, contact_policy = _given(kept, rules, policy, models)
        asked = Asked(opened, kept, rule_set, contact_policy, customer, rule_of(rule_set, rule))
        return explain_state(asked)
    except StateError as error:
        fail(str(error), WRONG_INPUT if "no state folder" in error.problem else FAILED)


def _given(
    kept: FolderRules, rules: Sequence[Path] | None, policy: Path | None, models: Sequence[Path] | None
) -> tuple[RuleSet, Policy]:
    """The rules that are given, or else those of the run."""
    if rules:
        return load_or_exit(rules, policy, models)
    if models:
        fail("--models belongs to --rules; the folder holds the models of its rules", WRONG_USAGE)
    if policy is None:
        return kept.rule_set(), Policy.default()
    contact_policy, problems = load_policy(policy)
    if contact_policy is None:
        print("\n".join(map(str, problems)), file=sys.stderr)
        raise typer.Exit(WRONG_INPUT)
    return kept.rule_set(), contact_policy
