"""Expressions as text again, in the rule language: for people, and as names that outlive a plan's numbers.

Equal expressions have equal texts, and a text parses to the expression that it was made of (``{x}`` of a let to the
name alone).
"""

from __future__ import annotations

import json
from typing import Any

from rules import model as m
from rules.habits import Habit

_UNITS_MS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_PRECEDENCE = {"or": 1, "and": 2, "not": 3, "compare": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "negate": 7}
_ATOM = 8


def duration_text(size_ms: int) -> str:
    """A duration as rule files have it.

    >>> duration_text(604_800_000), duration_text(90_000), duration_text(86_400_000 * 8)
    ('7d', '90s', '8d')
    """
    for unit, unit_ms in _UNITS_MS[1:]:
        if size_ms and size_ms % unit_ms == 0:
            return f"{size_ms // unit_ms}{unit}"
    return f"{size_ms}ms"


def selector_text(selector: m.Selector) -> str:
    """``stream`` or ``stream[predicate]``."""
    return selector.stream if selector.predicate is None else f"{selector.stream}[{unparse(selector.predicate)}]"


def unparse(expr: m.Expr) -> str:
    """The text of an expression.

    >>> unparse(m.Aggregate("sum", m.Selector("txn"), "amount", m.Window("last", 3_600_000)))
    'sum(txn.amount, last="1h")'
    """
    return _text(expr)[0]


def _text(expr: m.Expr) -> tuple[str, int]:
    """The text and how strongly it binds."""
    match expr:
        case m.Literal(value):
            return _literal(value), _ATOM if not isinstance(value, int | float) or value >= 0 else _PRECEDENCE["negate"]
        case m.ListExpr(items):
            return f"[{', '.join(map(unparse, items))}]", _ATOM
        case m.Unary("not", operand):
            return f"not {_within(operand, _PRECEDENCE['not'])}", _PRECEDENCE["not"]
        case m.Unary(_, operand):
            return f"-{_within(operand, _PRECEDENCE['negate'])}", _PRECEDENCE["negate"]
        case m.Arithmetic(op, left, right):
            own = _PRECEDENCE[op]
            return f"{_within(left, own)} {op} {_within(right, own + 1)}", own
        case m.Logic(op, operands):
            own = _PRECEDENCE[op]
            return f" {op} ".join(_within(operand, own + 1) for operand in operands), own
        case m.Compare(ops, operands):
            own = _PRECEDENCE["compare"]
            first, *others = [_within(operand, own + 1) for operand in operands]
            return first + "".join(f" {op} {other}" for op, other in zip(ops, others, strict=True)), own
        case _:
            return _leaf(expr), _ATOM


def _within(expr: m.Expr, least: int) -> str:
    text, own = _text(expr)
    return text if own >= least else f"({text})"


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return repr(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _leaf(expr: m.Expr) -> str:
    match expr:
        case m.Field(name) | m.LetRef(name):
            return name
        case m.AnchorField(stream, name):
            return f"{stream}.{name}"
        case m.ProfileField(name):
            return f"profile.{name}"
        case m.HoldingField(name):
            return f"holding.{name}"
        case m.EvalTime():
            return "ts"
        case m.Call("days_until_yearly", args):
            return f"days_until({', '.join(map(unparse, args))}, yearly=True)"
        case m.Call(function, args):
            return f"{function}({', '.join(map(unparse, args))})"
        case m.Rises(condition):
            return f"rises({unparse(condition)})"
        case m.Score(model):
            return f"score({_literal(model)})"
    return aggregate_text(expr)


def aggregate_text(expr: m.Expr) -> str:
    """An aggregate over a customer's (or an entity's) events."""
    match expr:
        case m.Aggregate(op, selector, name, window, per):
            of = selector_text(selector) if name is None else f"{selector_text(selector)}.{name}"
            by = "" if per is None else f", per={_literal(per)}"
            return f"{op}({of}{_window(window)}{by})"
        case m.Latest(op, selector, name):
            return f"{op}({selector_text(selector)}.{name})"
        case Habit(op, selector, name):
            return f"{op}({selector_text(selector)}{'' if name is None else f'.{name}'})"
        case m.Age(selector):
            return f"age({selector_text(selector)})"
        case m.Novel(selector, name, within_ms):
            return f'novel({selector_text(selector)}.{name}, prior="{duration_text(within_ms)}")'
        case m.Sequence(selectors, within_ms):
            return f'seq({", ".join(map(selector_text, selectors))}, last="{duration_text(within_ms)}")'
        case m.Streak(selector, condition, period):
            of = unparse(condition) if condition is not None else selector_text(_given(selector))
            return f'streak({of}, by="{period}")'
    raise AssertionError(expr)


def _given(selector: m.Selector | None) -> m.Selector:
    assert selector is not None
    return selector


def _window(window: m.Window) -> str:
    if window.kind == "ever":
        return ""
    return f', {window.kind}="{duration_text(window.size_ms) if window.kind != "this" else window.period}"'
