"""Plans a rule set: rules that share a selector or an aggregate share its matcher and its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rules import model as m
from rules import opcodes
from rules.context import Evaluation
from rules.evaluate import Reader, compile_expr
from rules.models import ModelSpec
from rules.plan import RULE_OPENS_TICKETS, FeatureSet, Plan, RulePlan
from rules.plan_features import AGGREGATES, FeaturePlanner
from rules.plan_models import plan_models
from rules.program import Compiler
from rules.render import compile_payload
from rules.score_keys import score_features, score_key
from rules.walk import expressions, walk

_UNSET = object()

OPT_OUT_KINDS = ("survey", "notify")
"""Kinds of actions that a customer can opt out of."""

_ALWAYS_READ = {"profile": ("opt_out", "holdings"), "ticket": ("ticket_id", "stage", "paused", "extend_days")}
"""Fields that the engine itself looks at."""


def make_plan(rule_set: m.RuleSet, *, keeps_profiles: bool = False, share_squares: bool = False) -> Plan:
    """Plan the rules that are not paused.

    ``keeps_profiles``: also if none of them looks at profiles, as other rules may go on from the state.
    ``share_squares``: one series for all totals of a field, as the rows of format 1 have it.
    """
    active = [rule for rule in rule_set.rules if rule.status != "paused"]
    modelled = [node for model in rule_set.models for _, expr in model.features for node in walk(expr)]
    of_entities = [node for node in modelled if isinstance(node, m.Aggregate) and node.per]
    nodes = [node for rule in active for expr in expressions(rule) for node in walk(expr)]
    aggregates = [node for node in nodes if isinstance(node, AGGREGATES)]
    features = FeaturePlanner([*aggregates, *of_entities], share_squares=share_squares)
    for stream, names in _ALWAYS_READ.items():
        for name in names:
            features.column(stream, name)
    in_order = sorted(_shadowed(active, rule_set.models), key=lambda rule: (-rule.priority, rule.id))
    for node in [*nodes, *of_entities]:
        if isinstance(node, m.Aggregate) and node.per and node.window.kind != "ever":
            features.entity_feature(node)
    known = entity_features(features.entities) + score_features([model.name for model in rule_set.models])
    entities = {key: number for number, key in enumerate(known)}
    compiler = Compiler(features, entities)
    rules = [
        _RulePlanner(features, compiler, number, rule_set.models).plan(rule) for number, rule in enumerate(in_order)
    ]
    for condition, parts in features.streaks:
        compiler.streak(condition, parts)
    compiler.programs.keeps_profiles = keeps_profiles or any(map(_looks_at_profile, in_order))
    scored = plan_models(rule_set.models, features, entities)
    readers = [(rule.trigger_mask, rule.entity_features) for rule in rules]
    readers += [(model.scored_mask, model.entity_features) for model in scored.models]
    for name in features.entities:
        for stream in _entity_streams(name, features, readers):
            features.hash_slot(stream, name)
    fields = {stream: tuple(columns) for stream, columns in features.columns.items()}
    return Plan(
        fields, features.matchers, features.customer, features.entities, rules, compiler.programs, features.selectors,
        tuple(condition for condition, _ in features.streaks), features.layout(),
        {rule.id: rule.cooldown_ms for rule in rule_set.rules}, scored,
    )  # fmt: skip


def _shadowed(rules: Sequence[m.Rule], models: Sequence[ModelSpec]) -> Iterator[m.Rule]:
    """The rules; those that read a model in shadow mode are shadow rules."""
    shadows = {model.name for model in models if model.mode == "shadow"}
    for rule in rules:
        nodes = (node for expr in expressions(rule) for node in walk(expr)) if shadows else ()
        reads = any(isinstance(node, m.Score) and node.model in shadows for node in nodes)
        yield replace(rule, status="shadow") if reads else rule


def features_not_computed(plan: Plan) -> list[str]:
    """The names of models' features that only Python could tell."""
    programs = plan.scored.programs
    return [
        name
        for model in plan.scored.models
        for name, number in zip(model.spec.feature_names, model.programs, strict=True)
        if programs.code[programs.starts[number]][0] == opcodes.PUSH_UNKNOWN
    ]


def _looks_at_profile(rule: m.Rule) -> bool:
    """Whether a rule needs profiles where it fires: its expressions do, or customers may opt out of its actions."""
    reads = any(isinstance(node, m.ProfileField) for expr in expressions(rule) for node in walk(expr))
    return reads or rule.daily is not None or any(action.kind in OPT_OUT_KINDS for action in rule.actions)


