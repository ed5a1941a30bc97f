"""Expressions: text -> nodes of ``rules.model``, by Python's own ``ast`` and an allow-list.

All problems of an expression are reported, not only the first; an expression with an error has no nodes.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from rules import parse_calls, parse_names
from rules.model import (
    Arithmetic,
    Compare,
    Expr,
    ListExpr,
    Literal,
    Logic,
    Selector,
    Unary,
)
from rules.parse_texts import unquoted_texts
from rules.python_syntax import ExpressionSyntaxError, python_tree, too_deep
from rules.scope import ExprText, Scope

MAX_DEPTH = 100
"""Nesting that the recursive passes over expressions surely survive."""

T = TypeVar("T")

_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%"}
_COMPARISONS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_REFUSED: dict[type[ast.AST], tuple[str, str | None]] = {
    ast.IfExp: ("`… if … else …`", None),
    ast.Lambda: ("`lambda`", None),
    ast.Dict: ("a dictionary", None),
    ast.Set: ("a set", "write a list: […]"),
    ast.Tuple: ("a tuple", "write a list: […]"),
    ast.NamedExpr: ("`:=`", "use a let"),
    ast.JoinedStr: ("an f-string", None),
    ast.Starred: ("`*`", None),
    ast.Slice: ("a slice", None),
    ast.ListComp: ("a comprehension", None),
    ast.SetComp: ("a comprehension", None),
    ast.DictComp: ("a comprehension", None),
    ast.GeneratorExp: ("a comprehension", None),
    ast.Await: ("`await`", None),
    ast.Yield: ("`yield`", None),
    ast.YieldFrom: ("`yield`", None),
    ast.FloorDiv: ("`//`", "use `/`"),
    ast.Pow: ("`**`", "use `*`"),
    ast.UAdd: ("unary `+`", None),
    ast.Invert: ("`~`", "use `not`"),
    ast.BitAnd: ("`&`", "use `and`"),
    ast.BitOr: ("`|`", "use `or`"),
}


class Bad(Expr):
    """Stands for a part that has an error; never leaves the parser."""

    __slots__ = ()


def parse_expression(text: ExprText, scope: Scope, *, in_template: bool = False) -> Expr | None:
    """The expression in ``text``, or None if it has an error (reported in ``scope.problems``)."""
    return Parser(text, scope, in_template).expression()


def parse_selector(text: ExprText, scope: Scope) -> Selector | None:
    """The selector in ``text``, or None if it has an error (reported in ``scope.problems``)."""
    return Parser(text, scope, False).whole_selector()


@dataclass(slots=True)
class Parser:
    """Parses one expression. ``stream`` is that of the selector whose brackets are being read, else None.

    ``texts`` are the names met so far that are probably texts without quotes.
    """

    source: ExprText
    scope: Scope
    in_template: bool
    stream: str | None = None
    in_streak: bool = False
    depth: int = 0
    texts: set[ast.Name] = field(default_factory=set)
    _base: int = 0
    _body: str = ""
    _offsets: list[int] = field(default_factory=list)

    # --- entry ---

    def expression(self) -> Expr | None:
        """The whole text as an expression; None if it has an error."""
        return self._whole(self.value)

    def whole_selector(self) -> Selector | None:
        """The whole text as a selector; None if it has an error."""
        return self._whole(lambda tree: parse_names.selector(self, tree))

    def _whole(self, parse: Callable[[ast.expr], T | None]) -> T | None:
        before = self.scope.problems.errors
        result = None
        try:
            result = parse(self._syntax())
        except ExpressionSyntaxError as error:
            self._report(error.code, error.offset, error.message, error.hint)
        return None if self.scope.problems.errors > before else result

    def _syntax(self) -> ast.expr:
        flat = self.source.text.replace("\n", " ").replace("\r", " ")
        self._body = flat.strip()
        self._base = len(flat) - len(flat.lstrip()) if self._body else 0
        return python_tree(self._body)

    # --- reporting ---

    def _report(self, code: str, offset: int, message: str, hint: str | None = None) -> None:
        self.scope.problems.add(code, self.source.place_of(self._base + offset), message, hint)

    def offset(self, node: ast.AST) -> int:
        """The character of the text where ``node`` begins (``ast`` counts UTF-8 bytes)."""
        column: int = getattr(node, "col_offset", 0)
        if self._body.isascii():
            return column
        if not self._offsets:
            self._offsets = [at for at, char in enumerate(self._body) for _ in char.encode("utf-8", "replace")]
        return self._offsets[column] if column < len(self._offsets) else len(self._body)

    def fail(self, code: str, node: ast.AST, message: str, hint: str | None = None) -> Bad:
        """Report a problem at ``node``; the result stands for the part that could not be read."""
        self._report(code, self.offset(node), message, hint)
        return Bad()

    def fail_at(self, code: str, expr: Expr, message: str, hint: str | None = None) -> None:
        """Report a problem at a node that was parsed already."""
        self.scope.problems.add(code, self.scope.places.of(expr), message, hint)

    def bad(self) -> Bad:
        """Stands for a part whose problem has been reported."""
        return Bad()

    def warn(self, code: str, node: ast.AST, message: str, hint: str | None = None) -> None:
        """Report a warning at ``node``."""
        self._report(code, self.offset(node), message, hint)

    def refuse(self, node: ast.AST, kind: type[ast.AST]) -> Bad:
        """Report Python that is not part of the language."""
        what, hint = _REFUSED.get(kind, (f"`{kind.__name__}`", None))
        return self.fail("E202", node, f"{what} is not part of the language", hint)

    def put(self, result: Expr | Selector, node: ast.AST) -> None:
        """Remember where ``result`` stands."""
        self.scope.places.put(result, self.source, self._base + self.offset(node))

    def placed(self, result: Expr, node: ast.AST) -> Expr:
        """``result``, with its place remembered."""
        self.put(result, node)
        return result

    # --- values ---

    def value(self, node: ast.expr) -> Expr:
        """The node for any expression, in a selector's brackets or outside."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise too_deep()
        result = self.placed(self._value(node), node)
        self.depth -= 1
        return result

    def _value(self, node: ast.expr) -> Expr:
        match node:
            case ast.Constant():
                return self._literal(node)
            case ast.Name():
                return parse_names.field(self, node) if self.stream is not None else parse_names.name(self, node)
            case ast.Attribute():
                return parse_names.attribute(self, node)
            case ast.Call():
                return parse_calls.call(self, node)
            case ast.List():
                return ListExpr(tuple(self.value(item) for item in node.elts))
            case ast.BoolOp():
                op = "and" if isinstance(node.op, ast.And) else "or"
                return Logic(op, tuple(self.value(operand) for operand in node.values))
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BinOp():
                if type(node.op) not in _ARITHMETIC:
                    return self.refuse(node, type(node.op))
                return Arithmetic(_ARITHMETIC[type(node.op)], self.value(node.left), self.value(node.right))
            case ast.Compare():
                return self._compare(node)
            case ast.Subscript():
                return parse_names.subscript(self, node)
        return self.refuse(node, type(node))

    def _literal(self, node: ast.Constant) -> Expr:
        value = node.value
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            return self.fail("E208", node, "a string with half of a surrogate pair", "write the character itself")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value) if isinstance(value, float) else value >= 2**63:
                return self.fail("E208", node, "a number that is too large")
        elif not isinstance(value, str | bool | None):
            what = {bytes: "a bytes literal", complex: "a complex number"}.get(type(value), "`...`")
            return self.fail("E208", node, f"{what} is not part of the language")
        return Literal.of(value)

    def _unary(self, node: ast.UnaryOp) -> Expr:
        if isinstance(node.op, ast.Not):
            return Unary("not", self.value(node.operand))
        if not isinstance(node.op, ast.USub):
            return self.refuse(node, type(node.op))
        operand = self.value(node.operand)
        if isinstance(operand, Literal) and operand.type_name in ("int", "float"):
            return Literal.of(-operand.value)
        return Unary("-", operand)

    def _compare(self, node: ast.Compare) -> Expr:
        self.texts |= unquoted_texts(node, self.stream)
        operands = [node.left, *node.comparators]
        ops = []
        for number, op in enumerate(node.ops):
            pair = operands[number : number + 2]
            empty = [side for side in pair if self._is_null(side)]
            if empty:
                negated = isinstance(op, ast.NotEq | ast.IsNot | ast.NotIn)
                hint = "use `not is_null(…)`" if negated else "use `is_null(…)`"
                self.fail("E206", empty[0], "a comparison with None", hint)
            elif isinstance(op, ast.Is | ast.IsNot):
                better = "==" if isinstance(op, ast.Is) else "!="
                self.fail("E202", pair[1], "`is` is not part of the language", f"use `{better}`")
            ops.append(_COMPARISONS.get(type(op), "=="))
        return Compare(tuple(ops), tuple(Bad() if self._is_null(side) else self.value(side) for side in operands))

    def _is_null(self, node: ast.expr) -> bool:
        """Whether ``node`` is ``None``, or how other languages spell it."""
        if isinstance(node, ast.Name):
            return node.id in ("null", "none", "nil") and node.id not in self.scope.all_lets
        return isinstance(node, ast.Constant) and node.value is None
