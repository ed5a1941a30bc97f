"""The rules by which the state in a folder was laid out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from operators.tables import PlanTables
from rules.load import load_rules
from rules.planner import make_plan
from state.disk import StateError
from state.state_folder import FORMAT_FILE, StateFolder


def kept_tables(folder: StateFolder, rules: Sequence[Path], *, needed: bool = True) -> PlanTables | None:
    """The tables of the rules of the run; null if it is not known what they are, and they are not ``needed``."""
    if not rules:
        if needed:
            raise StateError(folder.path / FORMAT_FILE, "it does not hold the rules", "give the run's with --rules")
        return None
    rule_set, problems = load_rules(rules)
    if rule_set is None:
        raise StateError(folder.path, "\n".join(map(str, problems)), "give the rules of the run with --rules")
    return PlanTables(make_plan(rule_set))
