"""Plans a rule set: rules that share a selector or an aggregate share its matcher and its state.

The plan is what the rest of the engine executes: the fields to read of each stream, matchers, series and features
(plain data), and per rule the compiled conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rules import model as m
from rules.context import Evaluation
from rules.evaluate import Reader, compile_expr, walk
from rules.render import compile_payload

Condition = Callable[[Sequence[Any]], bool]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A selector, ready to use: ``test`` takes the event's values (none: every event of the stream matches).

    ``columns`` are the indices of the values it looks at.
    """

    stream: int
    test: Callable[[tuple[Any, ...]], Any] | None
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """What a customer remembers of the events of some matchers; the fields are those of ``state.book.SeriesSpec``."""

    kind: str
    matchers: tuple[int, ...]
    columns: tuple[int | None, ...]
    retention_ms: int = 0
    period: str = ""
    timezone: str = ""
    ops: tuple[str, ...] = ()
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """A value read from a series; the fields are those of ``state.book.FeatureSpec``."""

    series: int
    op: str
    window: str = ""
    size_ms: int = 0
    period: str = ""
    timezone: str = ""
    before: bool = False


@dataclass(slots=True)
class FeatureSet:
    """Series and features of one kind of row: the customer's, or those of an entity.

    ``entity_columns`` gives, for an entity, the column of its field by stream.
    """

    series: list[Series] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)
    entity_columns: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class RulePlan:
    """A rule with its conditions compiled. Masks are bit sets over the plan's matchers.

    ``before`` are the customer's features that it reads and that must be read before the anchor is added;
    ``entity_features`` are the entity features it reads, by (``per=`` field, number). The readers take an ``Evaluation``;
    those of ``lets`` remember the value in it.
    """

    rule: m.Rule
    trigger_mask: int
    unless_mask: int
    before: tuple[int, ...]
    entity_features: tuple[tuple[str, int], ...]
    rises: int
    lets: tuple[tuple[str, Reader], ...]
    when: Reader | None
    payloads: tuple[tuple[str, Reader], ...]


@dataclass(slots=True)
class Plan:
    """Everything the engine needs of a rule set.

    ``fields`` gives, by stream, the names of the fields in ``Event.values``. ``entities`` gives, by the name of a
    ``per=`` field, its feature set. ``rules`` are in the order in which they are decided.
    """

    fields: dict[str, tuple[str, ...]]
    matchers: list[Matcher]
    customer: FeatureSet
    entities: dict[str, FeatureSet]
    rules: list[RulePlan]

    def profile_column(self, name: str) -> int | None:
        """The column of a profile attribute, none if the plan does not read it."""
        names = self.fields["profile"]
        return names.index(name) if name in names else None


def make_plan(rule_set: m.RuleSet) -> Plan:
    """Plan the rules that are not paused."""
    return _Planner(rule_set).plan()


_UNSET = object()
_Aggregates = m.Aggregate | m.Latest | m.Age | m.Novel | m.Sequence | m.Streak
_PERIOD_MAX_MS = {"day": 2 * 86_400_000, "week": 8 * 86_400_000, "month": 32 * 86_400_000}
_SERIES_KIND = {
    "count": "times", "sum": "sums", "mean": "sums", "std": "sums", "min": "minima", "max": "maxima", "distinct": "values",
}  # fmt: skip


