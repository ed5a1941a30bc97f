"""Expressions: text -> nodes of ``rules.model``, by Python's own ``ast`` and an allow-list.

All problems of an expression are reported, not only the first; an expression with an error has no nodes.
"""

from __future__ import annotations

import ast
import io
import math
import tokenize
import warnings
from dataclasses import dataclass

from rules import parse_calls
from rules.diagnostics import did_you_mean, shown
from rules.fields import FIELDS, HOLDING_FIELDS, STANDARD_NAMES
from rules.functions import ALL
from rules.model import (
    STREAMS,
    AnchorField,
    Arithmetic,
    Compare,
    EvalTime,
    Expr,
    Field,
    HoldingField,
    LetRef,
    ListExpr,
    Literal,
    Logic,
    ProfileField,
    Selector,
    Unary,
)
from rules.scope import ExprText, Scope

MAX_CHARS = 100_000
MAX_DEPTH = 100
"""Nesting that the recursive passes over expressions surely survive."""

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
_SPELLINGS = {"true": "True", "false": "False", "null": "None", "none": "None", "nil": "None"}
_FOREIGN_OPERATORS = {"&&": "and", "||": "or", "<>": "!=", "===": "=="}
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


class _TooDeepError(Exception):
    pass


def parse_expression(text: ExprText, scope: Scope, *, in_template: bool = False) -> Expr | None:
    """The expression in ``text``, or None if it has an error (reported in ``scope.problems``)."""
    return Parser(text, scope, in_template).expression()


def parse_selector(text: ExprText, scope: Scope) -> Selector | None:
    """The selector in ``text``, or None if it has an error (reported in ``scope.problems``)."""
    return Parser(text, scope, False).whole_selector()


