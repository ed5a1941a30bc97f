"""Conditions that can never hold.

A condition is taken apart into facts that must hold together: comparisons of one value with constants, and what
is known of the value beforehand (a count is not negative, ``txn.direction`` is ``in`` or ``out``). Only sure
contradictions are found; most conditions that never hold are not of this kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.fields import AMOUNT_MAX, CLOSED_VALUES, TS_MAX_MS
from rules.model import (
    Age,
    Aggregate,
    AnchorField,
    Arithmetic,
    Call,
    Compare,
    EvalTime,
    Expr,
    Field,
    Latest,
    LetRef,
    ListExpr,
    Literal,
    Logic,
    Novel,
    Rises,
    Score,
    Selector,
    Sequence,
    Streak,
    Unary,
)
from rules.value_facts import Facts
from rules.walk import words

MAX_STEPS = 10_000
"""Bound on the work for one rule: lets that use lets can double it at each level."""

ALWAYS_FALSE = "the condition is always false"
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED = {"==": "!=", "!=": "==", "in": "not in", "not in": "in"}
_FIELD_RANGES: dict[tuple[str, str], tuple[float, float]] = {("txn", "amount"): (0, AMOUNT_MAX)}
"""Ranges that are checked when an event is read; those of optional fields are not."""
_CALL_RANGES: dict[str, tuple[float, float]] = {
    "hour": (0, 23),
    "weekday": (0, 6),
    "len": (0, math.inf),
    "abs": (0, math.inf),
    "days_until_yearly": (0, 366),
}


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why a condition never holds, and the node to point at."""

    node: Expr
    reason: str