class _Planner:
    """Collects fields first, as a field's column is its place among all that are read of its stream."""

    def __init__(self, rule_set: m.RuleSet) -> None:
        active = [rule for rule in rule_set.rules if rule.status != "paused"]
        self._rules = sorted(active, key=lambda rule: (-rule.priority, rule.id))
        self._fields: dict[str, dict[str, int]] = {stream: {} for stream in m.STREAMS}
        for name in ("opt_out", "holdings"):
            self._column("profile", name)
        for name in ("ticket_id", "stage"):
            self._column("ticket", name)
        self._matchers: dict[m.Selector, int] = {}
        self._compiled: list[Matcher] = []
        self._customer = FeatureSet()
        self._entities: dict[str, FeatureSet] = {}
        self._numbers: dict[m.Expr, int] = {}
        self._entity_numbers: dict[m.Aggregate, tuple[str, int]] = {}
        self._retention_ms: dict[tuple[str | None, str, m.Selector, str | None], int] = {}

    def plan(self) -> Plan:
        nodes = [node for rule in self._rules for expr in _expressions(rule) for node in walk(expr)]
        aggregates = [node for node in nodes if isinstance(node, _Aggregates)]
        for node in aggregates:
            self._note_retention(node)
        for entity in sorted({a.per for a in aggregates if isinstance(a, m.Aggregate) and a.per}):
            feature_set = self._entities[entity] = FeatureSet()
            feature_set.entity_columns = {i: self._column(s, entity) for i, s in enumerate(m.STREAMS)}
        rules = [self._rule(rule) for rule in self._rules]
        return Plan(
            {stream: tuple(columns) for stream, columns in self._fields.items()},
            self._compiled, self._customer, self._entities, rules,
        )  # fmt: skip

    # --- columns and matchers --------------------------------------------------------------------

    def _column(self, stream: str, name: str) -> int:
        columns = self._fields[stream]
        return columns.setdefault(name, len(columns))

    def _matcher(self, selector: m.Selector) -> int:
        known = self._matchers.get(selector)
        if known is not None:
            return known
        index = self._matchers[selector] = len(self._compiled)
        test: Reader | None = None
        columns: tuple[int, ...] = ()
        if selector.predicate is not None:
            used: dict[int, None] = {}

            def leaf(node: m.Expr) -> Reader:
                assert isinstance(node, m.Field)
                column = self._column(selector.stream, node.name)
                used[column] = None
                return lambda values: values[column]

            test = compile_expr(selector.predicate, leaf)
            columns = tuple(used)
        self._compiled.append(Matcher(m.STREAMS.index(selector.stream), test, columns))
        return index

    def _mask(self, selectors: Sequence[m.Selector]) -> int:
        return sum(1 << index for index in {self._matcher(selector) for selector in selectors})

    # --- features --------------------------------------------------------------------------------

    def _note_retention(self, node: m.Expr) -> None:
        """A shared series keeps what its longest window needs."""
        match node:
            case m.Aggregate(op, selector, name, window, per) if window.kind != "ever":
                key = (per, _SERIES_KIND[op], selector, name)
                size_ms = window.size_ms or _PERIOD_MAX_MS[window.period]
            case m.Novel(selector, name, size_ms):
                key = (None, "values", selector, name)
            case _:
                return
        self._retention_ms[key] = max(size_ms, self._retention_ms.get(key, 0))

    def _feature(self, node: m.Expr) -> int:
        known = self._numbers.get(node)
        if known is None:
            known = self._numbers[node] = len(self._customer.features)
            self._customer.features.append(self._build(node, self._customer))
        return known

    def _entity_feature(self, node: m.Aggregate) -> tuple[str, int]:
        known = self._entity_numbers.get(node)
        if known is None:
            assert node.per is not None
            feature_set = self._entities[node.per]
            known = self._entity_numbers[node] = (node.per, len(feature_set.features))
            feature_set.features.append(self._build(node, feature_set))
        return known

    def _build(self, node: m.Expr, into: FeatureSet) -> Feature:
        match node:
            case m.Aggregate(op, selector, name, window, per):
                before = window.kind == "prior"
                if window.kind == "ever":
                    series = self._series(into, "totals", [selector], [name])
                    return Feature(series, op)
                kind = _SERIES_KIND[op]
                retention_ms = self._retention_ms[(per, kind, selector, name)]
                series = self._series(into, kind, [selector], [name], retention_ms=retention_ms)
                return Feature(series, op, window.kind, window.size_ms, window.period, window.timezone, before)
            case m.Latest(op, selector, name):
                return Feature(self._series(into, "latest", [selector], [name]), op, before=op == "prev")
            case m.Age(selector):
                return Feature(self._series(into, "latest", [selector], [None]), "age", before=True)
            case m.Novel(selector, name, within_ms):
                retention_ms = self._retention_ms[(None, "values", selector, name)]
                series = self._series(into, "values", [selector], [name], retention_ms=retention_ms)
                return Feature(series, "novel", "prior", within_ms, before=True)
            case m.Sequence(selectors, within_ms):
                series = self._series(into, "sequence", selectors, [None] * len(selectors))
                return Feature(series, "seq", "last", within_ms, before=True)
            case m.Streak():
                return Feature(self._streak(node, into), "streak")
        raise AssertionError(node)

    def _series(self, into: FeatureSet, kind: str, selectors: Sequence[m.Selector], names: Sequence[str | None],
                retention_ms: int = 0, period: str = "", timezone: str = "", ops: tuple[str, ...] = (),
                condition: Condition | None = None) -> int:  # fmt: skip
        columns = tuple(
            None if name is None else self._column(selector.stream, name)
            for selector, name in zip(selectors, names, strict=True)
        )
        matchers = tuple(self._matcher(selector) for selector in selectors)
        series = Series(kind, matchers, columns, retention_ms, period, timezone, ops, condition)
        if series in into.series:
            return into.series.index(series)
        into.series.append(series)
        return len(into.series) - 1

    def _streak(self, node: m.Streak, into: FeatureSet) -> int:
        if node.selector is not None:
            return self._series(into, "run", [node.selector], [None], period=node.period, timezone=node.timezone)
        assert node.condition is not None
        parts: list[m.Aggregate] = []

        def leaf(expr: m.Expr) -> Reader:
            assert isinstance(expr, m.Aggregate)
            if expr not in parts:
                parts.append(expr)
            index = parts.index(expr)
            return lambda totals: totals[index]

        test = compile_expr(node.condition, leaf)
        return self._series(
            into, "condition_run", [p.selector for p in parts], [p.field for p in parts],
            period=node.period, timezone=node.timezone, ops=tuple(p.op for p in parts),
            condition=lambda totals: bool(test(totals)),
        )  # fmt: skip

    # --- rules -----------------------------------------------------------------------------------

    def _rule(self, rule: m.Rule) -> RulePlan:
        read: set[int] = set()
        entity_read: set[tuple[str, int]] = set()

        def leaf(node: m.Expr) -> Reader:
            if isinstance(node, m.Aggregate) and node.per:
                number = self._entity_feature(node)
                entity_read.add(number)
                return lambda c: c.entity(number)
            if isinstance(node, _Aggregates):
                index = self._feature(node)
                read.add(index)
                return lambda c: c.feature(index)
            if isinstance(node, m.Rises):
                return _rises(node, compile_expr(node.condition, leaf))
            if isinstance(node, m.LetRef):
                return lets[node.name]
            return self._plain_leaf(node)

        lets: dict[str, Reader] = {}
        for name, expr in rule.lets:
            lets[name] = _let(name, compile_expr(expr, leaf))
        when = None if rule.when is None else compile_expr(rule.when, leaf)
        payloads = tuple(
            (action.kind, compile_payload(action.payload, lambda expr: compile_expr(expr, leaf)))
            for action in rule.actions
        )
        return RulePlan(
            rule=rule,
            trigger_mask=self._mask(rule.triggers),
            unless_mask=self._mask(rule.unless.selectors) if rule.unless else 0,
            before=tuple(sorted(i for i in read if self._customer.features[i].before)),
            entity_features=tuple(sorted(entity_read)),
            rises=sum(isinstance(node, m.Rises) for expr in _expressions(rule) for node in walk(expr)),
            lets=tuple(lets.items()),
            when=when,
            payloads=payloads,
        )

    def _plain_leaf(self, node: m.Expr) -> Reader:
        match node:
            case m.AnchorField(stream, name):
                code, column = m.STREAMS.index(stream), self._column(stream, name)
                return lambda c: c.values[column] if c.stream == code else None
            case m.ProfileField(name):
                column = self._column("profile", name)
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


def _rises(node: m.Rises, condition: Reader) -> Reader:
    slot = node.slot

    def read(c: Evaluation) -> bool:
        now = c.rises_now[slot] = bool(condition(c))
        return now and c.rose_before is not None and not c.rose_before[slot]

    return read


def _expressions(rule: m.Rule) -> list[m.Expr]:
    found = [expr for _, expr in rule.lets]
    if rule.when is not None:
        found.append(rule.when)

    def templates(node: Any) -> None:
        if isinstance(node, dict):
            for value in node.values():
                templates(value)
        elif isinstance(node, list | tuple):
            for item in node:
                templates(item)
        elif isinstance(node, m.Template):
            found.extend(part.expr for part in node.parts if isinstance(part, m.Slot))

    for action in rule.actions:
        templates(action.payload)
    return found
