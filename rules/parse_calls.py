"""Calls of any function, and those of scalar functions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import re2

from rules.diagnostics import nearest, shown
from rules.durations import DURATION_HINT, duration_hint, parse_duration_ms
from rules.functions import (
    AGGREGATES,
    ALL,
    SCALARS,
    SELECTOR_FUNCTIONS,
    WINDOWED,
    ZONED,
)
from rules.habits import HABITS, habit
from rules.model import (
    Call,
    Expr,
    Literal,
)
from rules.parse_aggregates import OTHERS, windowed
from rules.parse_arguments import count_is_wrong, keywords_of, literal_text

if TYPE_CHECKING:
    from rules.parse import Parser


_FOREIGN = {"avg": "mean", "average": "mean", "stddev": "std", "length": "len", "isnull": "is_null", "nvl": "coalesce"}
_ADVICE = {"contains": 'write `"…" in field`', "exists": "write `count(…) > 0`", "now": "the time is `ts`"}

_RE2_OPTIONS = re2.Options()
_RE2_OPTIONS.log_errors = False


def call(parser: Parser, node: ast.Call) -> Expr:
    """The node for a call of any function."""
    if not isinstance(node.func, ast.Name):
        return parser.fail("E202", node, "only functions can be called", _method_hint(node.func))
    name = node.func.id
    if name in HABITS:
        return habit(parser, node, name)
    if name not in ALL:
        known = sorted(SELECTOR_FUNCTIONS if parser.stream is not None else ALL)
        meant = _FOREIGN.get(name) or nearest(name, known)
        hint = _ADVICE.get(name) or (f"did you mean `{meant}`?" if meant else None)
        parser.fail("E204", node, f"unknown function {shown(name)}", hint)
        if meant is None:
            return parser.bad()
        name = meant  # read on as what it probably means, to find the problems of its arguments too
    starred: list[ast.expr] = [arg for arg in node.args if isinstance(arg, ast.Starred)]
    if starred or any(keyword.arg is None for keyword in node.keywords):
        return parser.fail("E202", starred[0] if starred else node, "`*` in a call is not part of the language")
    if parser.stream is not None and name not in SELECTOR_FUNCTIONS:
        what = "aggregates" if name in AGGREGATES and len(node.args) < 2 else f"`{name}`"
        hint = "in brackets: " + ", ".join(sorted(SELECTOR_FUNCTIONS))
        return parser.fail("E210", node, f"a selector can't use {what}", hint)
    keywords = keywords_of(parser, node, name)
    if name in ("min", "max"):
        return _scalar(parser, node, name, keywords) if len(node.args) > 1 else windowed(parser, node, name, keywords)
    if name in SCALARS:
        return _scalar(parser, node, name, keywords)
    if name in WINDOWED:
        return windowed(parser, node, name, keywords)
    return OTHERS[name](parser, node, keywords)


def _method_hint(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute) and function.attr in ALL:
        return f"write {function.attr}(…)"
    return None


def _scalar(parser: Parser, node: ast.Call, name: str, keywords: dict[str, ast.expr]) -> Expr:
    if count_is_wrong(parser, node, name, *SCALARS[name]):
        for arg in node.args:
            parser.value(arg)
        return parser.bad()
    if name in ("min", "max") and keywords:
        hint = f"an aggregate takes one argument: {name}(stream.field, …)"
        return parser.fail("E205", node, f"{name} of several values takes no keywords", hint)
    if name == "seconds":
        return _seconds(parser, node)
    if name == "days_until" and "yearly" in keywords:
        flag = keywords["yearly"]
        if not isinstance(flag, ast.Constant) or not isinstance(flag.value, bool):
            return parser.fail("E205", flag, "yearly is True or False")
        if flag.value:
            name = "days_until_yearly"
    if name == "matches":
        args = (parser.value(node.args[0]), _pattern(parser, node.args[1]))
    else:
        args = tuple(parser.value(arg) for arg in node.args)  # type: ignore[assignment]
    return Call(name, args, parser.scope.timezone if name in ZONED else "")


def _seconds(parser: Parser, node: ast.Call) -> Expr:
    text = literal_text(node.args[0])
    size_ms = None if text is None else parse_duration_ms(text)
    if text is not None and size_ms is None:
        return parser.fail("E308", node.args[0], f"{shown(text)} is no duration", duration_hint(text))
    if size_ms is None:
        return parser.fail("E308", node.args[0], "seconds takes a duration in quotes", DURATION_HINT)
    return Literal.of(size_ms / 1000 if size_ms % 1000 else size_ms // 1000)


def _pattern(parser: Parser, node: ast.expr) -> Expr:
    text = literal_text(node)
    if text is None:
        return parser.fail("E209", node, "the pattern of matches must be a text in quotes")
    try:
        re2.compile(text, _RE2_OPTIONS)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        foreign = "perl operator" in reason or "escape sequence" in reason
        hint = "look-around and back-references don't exist" if foreign else None
        return parser.fail("E209", node, f"the pattern is not RE2: {reason}", hint)
    return parser.placed(Literal.of(text), node)