@dataclass(slots=True)
class Parser:
    """Parses one expression. ``stream`` is that of the selector whose brackets are being read, else None."""

    source: ExprText
    scope: Scope
    in_template: bool
    stream: str | None = None
    in_streak: bool = False
    depth: int = 0
    _base: int = 0
    _body: str = ""

    # --- entry ---

    def expression(self) -> Expr | None:
        before = self.scope.problems.error_count()
        tree = self._syntax()
        if tree is None:
            return None
        try:
            result = self.value(tree)
        except _TooDeepError:
            self._too_deep()
        return None if self.scope.problems.error_count() > before else result

    def whole_selector(self) -> Selector | None:
        before = self.scope.problems.error_count()
        tree = self._syntax()
        if tree is None:
            return None
        try:
            result = self.selector(tree)
        except _TooDeepError:
            self._too_deep()
        return None if self.scope.problems.error_count() > before else result

    def _syntax(self) -> ast.expr | None:
        """Python's tree for the text, or None with the reason reported."""
        flat = self.source.text.replace("\n", " ").replace("\r", " ")
        self._body = flat.strip()
        self._base = len(flat) - len(flat.lstrip())
        if not self._body:
            self._report("E216", 0, "the expression is empty")
            return None
        if len(self._body) > MAX_CHARS:
            self._report("E212", 0, f"the expression is longer than {MAX_CHARS} characters")
            return None
        comment = self._comment_at()
        if comment is not None:
            self._report("E211", comment, "a comment inside an expression", "put it on a line of its own in the YAML")
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self._body, mode="eval").body
        except SyntaxError as error:
            self._syntax_error(error)
        except (RecursionError, MemoryError):
            self._too_deep()
        except ValueError as error:
            self._report("E201", 0, f"the expression does not parse: {error}")
        return None

    def _comment_at(self) -> int | None:
        """The offset of a ``#`` that Python would read as a comment: everything behind it would be lost silently."""
        if "#" not in self.source.text:
            return None
        try:
            for token in tokenize.generate_tokens(io.StringIO(self._body).readline):
                if token.type == tokenize.COMMENT:
                    return token.start[1]
        except (tokenize.TokenError, SyntaxError):
            pass
        return None

    def _syntax_error(self, error: SyntaxError) -> None:
        message = str(error.msg).split("; use ")[0]
        # Python points at 0 where the text ends too early, and behind it for some other faults.
        offset = min(error.offset - 1, len(self._body)) if error.offset else len(self._body)
        if message.startswith("Exceeds the limit"):
            self._report("E208", 0, "a number with too many digits")
            return
        hint = None
        rest = self._body[offset:]
        for foreign, ours in _FOREIGN_OPERATORS.items():
            if rest.startswith(foreign) or self._body[max(offset - 1, 0) :].startswith(foreign):
                hint = f"write `{ours}` for `{foreign}`"
        if message.startswith("invalid character"):
            hint = "use the plain ASCII character"
        elif rest.startswith("=") and hint is None:
            hint = "a comparison is written `==`"
        elif rest[:1] == "!":
            hint = "write `not`"
        if message == "invalid syntax. Maybe you meant '==' or ':=' instead of '='?":
            message, hint = "invalid syntax", "a comparison is written `==`"
        self._report("E201", offset, f"the expression does not parse: {message}", hint)

    # --- reporting ---

    def _report(self, code: str, offset: int, message: str, hint: str | None = None) -> None:
        self.scope.problems.add(code, self.source.place_of(self._base + offset), message, hint)

    def _too_deep(self) -> None:
        self._report("E212", 0, "the expression is nested too deeply", "split it with lets")

    def offset(self, node: ast.AST) -> int:
        """The character of the text where ``node`` begins (``ast`` counts UTF-8 bytes)."""
        column: int = getattr(node, "col_offset", 0)
        if self._body.isascii():
            return column
        return len(self._body.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "ignore"))

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
        self._report(code, self.offset(node), message, hint)

    def refuse(self, node: ast.AST, kind: type[ast.AST]) -> Bad:
        what, hint = _REFUSED.get(kind, (f"`{kind.__name__}`", None))
        return self.fail("E202", node, f"{what} is not part of the language", hint)

    def placed(self, result: Expr, node: ast.AST) -> Expr:
        self.scope.places.put(result, self.source, self._base + self.offset(node))
        return result

    # --- values ---

    def value(self, node: ast.expr) -> Expr:
        """The node for any expression, in a selector's brackets or outside."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _TooDeepError
        result = self.placed(self._value(node), node)
        self.depth -= 1
        return result

    def _value(self, node: ast.expr) -> Expr:
        match node:
            case ast.Constant():
                return self._literal(node)
            case ast.Name():
                return self._field(node, node.id) if self.stream is not None else self._name(node)
            case ast.Attribute():
                return self._attribute(node)
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
                return self._subscript(node)
        return self.refuse(node, type(node))

    def _literal(self, node: ast.Constant) -> Expr:
        value = node.value
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            return self.fail("E208", node, "a string with half of a surrogate pair", "write the character itself")
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                finite = math.isfinite(value)
            except OverflowError:
                finite = False
            if not finite:
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
        operands = [node.left, *node.comparators]
        ops = []
        for number, op in enumerate(node.ops):
            pair = operands[number : number + 2]
            empty = [side for side in pair if isinstance(side, ast.Constant) and side.value is None]
            if empty:
                negated = isinstance(op, ast.NotEq | ast.IsNot | ast.NotIn)
                hint = "use `not is_null(…)`" if negated else "use `is_null(…)`"
                self.fail("E206", empty[0], "a comparison with None is never true", hint)
            elif isinstance(op, ast.Is | ast.IsNot):
                better = "==" if isinstance(op, ast.Is) else "!="
                self.fail("E202", pair[1], "`is` is not part of the language", f"use `{better}`")
            ops.append(_COMPARISONS.get(type(op), "=="))
        return Compare(tuple(ops), tuple(self.value(operand) for operand in operands))

    # --- names ---

    def _name(self, node: ast.Name) -> Expr:
        name, scope = node.id, self.scope
        if name == "ts":
            return EvalTime()
        if name in scope.lets:
            return LetRef(scope.lets[name])
        if name in scope.all_lets:
            hint = "a let can use earlier ones only"
            return self.fail("E203", node, f"{shown(name)} is not defined yet", hint)
        if name in STREAMS or name == "holding":
            hint = (
                f"name a field, such as {name}.{'amount' if name in ('txn', 'holding') else next(iter(FIELDS[name]))}"
            )
            return self.fail("E213", node, f"{shown(name)} is not a value by itself", hint)
        if name in ALL:
            return self.fail("E203", node, f"{shown(name)} is a function", f"call it: {name}(…)")
        return self.fail("E203", node, f"unknown name {shown(name)}", self._name_hint(name))

    def _name_hint(self, name: str) -> str | None:
        if name in _SPELLINGS:
            return f"did you mean `{_SPELLINGS[name]}`?"
        for stream in (*self.scope.trigger_streams, *STREAMS):
            if name in FIELDS[stream]:
                return f"did you mean `{stream}.{name}`?"
        return did_you_mean(name, [*self.scope.lets.values(), "ts", *ALL, *STREAMS]) or (
            "a text is written in quotes" if not name.isascii() else None
        )

    def _field(self, node: ast.Name, name: str) -> Expr:
        """A bare name inside a selector's brackets."""
        if name in _SPELLINGS:
            return self.fail("E203", node, f"unknown name {shown(name)}", f"did you mean `{_SPELLINGS[name]}`?")
        if name in ("profile", "holding"):
            return self.fail("E210", node, f"a selector can't use `{name}`", "test it in `when`")
        if name in self.scope.all_lets and name not in STANDARD_NAMES:
            hint = "test it in `when`"
            return self.fail("E210", node, f"a selector can't use lets, and {shown(name)} is one", hint)
        assert self.stream is not None
        self.check_field(node, self.stream, name)
        return Field(name)

    def check_field(self, node: ast.AST, stream: str, name: str) -> None:
        """Warn of a field that is nearly a standard one."""
        known = HOLDING_FIELDS if stream == "holding" else FIELDS[stream]
        hint = None if name in known else did_you_mean(name, known, cutoff=0.8)
        if hint:
            self.warn("W201", node, f"{shown(name)} is no standard field of {stream}", hint)

    def _attribute(self, node: ast.Attribute) -> Expr:
        base = node.value
        if self.stream is not None:
            return self._attribute_in_selector(node)
        if isinstance(base, ast.Subscript):
            hint = "ask for one event's: last(…), or for all: sum(…), max(…)"
            return self.fail("E213", node, "a selector's field is many values", hint)
        if not isinstance(base, ast.Name):
            return self.fail("E202", node, "attribute access is not part of the language")
        name = base.id
        if name == "holding":
            if not self.scope.each_holding:
                hint = "it needs `trigger: {daily: …}` and `each: holdings`"
                return self.fail("E207", node, "`holding` outside a rule with `each: holdings`", hint)
            self.check_field(node, "holding", node.attr)
            return HoldingField(node.attr)
        if name in STREAMS:
            self.check_field(node, name, node.attr)
            return ProfileField(node.attr) if name == "profile" else AnchorField(name, node.attr)
        if name in self.scope.all_lets or name == "ts":
            return self.fail("E202", node, f"{shown(name)} is a value and has no fields")
        return self.fail("E203", node, f"unknown stream {shown(name)}", did_you_mean(name, [*STREAMS, "holding"]))

    def _attribute_in_selector(self, node: ast.Attribute) -> Expr:
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        if name in ("profile", "holding"):
            return self.fail("E210", node, f"a selector can't use `{name}`", "test it in `when`")
        if name in STREAMS:
            hint = (
                f"inside the brackets a field is written `{node.attr}`" if name == self.stream else "test it in `when`"
            )
            return self.fail("E210", node, f"a selector can't use `{name}.{node.attr}`", hint)
        return self.fail("E202", node, "attribute access is not part of the language")

    def _subscript(self, node: ast.Subscript) -> Expr:
        if isinstance(node.value, ast.Name) and node.value.id in STREAMS:
            if self.stream is not None:
                return self.fail("E210", node, "a selector inside a selector")
            return self.fail("E213", node, "a selector is not a value by itself", "count it: count(…)")
        if isinstance(node.value, ast.Name) and self.stream is None:
            name = node.value.id
            return self.fail("E215", node, f"{shown(name)} is not a stream", did_you_mean(name, STREAMS))
        return self.fail("E202", node, "`[…]` behind a value is not part of the language")

    # --- selectors ---

    def selector(self, node: ast.expr) -> Selector | None:
        """``stream`` or ``stream[predicate]``; None where there is an error."""
        base = node.value if isinstance(node, ast.Subscript) else node
        if not isinstance(base, ast.Name) or base.id not in STREAMS:
            self._not_a_selector(node, base)
            return None
        predicate = None
        if isinstance(node, ast.Subscript):
            outer, self.stream = self.stream, base.id
            try:
                predicate = self.value(node.slice)
            finally:
                self.stream = outer
        result = Selector(base.id, predicate)
        self.scope.places.put(result, self.source, self._base + self.offset(node))
        return result

    def _not_a_selector(self, node: ast.expr, base: ast.expr) -> None:
        hint: str | None = "a selector is `stream` or `stream[condition]`"
        message = "this is not a selector"
        if isinstance(base, ast.Name):
            message = f"{shown(base.id)} is not a stream"
            hint = did_you_mean(base.id, STREAMS) or "the streams are " + ", ".join(STREAMS)
        elif isinstance(base, ast.Attribute):
            inner = base.value.value if isinstance(base.value, ast.Subscript) else base.value
            if isinstance(inner, ast.Name) and inner.id not in STREAMS:
                message = f"{shown(inner.id)} is not a stream"
                hint = did_you_mean(inner.id, STREAMS)
            elif isinstance(node, ast.Subscript):
                hint = "the brackets stand behind the stream: stream[condition].field"
            else:
                message = "a field where a selector is needed"
        self.fail("E215", node, message, hint)
