"""Ways through expression nodes that do not depend on what the nodes mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from rules.model import (
    Age,
    Aggregate,
    AnchorField,
    Call,
    EvalTime,
    Expr,
    Field,
    HoldingField,
    Latest,
    LetRef,
    Novel,
    ProfileField,
    Rule,
    Score,
    Selector,
    Sequence,
    Slot,
    Streak,
    Template,
    Unary,
)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def children(expr: Expr) -> list[Expr]:
    """The expressions directly inside ``expr``, without those in selectors' brackets."""
    return [part for f in fields(expr) for part in _flat(getattr(expr, f.name)) if isinstance(part, Expr)]


def selectors(expr: Expr) -> list[Selector]:
    """The selectors directly inside ``expr``."""
    return [part for f in fields(expr) for part in _flat(getattr(expr, f.name)) if isinstance(part, Selector)]


def walk(expr: Expr) -> Iterator[Expr]:
    """``expr`` and all expressions inside, without those in selectors' brackets."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def template_slots(payload: Any) -> Iterator[Slot]:
    """Every slot of every template in ``payload``, in the order of the text."""
    if isinstance(payload, dict):
        for value in payload.values():
            yield from template_slots(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from template_slots(value)
    elif isinstance(payload, Template):
        yield from (part for part in payload.parts if isinstance(part, Slot))


def expressions(rule: Rule) -> Iterator[Expr]:
    """The rule's expressions outside selectors: lets, ``when``, template slots."""
    yield from (expr for _, expr in rule.lets)
    if rule.when is not None:
        yield rule.when
    for action in rule.actions:
        yield from (slot.expr for slot in template_slots(action.payload))


def rule_selectors(rule: Rule) -> Iterator[Selector]:
    """Every selector of the rule: triggers, ``unless`` and those in expressions."""
    yield from rule.triggers
    if rule.unless is not None:
        yield from rule.unless.selectors
    for expr in expressions(rule):
        for node in walk(expr):
            yield from selectors(node)


def words(expr: Expr) -> str:
    """A short name of ``expr`` for a message."""
    match expr:
        case Field(name) | LetRef(name):
            return f"`{name}`"
        case AnchorField(stream, name):
            return f"`{stream}.{name}`"
        case ProfileField(name):
            return f"`profile.{name}`"
        case HoldingField(name):
            return f"`holding.{name}`"
        case EvalTime():
            return "`ts`"
        case Aggregate(op=op) | Latest(op=op):
            return f"`{op}(…)`"
        case Age():
            return "`age(…)`"
        case Novel():
            return "`novel(…)`"
        case Sequence():
            return "`seq(…)`"
        case Streak():
            return "`streak(…)`"
        case Score():
            return "`score(…)`"
        case Unary(op="not"):
            return "`not …`"
    return f"`{expr.function.removesuffix('_yearly')}(…)`" if isinstance(expr, Call) else "this value"
