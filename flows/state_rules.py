"""The rules by which the state in a folder was laid out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from operators.tables import PlanTables
from rules.load import load_rules
from rules.planner import make_plan
from state.disk import StateError
from state.state_folder import FORMAT_FILE, StateFolder


def kept_tables(folder: StateFolder, rules: Sequence[Path]) -> PlanTables:
    """The tables of the rules of the run.

    Raises
    ------
    StateError
        It is not known what they are, or they are wrong.
    """
    if not rules:
        raise StateError(folder.path / FORMAT_FILE, "it does not hold the rules", "give the run's with --rules")
    rule_set, problems = load_rules(rules)
    if rule_set is None:
        raise StateError(folder.path, "\n".join(map(str, problems)), "give the rules of the run with --rules")
    return PlanTables(make_plan(rule_set))


def known_tables(folder: StateFolder, rules: Sequence[Path]) -> PlanTables | None:
    """The same; null where it is not known what the rules are."""
    return kept_tables(folder, rules) if rules else None
