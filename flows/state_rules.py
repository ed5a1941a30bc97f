"""The rules by which the state in a folder was laid out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.model_stages import MEASURE, SCORE, model_number
from flows.rule_history import kept_rules
from operators.tables import PlanTables
from rules.load import load_rules
from rules.model import RuleSet
from rules.plan import ModelPlan
from rules.planner import make_plan
from state.disk import StateError
from state.state_folder import FORMAT_FILE, StateFolder


class FolderRules:
    """The rules that a folder holds, by their ids.

    ``given``: rule files for a folder of format 1 that no later version has gone on from: it does not hold its rules.
    """

    def __init__(self, folder: StateFolder, given: Sequence[Path] = ()) -> None:
        self._folder, self._given = folder, given
        self._tables: dict[str, PlanTables] = {}
        self._rule_sets: dict[str, RuleSet] = {}

    def tables(self, rules_id: str) -> PlanTables:
        """The tables of the rules of some id; ``""`` for what names none.

        Raises
        ------
        StateError
            It is not known what they are, or they are wrong.
        """
        if rules_id not in self._tables:
            self._tables[rules_id] = PlanTables(make_plan(self._rules(rules_id), share_squares=not rules_id))
        return self._tables[rules_id]

    def known_tables(self, rules_id: str) -> PlanTables | None:
        """The same; null where it is not known what the rules are."""
        try:
            return self.tables(rules_id)
        except StateError:
            if self._given or rules_id:
                raise
            return None

    def running(self) -> dict[str, ModelPlan] | None:
        """By their shards' names, the models of the rules under which the folder was used last; null: not known."""
        try:
            tables = self.tables(str(self._folder.about.get("rules") or ""))
        except StateError:
            return None
        return {f"{SCORE}-{model_number(model.spec.name)}": model for model in tables.plan.scored.models}

    def rule_set(self) -> RuleSet:
        """The rules under which the folder was used last.

        Raises
        ------
        StateError
            It is not known what they are, or they are wrong.
        """
        return self._rules(str(self._folder.about.get("rules") or ""))

    def is_running(self, shard: str) -> bool:
        """Whether a shard is one that the next run would go on with; those of models may be left of earlier rules."""
        stage, running = shard.rpartition("-")[0], self.running()
        if stage not in (MEASURE, SCORE) or running is None:
            return True
        return bool(running) if stage == MEASURE else shard in running

    def _rules(self, rules_id: str) -> RuleSet:
        if rules_id not in self._rule_sets:  # to read those of a whole pack takes a second
            self._rule_sets[rules_id] = self._read_rules(rules_id)
        return self._rule_sets[rules_id]

    def _read_rules(self, rules_id: str) -> RuleSet:
        kept = rules_id or self._folder.about.get("unnamed_rules")
        if isinstance(kept, str):
            return kept_rules(self._folder.path, kept)
        if not self._given:
            raise StateError(
                self._folder.path / FORMAT_FILE, "the folder does not hold the run's rules", "give them with --rules"
            )
        rules, problems = load_rules(self._given)
        if rules is None:
            raise StateError(self._given[0], "\n".join(map(str, problems)), "give the rules of the run with --rules")
        return rules