def entity_features(entities: Mapping[str, FeatureSet]) -> list[tuple[str, int]]:
    """All features of entities by ``per=`` field and number, in the order in which the kernels number them."""
    return [(name, index) for name, features in entities.items() for index in range(len(features.features))]


def _entity_streams(
    name: str, features: FeaturePlanner, readers: Sequence[tuple[int, tuple[tuple[str, int], ...]]]
) -> list[str]:
    """The streams whose events feed or read the aggregates over a ``per=`` field."""
    matchers = {matcher for series in features.entities[name].series for matcher in series.matchers}
    for mask, read in readers:
        if any(entity == name for entity, _ in read):
            matchers |= {i for i in range(len(features.matchers)) if mask >> i & 1}
    return [m.STREAMS[code] for code in sorted({features.matchers[matcher].stream for matcher in matchers})]


class _RulePlanner:
    """Compiles one rule and notes which features it reads."""

    def __init__(self, features: FeaturePlanner, compiler: Compiler, number: int, models: Sequence[ModelSpec]) -> None:
        self._features, self._models = features, models
        self._compiler = compiler
        self._number = number
        self._places: dict[int, int] = {}
        self._entity_read: set[tuple[str, int]] = set()
        self._lets: dict[str, Reader] = {}
        self._computes: dict[str, Reader] = {}

    def plan(self, rule: m.Rule) -> RulePlan:
        """The plan of one rule."""
        for name, expr in rule.lets:
            compute = compile_expr(expr, self._leaf)
            self._lets[name], self._computes[name] = _let(name, compute), compute
        when = None if rule.when is None else compile_expr(rule.when, self._leaf)
        payloads = tuple(
            compile_payload(action.payload, lambda expr: compile_expr(expr, self._payload_leaf))
            for action in rule.actions
        )
        program, compiled = self._compiler.condition(rule.when, dict(rule.lets), each_holding=rule.each_holding)
        assert program == self._number
        programs = self._compiler.programs
        rises = sum(isinstance(node, m.Rises) for expr in expressions(rule) for node in walk(expr))
        programs.rise_counts.append(rises if compiled else 0)
        programs.captures.append(tuple(self._places))
        opens_tickets = any(action.kind == "ticket" for action in rule.actions)
        programs.rule_flags.append(RULE_OPENS_TICKETS if opens_tickets else 0)
        programs.armed_bits.append(self._armed_bit() if rule.unless else 0)
        return RulePlan(
            rule=rule,
            trigger_mask=self._features.mask(rule.triggers),
            unless_mask=self._features.mask(rule.unless.selectors) if rule.unless else 0,
            features=tuple(self._places),
            entity_features=tuple(sorted(self._entity_read)),
            program=program,
            rises=rises,
            kept_rises=compiled,
            lets=tuple(self._lets.items()),
            computes=tuple(self._computes.items()),
            when=when,
            payloads=payloads,
            models=tuple(model for model in self._models if score_key(model.name) in self._entity_read),
        )

    def _armed_bit(self) -> int:
        """The rule's bit among those that wait; rules beyond the 61st share the last."""
        bits = self._compiler.programs.armed_bits
        return 1 << min(61, sum(bit != 0 for bit in bits))

    def _payload_leaf(self, node: m.Expr) -> Reader:
        """Where a payload is rendered, all lets are worked out."""
        if isinstance(node, m.LetRef):
            name = node.name
            return lambda c: c.lets[name]
        return self._leaf(node)

    def _leaf(self, node: m.Expr) -> Reader:
        match node:
            case m.Aggregate() if node.per:
                number = self._features.entity_feature(node)
                self._entity_read.add(number)
                return lambda c: c.entity(number)
            case m.Aggregate() | m.Latest() | m.Age() | m.Novel() | m.Sequence() | m.Streak():
                place = self._places.setdefault(self._features.feature(node), len(self._places))
                return lambda c: c.features[place]
            case m.Rises(condition, slot):
                return _rises(slot, compile_expr(condition, self._leaf))
            case m.LetRef(name):
                return self._lets[name]
            case m.AnchorField(stream, name):
                code, column = m.STREAMS.index(stream), self._features.column(stream, name)
                return lambda c: c.anchor.values[column] if c.stream == code else None
            case m.ProfileField(name):
                column = self._features.column("profile", name)
                return lambda c: None if c.profile is None else c.profile[column]
            case m.HoldingField(name):
                return lambda c: None if c.holding is None else c.holding.get(name)
            case m.EvalTime():
                return lambda c: c.t_ms
            case m.Score(model):
                key = score_key(model)
                if key not in self._compiler.entities:
                    return lambda c: None  # no such model is configured: as while one is warming up
                self._entity_read.add(key)
                return lambda c: None if c.entity is None else c.entity(key)  # null at a tick
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
