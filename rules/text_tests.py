"""Tests of texts in conditions: programs know nothing of texts, so a test of one event's fields becomes a matcher."""

from __future__ import annotations

from collections.abc import Mapping

from rules import model as m
from rules.fields import FIELDS, HOLDING_FIELDS
from rules.walk import children

_NUMERIC_CALLS = ("abs", "min", "max")

THE_CUSTOMERS_PROFILE = "profile of the customer"
"""Stands for the stream where an expression looks at the customer's attributes."""


class NotCompiledError(Exception):
    """A part of a condition has no instructions."""


def is_textual(expr: m.Expr, lets: Mapping[str, m.Expr]) -> bool:
    """Whether it looks at texts (or lists), which programs know nothing of."""
    match expr:
        case m.LetRef(name):
            return is_textual(lets[name], lets)
        case m.Literal(value):
            return isinstance(value, str)
        case m.AnchorField(stream, name):
            return FIELDS[stream].get(name) in ("string", "list")
        case m.ProfileField(name):
            return FIELDS["profile"].get(name) in ("string", "list")
        case m.HoldingField(name):
            return HOLDING_FIELDS.get(name) == "string"
        case m.Call(function, (m.ProfileField() | m.HoldingField(),)) if function.startswith("days_until"):
            return False
        case m.Call(function) if function not in (*_NUMERIC_CALLS, "is_null", "coalesce", "hour", "weekday"):
            return True
        case _:
            return any(is_textual(child, lets) for child in children(expr))


def as_predicate(expr: m.Expr, lets: Mapping[str, m.Expr], streams: set[str]) -> m.Expr:
    """The expression as it would stand in a selector's brackets."""
    match expr:
        case m.LetRef(name):
            return as_predicate(lets[name], lets, streams)
        case m.AnchorField(stream, name):
            streams.add(stream)
            return m.Field(name)
        case m.ProfileField(name):
            streams.add(THE_CUSTOMERS_PROFILE)
            return m.Field(name)
        case m.Literal():
            return expr
        case m.ListExpr(items):
            return m.ListExpr(tuple(as_predicate(item, lets, streams) for item in items))
        case m.Unary(op, operand):
            return m.Unary(op, as_predicate(operand, lets, streams))
        case m.Arithmetic(op, left, right):
            return m.Arithmetic(op, as_predicate(left, lets, streams), as_predicate(right, lets, streams))
        case m.Logic(op, operands):
            return m.Logic(op, tuple(as_predicate(operand, lets, streams) for operand in operands))
        case m.Compare(ops, operands):
            return m.Compare(ops, tuple(as_predicate(operand, lets, streams) for operand in operands))
        case m.Call(function, args, timezone) if not function.startswith("days_until"):
            return m.Call(function, tuple(as_predicate(arg, lets, streams) for arg in args), timezone)
    raise NotCompiledError
