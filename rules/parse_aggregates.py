"""Calls of aggregates: what looks at a customer's events, not only at the values in the text."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from rules.functions import (
    STREAK_AGGREGATES,
)
from rules.model import (
    Age,
    Aggregate,
    Arithmetic,
    Compare,
    Expr,
    Latest,
    Literal,
    Novel,
    Rises,
    Score,
    Selector,
    Sequence,
    Streak,
    Unary,
)
from rules.parse_arguments import (
    bare_selector,
    count_is_wrong,
    literal_text,
    per_of,
    period_of,
    required_duration,
    selector_field,
    stream_of,
    window_of,
)

if TYPE_CHECKING:
    from rules.parse import Parser


def windowed(parser: Parser, node: ast.Call, name: str, keywords: dict[str, ast.expr]) -> Expr:
    """``count``, ``sum``, … with their windows and ``per``."""
    wrong = count_is_wrong(parser, node, name, 1, 1)
    if wrong:
        return wrong
    selector: Selector | None
    field = None
    if name == "count":
        selector = bare_selector(parser, node.args[0], name)
    else:
        selector, field = selector_field(parser, node.args[0], name)
    window = window_of(parser, keywords)
    per = per_of(parser, keywords["per"], selector) if "per" in keywords else None
    if window is not None and window.kind == "ever" and not parser.in_streak:
        if name == "distinct":
            parser.fail("E303", node, "distinct needs a window", 'such as last="7d"')
        elif "per" in keywords:
            parser.fail("E303", node, "per needs a window", 'such as last="7d"')
    if "per" in keywords and parser.scope.daily:
        parser.fail("E305", keywords["per"], "per is not for date rules: there is no anchor")
    if selector is None or window is None:
        return parser.bad()
    return Aggregate(name, selector, field, window, per)


def _latest(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr], op: str) -> Expr:
    wrong = count_is_wrong(parser, node, op, 1, 1)
    if wrong:
        return wrong
    selector, field = selector_field(parser, node.args[0], op)
    return Latest(op, selector, field) if selector is not None else parser.bad()


def _last(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    return _latest(parser, node, keywords, "last")


def _prev(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    return _latest(parser, node, keywords, "prev")


def _age(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = count_is_wrong(parser, node, "age", 1, 1)
    if wrong:
        return wrong
    selector = bare_selector(parser, node.args[0], "age")
    return Age(selector) if selector is not None else parser.bad()


def _novel(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = count_is_wrong(parser, node, "novel", 1, 1)
    if wrong:
        return wrong
    selector, field = selector_field(parser, node.args[0], "novel")
    within_ms = required_duration(parser, node, keywords, "novel", "prior")
    return Novel(selector, field, within_ms) if selector and within_ms is not None else parser.bad()


def _sequence(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = count_is_wrong(parser, node, "seq", 2, 1000)
    if wrong:
        return wrong
    selectors = [bare_selector(parser, arg, "seq") for arg in node.args]
    within_ms = required_duration(parser, node, keywords, "seq", "last")
    good = tuple(selector for selector in selectors if selector is not None)
    if within_ms is None or len(good) < len(selectors):
        return parser.bad()
    return Sequence(good, within_ms)


def _rises(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = count_is_wrong(parser, node, "rises", 1, 1)
    if wrong:
        return wrong
    if parser.in_template:
        return parser.fail("E214", node, "a template can't use `rises`", "name it in a let")
    condition = parser.value(node.args[0])
    slot = parser.scope.rises_slots
    parser.scope.rises_slots += 1
    return Rises(condition, slot)


def _score(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = count_is_wrong(parser, node, "score", 1, 1)
    if wrong:
        return wrong
    name = literal_text(node.args[0])
    if not name:
        return parser.fail("E205", node.args[0], "score takes a model's name in quotes")
    return Score(name)


def _streak(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = count_is_wrong(parser, node, "streak", 1, 1)
    if wrong:
        return wrong
    if parser.in_streak:
        return parser.fail("E306", node, "a streak inside a streak")
    period = None
    if "by" in keywords:
        period = period_of(parser, keywords["by"], "by")
    else:
        parser.fail("E303", node, "streak needs its period", 'such as by="day"')
    arg = node.args[0]
    timezone = parser.scope.timezone
    selector, condition = None, None
    if isinstance(arg, ast.Compare):
        condition = _streak_condition(parser, arg)
    elif stream_of(arg) is not None or isinstance(arg, ast.Subscript):
        selector = bare_selector(parser, arg, "streak")
    else:
        parser.fail(
            "E306", arg, "streak takes a selector or a comparison", 'such as streak(sum(txn.amount) > 1000, by="month")'
        )
    if period is None or (selector is None and condition is None):
        return parser.bad()
    return Streak(selector, condition, period, timezone)


def _streak_condition(parser: Parser, node: ast.Compare) -> Expr | None:
    before = parser.scope.problems.errors
    parser.in_streak = True
    try:
        condition = parser.value(node)
    finally:
        parser.in_streak = False
    if parser.scope.problems.errors > before:
        return None
    assert isinstance(condition, Compare)
    hint = "it compares arithmetic over count, sum, min, max (without a window) and numbers"
    found: list[Aggregate] = []
    if any(op in ("in", "not in") for op in condition.ops):
        parser.fail("E306", node, "`in` inside a streak", hint)
    for operand in condition.operands:
        for wrong, message in _wrong_in_streak(operand, found):
            parser.fail_at("E306", wrong, message, hint)
    if not found and parser.scope.problems.errors == before:
        parser.fail("E306", node, "the streak's condition counts no events", hint)
    return condition if parser.scope.problems.errors == before else None


def _wrong_in_streak(expr: Expr, found: list[Aggregate]) -> list[tuple[Expr, str]]:
    """The outermost parts of ``expr`` that a streak's condition can't have; its aggregates go to ``found``."""
    if isinstance(expr, Arithmetic):
        return _wrong_in_streak(expr.left, found) + _wrong_in_streak(expr.right, found)
    if isinstance(expr, Unary) and expr.op == "-":
        return _wrong_in_streak(expr.operand, found)
    if isinstance(expr, Literal) and expr.type_name in ("int", "float"):
        return []
    if isinstance(expr, Aggregate):
        found.append(expr)
        if expr.op not in STREAK_AGGREGATES:
            return [(expr, f"{expr.op} inside a streak")]
        if expr.window.kind != "ever":
            return [(expr, "a window inside a streak: the period is the window")]
        return [(expr, "per inside a streak")] if expr.per is not None else []
    return [(expr, "this can't stand inside a streak")]


OTHERS: dict[str, Callable[[Parser, ast.Call, dict[str, ast.expr]], Expr]] = {
    "last": _last,
    "prev": _prev,
    "age": _age,
    "novel": _novel,
    "seq": _sequence,
    "streak": _streak,
    "rises": _rises,
    "score": _score,
}
