"""A customer and a rule as a state folder has them: what the engine would see of both if it were asked now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flows.explain.probes import EVALUATED, Probes, make_probes
from operators.feature_values import FeatureReader
from operators.firing import firing_of
from operators.one_customer import restore_one
from operators.plan_changes import warm_from_ms
from operators.survey import KeptCustomer
from operators.tables import PlanTables
from rules.context import Evaluation
from rules.model import Rule, RuleSet
from rules.plan import Plan, RulePlan
from rules.planner import make_plan
from rules.policy import Policy
from state.customer import Customer
from state.log import Words
from state.row_snapshots import Sections
from state.timers import HELD, Firing, Timer

_ROW = 0
_ASKED = "asked by cem explain"
"""Stands for the id of the rules with the probe, which no folder has: its state is taken over as by other rules."""


@dataclass(frozen=True, slots=True)
class Try:
    """The rule tried now with no event, for one holding where it has ``each``.

    ``values``: by name of a let or of a part of the condition, as ``Probes.parts`` has them. ``firing``: what would be
    decided by if it fired.
    """

    holding_id: str | None
    values: dict[str, Any]
    firing: Firing


class Present:
    """One customer, restored under some rules beside which the probe of one of them stands.

    Attributes
    ----------
    rule
        The rule as it is decided by: one that is paused as if it were live.
    probes
        The names of its parts.
    t_ms
        Up to when the state has taken events.
    """

    def __init__(
        self, rules: RuleSet, rule: Rule, policy: Policy, earlier: Callable[[str], Plan],
        frames: Sequence[Sections], found: KeptCustomer, customer_id: str, t_ms: int,
    ) -> None:  # fmt: skip
        self.probes: Probes = make_probes(rule, customer_id)
        probe = replace(self.probes.rules[0], when=None)
        others = tuple(
            replace(one, status="live") if one.id == rule.id and one.status == "paused" else one for one in rules.rules
        )
        plan = make_plan(replace(rules, rules=(*others, probe)), keeps_profiles=True)
        self.tables = PlanTables(plan, rules_id=_ASKED, earlier=earlier)
        self.t_ms, self._decider = t_ms, restore_one(self.tables, policy, frames, found, t_ms)
        self._number = _number(plan, rule.id)
        self._planned, self._probe = plan.rules[self._number], plan.rules[_number(plan, EVALUATED)]
        self.rule = self._planned.rule

    @property
    def plan(self) -> Plan:
        """That of the rules with the probe."""
        return self.tables.plan

    @property
    def customer(self) -> Customer:
        """What is remembered of them beside the row."""
        return self._decider.customers.by_row.get(_ROW) or Customer()

    @property
    def profile(self) -> tuple[Any, ...] | None:
        """The values of the attributes that the plan reads."""
        return self._decider.customers.profile(_ROW)

    @property
    def warm_from_ms(self) -> int:
        """From when on all windows of the rule are filled."""
        return warm_from_ms(self.plan, self._decider.since).get(self._number, 0)

    @property
    def next_tick_ms(self) -> int | None:
        """When a date rule is tried next, null if no profile has come at all."""
        ticks = self._decider.timers.ticks()
        return min((timer.at_ms for timer in ticks if timer.rule == self._number), default=None)

    def held(self) -> list[Timer]:
        """What quiet hours hold of the rule."""
        timers = self._decider.timers.by_row({_ROW}).get(_ROW, [])
        return [timer for timer in timers if timer.kind == HELD and timer.rule == self._number]

    def tries(self) -> Iterator[Try]:
        """The rule tried now, once or for each holding."""
        for holding_id, holding in self._decider.customers.holdings_at(self._planned, self.profile, None):
            evaluation = self._evaluation(self._probe, holding)
            values = {name: compute(evaluation) for name, compute in self._probe.computes}
            firing = firing_of(
                self._planned, self._evaluation(self._planned, holding), "", "", self.t_ms, False, holding_id,
                self.warm_from_ms,
            )  # fmt: skip
            yield Try(holding_id, values, firing)

    def _evaluation(self, planned: RulePlan, holding: dict[str, Any] | None) -> Evaluation:
        decider, t_ms = self._decider, self.t_ms
        row: Words = np.array([_ROW], np.int64)
        features = FeatureReader(self.tables, planned.features).read(decider.store, row, t_ms)[0]
        evaluation = Evaluation(
            t_ms, -1, None, _ROW, decider.customers.profile, [features[number] for number in planned.features],
            lambda _: None,  # an entity is an event's
        )  # fmt: skip
        evaluation.holding, evaluation.rises_now = holding, [False] * planned.rises
        return evaluation


def _number(plan: Plan, rule_id: str) -> int:
    return next(number for number, planned in enumerate(plan.rules) if planned.rule.id == rule_id)
