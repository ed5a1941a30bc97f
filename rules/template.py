"""Payload templates: ``{expression}``, ``{expression:format}``, ``{{`` and ``}}``."""

from __future__ import annotations

import re

from rules.diagnostics import shown
from rules.model import Position, Slot, Template
from rules.parse import parse_expression
from rules.scope import ExprText, Scope

MAX_WIDTH = 999
"""Largest width or precision in a format: a larger one would be a way to fill the memory."""

_NUMBER = re.compile(r"\d+")
_FORMAT_HINT = "such as {n:,.2f}, {n:05d} or {n:>8}"
_SAMPLES: tuple[int | float | str, ...] = (1, 1.5, "x", True)
_BRACE_HINT = "a brace itself is written {{ or }}"


def parse_template(text: ExprText, scope: Scope) -> str | Template:
    """The template in ``text``; a plain string, braces unescaped, if it has no slot.

    Problems go to ``scope.problems``; the result then has no meaning.
    """
    parts: list[str | Slot] = []
    literal: list[str] = []
    at, source = 0, text.text
    while at < len(source):
        char = source[at]
        if char not in "{}":
            literal.append(char)
            at += 1
        elif source[at + 1 : at + 2] == char:
            literal.append(char)
            at += 2
        elif char == "}":
            scope.problems.add("E401", text.place_of(at), "`}` without `{`", _BRACE_HINT)
            at += 1
        else:
            end = source.find("}", at)
            if end < 0:
                scope.problems.add("E401", text.place_of(at), "`{` without `}`", _BRACE_HINT)
                break
            if literal:
                parts.append("".join(literal))
                literal = []
            slot = _slot(text, at + 1, end, scope)
            if slot is not None:
                parts.append(slot)
            at = end + 1
    if not parts:
        return "".join(literal)
    return Template((*parts, "".join(literal)) if literal else tuple(parts))


def _slot(text: ExprText, start: int, end: int, scope: Scope) -> Slot | None:
    """The slot between the braces at ``start - 1`` and ``end``."""
    inside = text.text[start:end]
    brace = inside.find("{")
    if brace >= 0:
        scope.problems.add("E401", text.place_of(start + brace), "a brace inside `{…}`", _BRACE_HINT)
        return None
    expression, _, form = inside.partition(":")
    if not expression.strip():
        scope.problems.add("E402", text.place_of(start - 1), "`{}` holds no expression", _BRACE_HINT)
        return None
    if expression.count('"') % 2 or expression.count("'") % 2:
        message = f"the expression {shown(expression)} ends inside a string"
        scope.problems.add(
            "E201", text.place_of(start), message, "in a template it can't hold `:` or a brace: use a let"
        )
        return None
    before = scope.problems.errors
    for number in _NUMBER.finditer(form):
        if len(number[0].lstrip("0")) > len(str(MAX_WIDTH)):
            place = text.place_of(start + len(expression) + 1 + number.start())
            scope.problems.add("E403", place, f"a format's width and precision are at most {MAX_WIDTH}")
    if scope.problems.errors == before:
        _check_format(form, text.place_of(start + len(expression) + 1), scope)
    expr = parse_expression(text.part(start, start + len(expression)), scope, in_template=True)
    return None if expr is None else Slot(expr, form)


def _check_format(form: str, place: Position, scope: Scope) -> None:
    if form and not any(_fits(form, value) for value in _SAMPLES):
        scope.problems.add("W401", place, f"the format {shown(form)} fits no value and is ignored", _FORMAT_HINT)


def _fits(form: str, value: int | float | str) -> bool:
    try:
        format(value, form)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