@dataclass(slots=True)
class NeverFinder:
    """For one kind of anchor: ``anchor_stream``, or None in a date rule (no anchor).

    Facts of several conditions that must hold together are gathered with ``require``.
    """

    lets: Mapping[str, Expr]
    anchor_stream: str | None
    facts: dict[Expr, Facts] = field(default_factory=dict)
    true_terms: set[Expr] = field(default_factory=set)
    false_terms: set[Expr] = field(default_factory=set)
    seen_lets: set[str] = field(default_factory=set)
    steps: list[int] = field(default_factory=lambda: [MAX_STEPS])

    def require(self, expr: Expr, stream: str | None = None) -> Contradiction | None:
        """Add ``expr`` to what must hold; a contradiction if it can't. In a predicate, ``stream`` is the selector's."""
        self.steps[0] -= 1
        if self.steps[0] < 0:
            return None
        match expr:
            case LetRef(name):
                if name in self.seen_lets or name not in self.lets:
                    return None
                self.seen_lets.add(name)
                return self.require(self.lets[name], stream)
            case Logic(op="and", operands=operands):
                for operand in operands:
                    if found := self.require(operand, stream):
                        return found
                return None
            case Logic(operands=operands):
                return self._any_of(operands, stream)
            case Rises(condition=condition):
                return self.require(condition, stream)
            case Novel(selector=selector):
                return self._anchored(expr, selector)
            case Sequence(selectors=parts):
                return self._anchored(expr, parts[-1])
            case Literal(value=value):
                return None if value else Contradiction(expr, ALWAYS_FALSE)
            case Unary(op="not", operand=operand):
                return self._negated(operand, expr, stream)
            case Compare():
                return self._compare(expr, stream)
        if self.is_null(expr):
            return Contradiction(expr, f"{words(expr)} is always null here")
        return self._truth(expr, expr, stream, self.true_terms, self.false_terms)

    def _any_of(self, operands: tuple[Expr, ...], stream: str | None) -> Contradiction | None:
        first = None
        for operand in operands:
            seen = set(self.seen_lets)
            found = NeverFinder(self.lets, self.anchor_stream, seen_lets=seen, steps=self.steps).require(
                operand, stream
            )
            if found is None:
                return None
            first = first or found
        return first

    def _anchored(self, expr: Expr, selector: Selector) -> Contradiction | None:
        if selector.stream != self.anchor_stream:
            return Contradiction(expr, f"{words(expr)} is always false here")
        return None if selector.predicate is None else self.require(selector.predicate, selector.stream)

    def _truth(
        self, term: Expr, node: Expr, stream: str | None, mine: set[Expr], other: set[Expr]
    ) -> Contradiction | None:
        key = self._key(term, stream)
        mine.add(key)
        return Contradiction(node, f"{words(term)} and its negation can't both hold") if key in other else None

    def _negated(self, operand: Expr, node: Expr, stream: str | None) -> Contradiction | None:
        operand = self._resolved(operand)
        if isinstance(operand, Literal):
            return Contradiction(node, ALWAYS_FALSE) if operand.value else None
        if isinstance(operand, Compare):
            # An ordering is false for null too, so its negation says nothing of the value.
            if len(operand.ops) == 1 and operand.ops[0] in _NEGATED:
                return self._pair(operand.operands[0], _NEGATED[operand.ops[0]], operand.operands[1], node, stream)
            return None
        if isinstance(operand, Logic | Rises):
            return None
        return self._truth(operand, node, stream, self.false_terms, self.true_terms)

    # --- comparisons ---

    def _compare(self, expr: Compare, stream: str | None) -> Contradiction | None:
        for number, op in enumerate(expr.ops):
            left, right = expr.operands[number : number + 2]
            if found := self._pair(left, op, right, expr, stream):
                return found
        return None

    def _pair(self, left: Expr, op: str, right: Expr, node: Expr, stream: str | None) -> Contradiction | None:
        if op not in ("!=", "not in"):
            for side in (left, right):
                if self.is_null(side):
                    return Contradiction(side, f"{words(side)} is always null here")
        left, right = self._resolved(left), self._resolved(right)
        if isinstance(left, Literal) and op in _FLIPPED:
            left, op, right = right, _FLIPPED[op], left
        key = self._key(left, stream)
        if isinstance(left, Literal) and isinstance(right, Literal):
            facts = Facts(allowed=[left.value])
        else:
            facts = self.facts.setdefault(key, self._known_of(key))
        if op in ("in", "not in"):
            if not isinstance(right, ListExpr) or not all(isinstance(item, Literal) for item in right.items):
                return None
            values = [item.value for item in right.items if isinstance(item, Literal)]
            if op == "in":
                facts.narrow(values)
            else:
                facts.excluded += values
        elif not isinstance(right, Literal):
            return None
        elif op == "==":
            facts.narrow([right.value])
        elif op == "!=":
            facts.excluded.append(right.value)
        elif isinstance(right.value, int | float) and not isinstance(right.value, bool):
            facts.order(op, right.value)
        if facts.impossible():
            constant = isinstance(left, Literal)
            return Contradiction(node, ALWAYS_FALSE if constant else f"nothing fits the conditions on {words(left)}")
        return None

    def _known_of(self, term: Expr) -> Facts:
        """What holds of ``term`` in any case."""
        span: tuple[float, float] | None = None
        match term:
            case AnchorField(stream, name):
                closed = CLOSED_VALUES.get((stream, name))
                if closed:
                    return Facts(allowed=list(closed))
                span = (0, TS_MAX_MS) if name == "ts" else _FIELD_RANGES.get((stream, name))
            case Latest(selector=selector, field=name):
                closed = CLOSED_VALUES.get((selector.stream, name))
                if closed:
                    return Facts(allowed=list(closed))
                span = _FIELD_RANGES.get((selector.stream, name))
            case EvalTime():
                span = (0, TS_MAX_MS)
            case Score():
                span = (0, 1)
            case Aggregate(op="count" | "distinct" | "std") | Streak() | Age():
                span = (0, math.inf)
            case Aggregate(op="sum", selector=Selector(stream="txn"), field="amount"):
                span = (0, math.inf)
            case Aggregate(op="mean" | "min" | "max", selector=selector, field=str(name)):
                span = _FIELD_RANGES.get((selector.stream, name))
            case Call(function=function):
                span = _CALL_RANGES.get(function)
        return Facts() if span is None else Facts(low=span[0], high=span[1])

    # --- helpers ---

    def _resolved(self, expr: Expr) -> Expr:
        while isinstance(expr, LetRef) and expr.name in self.lets:
            expr = self.lets[expr.name]
        return expr

    def _key(self, expr: Expr, stream: str | None) -> Expr:
        """One key for one value: a field of the anchor is the same inside and outside brackets."""
        expr = self._resolved(expr)
        return AnchorField(stream, expr.name) if isinstance(expr, Field) and stream is not None else expr

    def is_null(self, expr: Expr) -> bool:
        """Whether ``expr`` is null for every anchor of this kind (False if that takes too long to find out)."""
        self.steps[0] -= 1
        if self.steps[0] < 0:
            return False
        match expr:
            case LetRef(name):
                return name in self.lets and self.is_null(self.lets[name])
            case AnchorField(stream=stream):
                return stream != self.anchor_stream
            case Score():
                return self.anchor_stream is None
            case Literal(value=value):
                return value is None
            case Arithmetic(left=left, right=right):
                return self.is_null(left) or self.is_null(right)
            case Unary(op="-", operand=operand):
                return self.is_null(operand)
            case Call(function="coalesce", args=args):
                return all(self.is_null(arg) for arg in args)
            case Call(function=function, args=args) if function != "is_null":
                return any(self.is_null(arg) for arg in args)
        return False
