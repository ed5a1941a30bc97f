"""Rules that let the engine itself tell what a rule saw of one customer.

A probe is a shadow rule that runs beside the others: its trigger is the rule's, for one customer only; its lets are
every part of the rule's condition. So what is explained was computed by the engine, at the same event, in the same
order and over the same state as the rule, and never by a second evaluator. A shadow rule emits nothing, counts for no
cap of others and opens no tickets: the other decisions are those of a run without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rules import model as m
from rules.evaluate import compile_expr
from rules.planner import OPT_OUT_KINDS
from rules.unparse import unparse
from rules.walk import children, expressions, selectors, walk

DISARMED, EVALUATED, EVIDENCE, SEEN = "explain:1", "explain:2", "explain:3:", "explain:4"
"""Ids of the probes (no rule's id has a colon), in the order in which they see one event, as rules of one priority go
by id: an event first disarms."""

WHEN = "when"
_PART = "part:"


@dataclass(frozen=True, slots=True)
class TriggerPart:
    """One of the conditions of a trigger's brackets that must all hold; ``name`` is that of its value in ``SEEN``.

    ``fields``: the names under which ``SEEN`` has the fields that it looks at, by field.
    """

    text: str
    name: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A selector of the rule's aggregates, and the number of its probe; ``fields`` are those worth showing."""

    selector: m.Selector
    fields: tuple[str, ...]
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes of one rule and customer.

    ``parts``: by expression, the name under which an evaluation has its value. ``triggers``: by trigger, its stream
    and the parts of its brackets.
    """

    rule: m.Rule
    customer_id: str
    rules: tuple[m.Rule, ...]
    parts: dict[m.Expr, str]
    evidence: tuple[Evidence, ...]
    triggers: tuple[tuple[str, tuple[TriggerPart, ...]], ...]


def make_probes(rule: m.Rule, customer_id: str, entities: Mapping[str, str] | None = None) -> Probes:
    """The probes of a rule for one customer.

    ``entities``: by ``per=`` field the value whose events, of all customers, are evidence too.
    """
    parts = {expr: f"{_PART}{number}" for number, expr in enumerate(_parts_of(rule))}
    lets = [(name, expr) for name, expr in rule.lets] + [(name, expr) for expr, name in parts.items()]
    if rule.when is not None:
        lets.append((WHEN + ":", rule.when))
    if any(action.kind in OPT_OUT_KINDS for action in rule.actions):
        lets.append(("profile:opt_out", m.ProfileField("opt_out")))
    mine = _is_customer(customer_id)
    for name in entity_fields(rule):
        lets += [(f"per:{name}:{one}", m.AnchorField(one, name)) for one in {s.stream: 0 for s in rule.triggers}]
    if rule.daily is None:
        evaluated = _probe(rule, EVALUATED, [_restricted(s, mine) for s in rule.triggers], lets)
    else:  # a tick has no event of its own to look at
        known = m.Aggregate("count", m.Selector("profile", mine), None, m.Window("ever"))
        only = m.Compare((">=",), (known, m.Literal.of(1)))
        evaluated = replace(_probe(rule, EVALUATED, (), lets), daily=rule.daily, each_holding=rule.each_holding,
                            when=only)  # fmt: skip
    rules = [evaluated]
    if rule.unless is not None:
        rules.append(_probe(rule, DISARMED, [_restricted(s, mine) for s in rule.unless.selectors], ()))
    evidence = tuple(_evidence(rule))
    for number, one in enumerate(evidence):
        whose = mine
        if one.per is not None and entities and one.per in entities:
            whose = m.Compare(("==",), (m.Field(one.per), m.Literal.of(entities[one.per])))
        stream = one.selector.stream
        shown = [(name, m.AnchorField(stream, name)) for name in (*one.fields, "customer_id")]
        rules.append(_probe(rule, f"{EVIDENCE}{number}", [_restricted(one.selector, whose)], shown))
    triggers, seen_lets = _trigger_parts(rule)
    rules.append(_probe(rule, SEEN, [m.Selector(stream, mine) for stream in m.STREAMS], seen_lets))
    return Probes(rule, customer_id, tuple(rules), parts, evidence, triggers)


def entity_fields(rule: m.Rule) -> list[str]:
    """The ``per=`` fields of a rule's aggregates."""
    nodes = (node for expr in expressions(rule) for node in walk(expr))
    return list(dict.fromkeys(node.per for node in nodes if isinstance(node, m.Aggregate) and node.per))


def _probe(rule: m.Rule, probe_id: str, triggers: Sequence[m.Selector], lets: Sequence[tuple[str, m.Expr]]) -> m.Rule:
    streams = {trigger.stream for trigger in triggers}
    anchor = [
        (f"{name}:{stream}", m.AnchorField(stream, name)) for stream in sorted(streams) for name in ("event_id", "ts")
    ]
    return m.Rule(
        id=probe_id, version=1, title="", status="shadow", rule_class="risk", priority=0, triggers=tuple(triggers),
        daily=None, each_holding=False, lets=(*lets, *anchor), when=None, unless=None, cooldown_ms=0,
        actions=(m.Action("tag", {}),), timezone=rule.timezone, position=rule.position,
    )  # fmt: skip


def _is_customer(customer_id: str) -> m.Expr:
    return m.Compare(("==",), (m.Field("customer_id"), m.Literal.of(customer_id)))


def _restricted(selector: m.Selector, whose: m.Expr) -> m.Selector:
    predicate = selector.predicate
    return m.Selector(selector.stream, whose if predicate is None else m.Logic("and", (whose, predicate)))


def _parts_of(rule: m.Rule) -> list[m.Expr]:
    """Every part of the condition and of the lets that has a value of its own, each once."""
    roots = [expr for _, expr in rule.lets] + ([] if rule.when is None else [rule.when])
    found = dict.fromkeys(part for root in roots for part in _inside(root))
    return [part for part in found if not isinstance(part, m.Literal | m.LetRef | m.ListExpr)]


def _inside(expr: m.Expr) -> Iterator[m.Expr]:
    yield expr
    if not isinstance(expr, m.Streak):  # what is in it has a value in each period, and none of its own
        for child in children(expr):
            yield from _inside(child)


def fields_of(expr: m.Expr | None) -> list[str]:
    """The fields that a selector's brackets look at, each once."""
    nodes = [] if expr is None else walk(expr)
    return list(dict.fromkeys(node.name for node in nodes if isinstance(node, m.Field)))


def _evidence(rule: m.Rule) -> Iterator[Evidence]:
    """The selectors of everything that the rule's expressions remember, each once."""
    found: dict[tuple[m.Selector, str | None], dict[str, None]] = {}
    for expr in expressions(rule):
        for node in walk(expr):
            per = node.per if isinstance(node, m.Aggregate) else None
            for selector in selectors(node):
                names = found.setdefault((selector, per), dict.fromkeys(fields_of(selector.predicate)))
                field = getattr(node, "field", None)
                names.update(dict.fromkeys(name for name in (field, per) if isinstance(name, str)))
    hidden = ("customer_id", "event_id", "ts")
    for (selector, per), names in found.items():
        yield Evidence(selector, tuple(name for name in names if name not in hidden), per)


def conjuncts(expr: m.Expr | None) -> tuple[m.Expr, ...]:
    """The parts that must all hold.

    >>> [unparse(part) for part in conjuncts(m.Logic("and", (m.Field("a"), m.Field("b"))))]
    ['a', 'b']
    """
    if isinstance(expr, m.Logic) and expr.op == "and":
        return tuple(part for operand in expr.operands for part in conjuncts(operand))
    return () if expr is None else (expr,)


def _trigger_parts(
    rule: m.Rule,
) -> tuple[tuple[tuple[str, tuple[TriggerPart, ...]], ...], list[tuple[str, m.Expr]]]:
    lets: dict[str, m.Expr] = {}
    triggers = []
    for number, trigger in enumerate(rule.triggers):
        parts = []
        for place, part in enumerate(conjuncts(trigger.predicate)):
            name = f"{_PART}{number}.{place}"
            lets[name] = of_anchor(part, trigger.stream)
            fields = {field: f"{trigger.stream}.{field}" for field in fields_of(part)}
            lets |= {shown: m.AnchorField(trigger.stream, field) for field, shown in fields.items()}
            parts.append(TriggerPart(unparse(part), name, fields))
        triggers.append((trigger.stream, tuple(parts)))
    return tuple(triggers), list(lets.items())


def of_anchor(expr: m.Expr, stream: str) -> m.Expr:
    """What a selector's brackets say of a candidate, said of the anchor.

    >>> unparse(of_anchor(m.Compare(("==",), (m.Field("page"), m.Literal.of("home"))), "click"))
    'click.page == "home"'
    """
    match expr:
        case m.Field(name):
            return m.AnchorField(stream, name)
        case m.ListExpr(items):
            return m.ListExpr(tuple(of_anchor(item, stream) for item in items))
        case m.Unary(op, operand):
            return m.Unary(op, of_anchor(operand, stream))
        case m.Arithmetic(op, left, right):
            return m.Arithmetic(op, of_anchor(left, stream), of_anchor(right, stream))
        case m.Logic(op, operands):
            return m.Logic(op, tuple(of_anchor(operand, stream) for operand in operands))
        case m.Compare(ops, operands):
            return m.Compare(ops, tuple(of_anchor(operand, stream) for operand in operands))
        case m.Call(function, args, timezone):
            return m.Call(function, tuple(of_anchor(arg, stream) for arg in args), timezone)
    return expr


def constant(expr: m.Expr) -> object:
    """The value of a literal or of a list of literals."""
    return compile_expr(expr, lambda _: lambda _: None)(None)
