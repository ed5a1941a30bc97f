"""A rule's condition with the values that the engine gave to its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.explain.probes import constant
from flows.words import value_text
from rules import model as m
from rules.unparse import unparse

_DECIDES = m.Logic | m.Compare | m.Rises


@dataclass(frozen=True, slots=True)
class Line:
    """One part of the condition: how deep it lies, its text, whether it holds, and the values in it by their text.

    ``holds`` is null where that takes an event.
    """

    depth: int
    text: str
    holds: bool | None
    values: dict[str, Any]


class Condition:
    """The condition of a rule at one evaluation.

    ``parts``: by expression the name of its value in ``values``, as the probes have them. ``first``: there was no
    evaluation before.
    """

    def __init__(
        self, rule: m.Rule, parts: Mapping[m.Expr, str], values: Mapping[str, Any], *, first: bool = False
    ) -> None:
        self._first = first
        self._rule, self._parts, self._values = rule, parts, values
        self._lets = dict(rule.lets)

    def value(self, expr: m.Expr) -> Any:
        """What the engine had for an expression."""
        if isinstance(expr, m.LetRef):
            return self._values.get(expr.name)
        name = self._parts.get(expr)
        return self._values.get(name) if name is not None else constant(expr)

    def holds(self, expr: m.Expr) -> bool | None:
        """Whether it counts as true; null where that is not known."""
        return bool(self.value(expr))

    def is_known(self, expr: m.Expr) -> bool:
        """Whether there is a value for an expression; what it may be, nothing among it, is a value too."""
        return True

    def lines(self) -> list[Line]:
        """The parts of ``when``, those inside others after them."""
        return [] if self._rule.when is None else list(self._lines(self._rule.when, 0))

    def _lines(self, expr: m.Expr, depth: int) -> Iterator[Line]:
        match expr:
            case m.Logic("and", operands) if depth == 0:
                for operand in operands:
                    yield from self._lines(operand, 0 if not isinstance(operand, m.Logic) else 1)
                return
            case m.Logic(op, operands):
                yield Line(depth, "all of these" if op == "and" else "at least one of these", self.holds(expr), {})
                for operand in operands:
                    yield from self._lines(operand, depth + 1)
                return
        yield Line(depth, unparse(expr), self.holds(expr), self.inputs(expr))
        inner = self._conditional(expr)
        if inner is not None:
            yield from self._lines(inner, depth + 1)

    def _conditional(self, expr: m.Expr) -> m.Expr | None:
        """The condition behind a let's name, or inside ``not`` and ``rises``, if it is worth its own lines."""
        match expr:
            case m.LetRef(name):
                behind = self._lets[name]
                return behind if isinstance(behind, _DECIDES) or _is_not(behind) else None
            case m.Unary("not", operand) if isinstance(operand, _DECIDES | m.LetRef):
                return operand
            case m.Rises(condition):
                return condition
        return None

    def inputs(self, expr: m.Expr) -> dict[str, Any]:
        """The values that an expression is made of, by their text; constants left out."""
        found: dict[str, Any] = {}
        inner = [expr]
        if isinstance(expr, m.Compare):
            inner = list(expr.operands)
        elif self._conditional(expr) is not None:
            return {}
        for operand in inner:
            self._note(operand, found)
        return found

    def _note(self, expr: m.Expr, found: dict[str, Any]) -> None:
        match expr:
            case m.Literal():
                return
            case m.ListExpr(items):
                inner = items
            case m.Unary(_, operand):
                inner = (operand,)
            case m.Arithmetic(_, left, right):
                inner = (left, right)
            case m.Call(_, args):
                inner = args
            case _:
                inner = ()
        if not isinstance(expr, m.ListExpr | m.Unary) and self.is_known(expr):
            found[unparse(expr)] = self.value(expr)
        for part in inner:
            self._note(part, found)

    def failures(self) -> list[str]:
        """Sentences about the first part that failed; none if the condition holds."""
        when = self._rule.when
        return [] if when is None or self.holds(when) is not False else list(self._failed(when))

    def _failed(self, expr: m.Expr) -> Iterator[str]:
        match expr:
            case m.Logic("and", operands):
                yield from self._failed(next(operand for operand in operands if self.holds(operand) is False))
            case m.Logic(_, operands):
                yield f"None of the {len(operands)} alternatives of `{unparse(expr)}` holds."
                for operand in operands:
                    yield from self._failed(operand)
            case m.Rises(condition) if self.holds(condition):
                before = "this was the first evaluation" if self._first else "it held at the evaluation before as well"
                yield f"`{unparse(expr)}` is false: `{unparse(condition)}` holds, but {before}."
            case m.Rises(condition):
                yield f"`{unparse(expr)}` is false, as its condition does not hold now."
                yield from self._failed(condition)
            case m.Unary("not", operand):
                yield f"`{unparse(expr)}` is false, as `{unparse(operand)}` holds{self._because(operand)}."
            case m.LetRef(name) if self._conditional(expr) is not None:
                yield f"`{name}` is {value_text(self.value(expr))}."
                yield from self._failed(self._lets[name])
            case _:
                yield f"`{unparse(expr)}` does not hold{self._because(expr)}."

    def _because(self, expr: m.Expr) -> str:
        values = self.inputs(expr)
        if not values:
            return ""
        said = [f"`{text}` is {value_text(value)}" for text, value in values.items()]
        rest = " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
        tested = expr.operands if isinstance(expr, m.Compare) else ()
        empty = any(self.value(operand) is None for operand in tested)
        return f": {rest}" + (", and a test on nothing is false" if empty and not self.holds(expr) else "")


def _is_not(expr: m.Expr) -> bool:
    return isinstance(expr, m.Unary) and expr.op == "not"
