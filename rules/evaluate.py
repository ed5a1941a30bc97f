"""Turns expression nodes into Python closures.

Operators and functions are compiled here; what a leaf means (an event's field, an aggregate, a let) is the
caller's: it passes ``leaf``, which gives a reader of the caller's own context for each such node.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any
from zoneinfo import ZoneInfo

import re2

from rules import model as m
from rules import values as v
from rules.walk import walk

Reader = Callable[[Any], Any]
"""Takes the caller's context, gives the value."""

Leaf = Callable[[m.Expr], Reader]


def compile_expr(expr: m.Expr, leaf: Leaf) -> Reader:
    """Compile ``expr`` to a reader; nodes that are no operator, literal or scalar function go to ``leaf``."""
    match expr:
        case m.Literal(value):
            return lambda _: value
        case m.ListExpr(items):
            readers = [compile_expr(item, leaf) for item in items]
            if all(isinstance(item, m.Literal) for item in items):
                constant = [r(None) for r in readers]
                return lambda _: constant
            return lambda c: [r(c) for r in readers]
        case m.Unary("not", operand):
            inner = compile_expr(operand, leaf)
            return lambda c: not inner(c)
        case m.Unary(_, operand):
            inner = compile_expr(operand, leaf)
            return lambda c: v.negate(inner(c))
        case m.Arithmetic(op, left, right):
            operate, a, b = v.ARITHMETIC[op], compile_expr(left, leaf), compile_expr(right, leaf)
            return lambda c: operate(a(c), b(c))
        case m.Logic():
            return _logic(expr, leaf)
        case m.Compare():
            return _compare(expr, leaf)
        case m.Call():
            return _call(expr, leaf)
        case _:
            return leaf(expr)


def _logic(expr: m.Logic, leaf: Leaf) -> Reader:
    readers = [compile_expr(operand, leaf) for operand in expr.operands]
    settles = expr.op == "or"  # the truth of an operand that settles the result
    if any(isinstance(node, m.Rises) for node in walk(expr)):
        # `rises` remembers at every evaluation, so every operand must be looked at

        def eager(c: Any) -> bool:
            truths = [bool(r(c)) for r in readers]
            return any(truths) if settles else all(truths)

        return eager
    if len(readers) == 2:
        a, b = readers
        if settles:
            return lambda c: bool(a(c)) or bool(b(c))
        return lambda c: bool(a(c)) and bool(b(c))

    def lazy(c: Any) -> bool:
        for r in readers:
            if bool(r(c)) is settles:
                return settles
        return not settles

    return lazy


def _compare(expr: m.Compare, leaf: Leaf) -> Reader:
    readers = [compile_expr(operand, leaf) for operand in expr.operands]
    tests = [v.COMPARISONS[op] for op in expr.ops]
    if len(tests) == 1:
        test, a, b = tests[0], readers[0], readers[1]
        return _compare_with(expr.ops[0], a, expr.operands[1]) or (lambda c: test(a(c), b(c)))

    def chain(c: Any) -> bool:
        xs = [r(c) for r in readers]
        return all(test(x, y) for test, x, y in zip(tests, xs, xs[1:], strict=False))

    return chain


_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def _compare_with(op: str, a: Reader, right: m.Expr) -> Reader | None:
    """The commonest comparisons, with a literal text or number, without the general ones' look at both types."""
    if not isinstance(right, m.Literal):
        return None
    literal = right.value
    if op == "==" and type(literal) is str:
        return lambda c: a(c) == literal  # a text equals only a text
    if op not in _ORDERINGS or not v.is_number(literal):
        return None
    holds = _ORDERINGS[op]

    def test(c: Any) -> bool:
        x = a(c)
        return (type(x) is int or type(x) is float) and holds(x, literal)

    return test


def _call(expr: m.Call, leaf: Leaf) -> Reader:
    name = expr.function
    args = [compile_expr(arg, leaf) for arg in expr.args]
    if name == "matches":
        return _matches(expr, args[0])
    if name == "is_null":
        return lambda c: args[0](c) is None
    if expr.timezone:
        zone = ZoneInfo(expr.timezone)
        if name.startswith("days_until"):
            until = v.days_until if name == "days_until" else v.days_until_yearly
            now = leaf(m.EvalTime())
            return lambda c: until(args[0](c), now(c), zone)
        clock = v.hour if name == "hour" else v.weekday
        return lambda c: clock(args[0](c), zone)
    functions: dict[str, Callable[..., Any]] = {
        "abs": v.absolute,
        "min": v.minimum,
        "max": v.maximum,
        "round": v.rounded if len(args) == 2 else v.rounded_whole,
        "lower": v.lowered,
        "len": v.length,
        "startswith": v.starts_with,
        "endswith": v.ends_with,
        "coalesce": v.coalesce,
    }
    function = functions[name]
    if len(args) == 1:
        only = args[0]
        return lambda c: function(only(c))
    return lambda c: function(*[a(c) for a in args])


def _matches(expr: m.Call, subject: Reader) -> Reader:
    pattern_node = expr.args[1]
    assert isinstance(pattern_node, m.Literal)
    pattern = re2.compile(pattern_node.value)

    def test(c: Any) -> Any:
        s = subject(c)
        if type(s) is not str:
            return False if s is None else None
        return pattern.search(s) is not None

    return test
