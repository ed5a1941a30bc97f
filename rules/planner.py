"""Plans a rule set: rules that share a selector or an aggregate share its matcher and its state."""

from __future__ import annotations

from typing import Any

from rules import model as m
from rules.context import Evaluation
from rules.evaluate import Reader, compile_expr
from rules.plan import Plan, RulePlan
from rules.plan_features import AGGREGATES, FeaturePlanner
from rules.render import compile_payload
from rules.walk import expressions, walk

_UNSET = object()

_ALWAYS_READ = {"profile": ("opt_out", "holdings"), "ticket": ("ticket_id", "stage")}
"""Fields that the engine itself looks at."""


def make_plan(rule_set: m.RuleSet) -> Plan:
    """Plan the rules that are not paused."""
    active = [rule for rule in rule_set.rules if rule.status != "paused"]
    nodes = [node for rule in active for expr in expressions(rule) for node in walk(expr)]
    features = FeaturePlanner(node for node in nodes if isinstance(node, AGGREGATES))
    for stream, names in _ALWAYS_READ.items():
        for name in names:
            features.column(stream, name)
    in_order = sorted(active, key=lambda rule: (-rule.priority, rule.id))
    rules = [_RulePlanner(features).plan(rule) for rule in in_order]
    fields = {stream: tuple(columns) for stream, columns in features.columns.items()}
    return Plan(fields, features.matchers, features.customer, features.entities, rules)


class _RulePlanner:
    """Compiles one rule and notes which features it reads."""

    def __init__(self, features: FeaturePlanner) -> None:
        self._features = features
        self._read: set[int] = set()
        self._entity_read: set[tuple[str, int]] = set()
        self._lets: dict[str, Reader] = {}

    def plan(self, rule: m.Rule) -> RulePlan:
        """The plan of one rule."""
        for name, expr in rule.lets:
            self._lets[name] = _let(name, compile_expr(expr, self._leaf))
        when = None if rule.when is None else compile_expr(rule.when, self._leaf)
        payloads = tuple(
            compile_payload(action.payload, lambda expr: compile_expr(expr, self._leaf)) for action in rule.actions
        )
        return RulePlan(
            rule=rule,
            trigger_mask=self._features.mask(rule.triggers),
            unless_mask=self._features.mask(rule.unless.selectors) if rule.unless else 0,
            before=tuple(sorted(i for i in self._read if self._features.customer.features[i].before)),
            entity_features=tuple(sorted(self._entity_read)),
            rises=sum(isinstance(node, m.Rises) for expr in expressions(rule) for node in walk(expr)),
            lets=tuple(self._lets.items()),
            when=when,
            payloads=payloads,
        )

    def _leaf(self, node: m.Expr) -> Reader:
        match node:
            case m.Aggregate() if node.per:
                number = self._features.entity_feature(node)
                self._entity_read.add(number)
                return lambda c: c.entity(number)
            case m.Aggregate() | m.Latest() | m.Age() | m.Novel() | m.Sequence() | m.Streak():
                index = self._features.feature(node)
                self._read.add(index)
                return lambda c: c.feature(index)
            case m.Rises(condition, slot):
                return _rises(slot, compile_expr(condition, self._leaf))
            case m.LetRef(name):
                return self._lets[name]
            case m.AnchorField(stream, name):
                code, column = m.STREAMS.index(stream), self._features.column(stream, name)
                return lambda c: c.values[column] if c.stream == code else None
            case m.ProfileField(name):
                column = self._features.column("profile", name)
                return lambda c: None if c.profile is None else c.profile[column]
            case m.HoldingField(name):
                return lambda c: None if c.holding is None else c.holding.get(name)
            case m.EvalTime():
                return lambda c: c.t_ms
            case m.Score():
                return lambda c: None  # no models are configured yet: as while one is warming up
        raise AssertionError(node)


def _let(name: str, compute: Reader) -> Reader:
    """Most evaluations end at the first test of ``when``: a let is worked out when it is first asked for."""

    def read(c: Evaluation) -> Any:
        value = c.lets.get(name, _UNSET)
        if value is _UNSET:
            value = c.lets[name] = compute(c)
        return value

    return read


def _rises(slot: int, condition: Reader) -> Reader:
    def read(c: Evaluation) -> bool:
        now = c.rises_now[slot] = bool(condition(c))
        return now and c.rose_before is not None and not c.rose_before[slot]

    return read
