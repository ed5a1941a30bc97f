"""Static types: what is always null or always false because the types can't fit.

The language gives every such expression a value, so these are warnings. Fields that are not standard
have a type that is known only at run time, and nothing is said about them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.diagnostics import Problems, nearest, shown
from rules.fields import CLOSED_VALUES, FIELDS
from rules.habits import Habit
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
    ProfileField,
    Rises,
    Score,
    Selector,
    Streak,
    Unary,
)
from rules.scope import Places
from rules.walk import children, selectors, words

ANY, NUMBER, STRING, BOOLEAN, LIST, NULL = "any", "number", "string", "boolean", "list", "null"

_LITERALS = {"int": NUMBER, "float": NUMBER, "str": STRING, "bool": BOOLEAN, "NoneType": NULL}
_A = {NUMBER: "a number", STRING: "a text", BOOLEAN: "a boolean", LIST: "a list", NULL: "null"}

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "abs": (NUMBER,),
    "round": (NUMBER, NUMBER),
    "lower": (STRING,),
    "len": ("text or list",),
    "startswith": (STRING, STRING),
    "endswith": (STRING, STRING),
    "matches": (STRING, STRING),
    "hour": (NUMBER,),
    "weekday": (NUMBER,),
    "days_until": (STRING,),
    "days_until_yearly": (STRING,),
}
_RESULTS = {
    **dict.fromkeys(("abs", "round", "len", "hour", "weekday", "days_until", "days_until_yearly"), NUMBER),
    **dict.fromkeys(("startswith", "endswith", "matches", "is_null"), BOOLEAN),
    "lower": STRING,
}


@dataclass(slots=True)
class TypeChecker:
    """Finds the types of one rule's expressions; ``lets`` holds the types of those checked so far."""

    problems: Problems
    places: Places
    lets: dict[str, str] = field(default_factory=dict)
    _stream: str = ""

    def check_let(self, name: str, expr: Expr) -> None:
        """Check a let and remember its type."""
        self.lets[name] = self.type_of(expr)

    def check_selector(self, selector: Selector) -> None:
        """Check a selector's predicate."""
        if selector.predicate is None:
            return
        outer, self._stream = self._stream, selector.stream
        kind = self.type_of(selector.predicate)
        self._stream = outer
        self.check_condition(selector.predicate, kind)

    def check_condition(self, expr: Expr, kind: str) -> None:
        """Warn of a literal in the place of a condition."""
        if isinstance(expr, Literal) and kind in (STRING, NUMBER) and expr.value:
            hint = f'did you mean `"{expr.value}" in field`?' if kind == STRING else None
            self._warn("W206", expr, f"{_A[kind]} as a condition is always true", hint)

    def type_of(self, expr: Expr) -> str:
        """The static type of ``expr``; reports what is wrong inside."""
        for selector in selectors(expr):
            self.check_selector(selector)
        match expr:
            case Literal(type_name=name):
                return _LITERALS.get(name, ANY)
            case Field(name):
                return FIELDS[self._stream].get(name, ANY)
            case AnchorField(stream, name):
                return FIELDS[stream].get(name, ANY)
            case ProfileField(name):
                return FIELDS["profile"].get(name, ANY)
            case LetRef(name):
                return self.lets.get(name, ANY)
            case Compare():
                return self._compare(expr)
            case Arithmetic():
                return self._arithmetic(expr)
            case Call():
                return self._call(expr)
            case Aggregate():
                return self._aggregate(expr)
        kinds = [self.type_of(child) for child in children(expr)]
        if isinstance(expr, Logic) or (isinstance(expr, Unary) and expr.op == "not"):
            for child, kind in zip(children(expr), kinds, strict=True):
                self.check_condition(child, kind)
        match expr:
            case ListExpr():
                return LIST
            case Unary(op="-", operand=operand):
                if kinds[0] not in (ANY, NUMBER):
                    self._warn("W202", expr, f"minus {words(operand)}, {_A[kinds[0]]}, is always null")
                return NUMBER
            case Latest(selector=selector, field=name):
                return FIELDS[selector.stream].get(name, ANY)
            case EvalTime() | Age() | Score() | Streak() | Habit():
                return NUMBER
            case Logic() | Rises():
                return BOOLEAN
        return BOOLEAN if isinstance(expr, Unary) or type(expr).__name__ in ("Novel", "Sequence") else ANY

    def _warn(self, code: str, expr: Expr, message: str, hint: str | None = None) -> None:
        self.problems.add(code, self.places.of(expr), message, hint)

    def _arithmetic(self, expr: Arithmetic) -> str:
        kinds = self.type_of(expr.left), self.type_of(expr.right)
        wrong = next((kind for kind in kinds if kind not in (ANY, NUMBER)), None)
        if wrong is not None:
            hint = "join texts in a template" if STRING in kinds and expr.op == "+" else None
            self._warn("W202", expr, f"`{expr.op}` with {_A[wrong]} is always null", hint)
        elif expr.op in "/%" and isinstance(expr.right, Literal) and expr.right.value == 0:
            self._warn("W202", expr, "a division by zero is always null")
        return NUMBER

    def _aggregate(self, expr: Aggregate) -> str:
        if expr.field is not None and expr.op != "distinct":
            kind = FIELDS[expr.selector.stream].get(expr.field, ANY)
            if kind not in (ANY, NUMBER):
                name = f"{expr.selector.stream}.{expr.field}"
                value = "0" if expr.op == "sum" else "null"
                message = f"{expr.op} takes numbers and `{name}` is {_A[kind]}: always {value}"
                self._warn("W204", expr, message, "count or distinct?")
        return NUMBER

    def _call(self, expr: Call) -> str:
        kinds = [self.type_of(arg) for arg in expr.args]
        for wanted, kind, arg in zip(_ARGUMENTS.get(expr.function, ()), kinds, expr.args, strict=False):
            fits = kind in (STRING, LIST) if wanted == "text or list" else kind == wanted
            if kind != ANY and not fits:
                name = expr.function.removesuffix("_yearly")
                message = (
                    f"{name} takes {_A.get(wanted, 'a text or a list')} and {words(arg)} is {_A[kind]}: always null"
                )
                self._warn("W204", arg, message)
        if expr.function in ("coalesce", "min", "max"):
            known = {kind for kind in kinds if kind != NULL}
            return known.pop() if len(known) == 1 else ANY
        return _RESULTS.get(expr.function, ANY)

    # --- comparisons ---

    def _compare(self, expr: Compare) -> str:
        kinds = [self.type_of(operand) for operand in expr.operands]
        for number, op in enumerate(expr.ops):
            left, right = expr.operands[number : number + 2]
            left_kind, right_kind = kinds[number : number + 2]
            if op in ("in", "not in"):
                self._membership(expr, op, left, left_kind, right, right_kind)
            elif ANY not in (left_kind, right_kind) and left_kind != right_kind:
                hint = 'did you mean `"…" in`?' if LIST in (left_kind, right_kind) else None
                self._never(expr, op, f"{_A[left_kind]} `{op}` {_A[right_kind]}", hint)
            elif op in ("==", "!="):
                for one, other in ((left, right), (right, left)):
                    self._impossible(expr, op, one, other)
        return BOOLEAN

    def _never(self, expr: Expr, op: str, what: str, hint: str | None = None) -> None:
        if op in ("!=", "not in"):
            self._warn("W206", expr, f"{what} is always true", hint)
        else:
            self._warn("W203", expr, f"{what} is always false", hint)

    def _impossible(self, expr: Expr, op: str, term: Expr, value: Expr) -> None:
        """Warn of a value that a field never has, because events that bring it are refused."""
        closed = self._closed_values(term)
        if closed and isinstance(value, Literal) and isinstance(value.value, str) and value.value not in closed:
            near = nearest(value.value, closed)
            hint = f"did you mean `{near}`?" if near else "it is one of " + ", ".join(closed)
            self._never(expr, op, f"{words(term)} {op} {shown(value.value)}", hint)

    def _closed_values(self, term: Expr) -> tuple[str, ...]:
        if isinstance(term, Field):
            return CLOSED_VALUES.get((self._stream, term.name), ())
        if isinstance(term, AnchorField):
            return CLOSED_VALUES.get((term.stream, term.name), ())
        if isinstance(term, Latest):
            return CLOSED_VALUES.get((term.selector.stream, term.field), ())
        return ()

    def _membership(self, expr: Expr, op: str, left: Expr, left_kind: str, right: Expr, right_kind: str) -> None:
        if right_kind in (NUMBER, BOOLEAN, NULL):
            hint = "write a list: […]" if isinstance(right, Literal) else None
            self._never(expr, op, f"`{op}` {_A[right_kind]}", hint)
        elif right_kind == STRING and left_kind not in (ANY, STRING):
            self._never(expr, op, f"{_A[left_kind]} `{op}` a text")
        elif isinstance(right, ListExpr):
            self._elements(expr, op, left, left_kind, right)

    def _elements(self, expr: Expr, op: str, left: Expr, left_kind: str, right: ListExpr) -> None:
        closed = self._closed_values(left)
        useless = []
        for item in right.items:
            kind = _LITERALS.get(item.type_name, ANY) if isinstance(item, Literal) else ANY
            wrong_type = kind == NULL or (ANY not in (kind, left_kind) and kind != left_kind)
            if wrong_type or (closed and isinstance(item, Literal) and item.value not in closed):
                useless.append(item)
        if len(useless) == len(right.items):
            self._never(expr, op, f"{words(left)} {op} this list")
        else:
            for item in useless:
                self._warn("W205", item, f"{words(left)} never equals this element")
