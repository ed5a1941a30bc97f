"""Takes a selector's predicate apart into conditions that can be tested column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from rules import model as m
from rules.evaluate import Reader, compile_expr
from rules.fields import FIELDS
from rules.plan import Part
from rules.values import is_number
from rules.walk import walk

_EXACT = 2**53
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def split_parts(selector: m.Selector, column: Callable[[str], int]) -> tuple[Part, ...]:
    """The conditions that must all hold; ``column`` gives the column of a field of the selector's stream."""
    if selector.predicate is None:
        return ()
    return tuple(_part(condition, selector.stream, column) for condition in _conjuncts(selector.predicate))


def _conjuncts(expr: m.Expr) -> Iterator[m.Expr]:
    match expr:
        case m.Logic("and", operands):
            for operand in operands:
                yield from _conjuncts(operand)
        case m.Compare(ops, operands) if len(ops) > 1:
            for op, pair in zip(ops, pairwise(operands), strict=True):
                yield m.Compare((op,), pair)
        case _:
            yield expr


def _part(condition: m.Expr, stream: str, column: Callable[[str], int]) -> Part:
    used: dict[str, int] = {}

    def leaf(node: m.Expr) -> Reader:
        assert isinstance(node, m.Field)
        index = used[node.name] = column(node.name)
        return lambda values: values[index]

    test = compile_expr(condition, leaf)
    types = {FIELDS[stream].get(name) for name in used}
    choices = _choices(condition) if types == {"string"} else None
    compare = _comparison(condition) if types == {"number"} else None
    piece = _piece(condition) if types == {"string"} else None
    clock = types == {"number"} and _is_clock(condition)
    return Part(test, tuple(used.values()), types <= {"string"}, choices, compare, _presence(condition), piece, clock)


def _choices(condition: m.Expr) -> tuple[str, ...] | None:
    match condition:
        case m.Compare(("==",), (m.Field(), m.Literal(str() as text)) | (m.Literal(str() as text), m.Field())):
            return (text,)
        case m.Compare(("in",), (m.Field(), m.ListExpr(items))):
            texts = [item.value for item in items if isinstance(item, m.Literal)]
            if len(texts) == len(items):
                return tuple(text for text in texts if type(text) is str)  # a text equals only a text
    return None


def _presence(condition: m.Expr) -> bool | None:
    match condition:
        case m.Call("is_null", (m.Field(),)):
            return False
        case m.Unary("not", m.Call("is_null", (m.Field(),))):
            return True
    return None


def _piece(condition: m.Expr) -> tuple[str, str] | None:
    match condition:
        case m.Compare(("in",), (m.Literal(str() as text), m.Field())):
            return "in", text
        case m.Call(("startswith" | "endswith") as function, (m.Field(), m.Literal(str() as text))):
            return function, text
    return None


def _is_clock(condition: m.Expr) -> bool:
    """Whether the condition looks at the time ``ts`` only by its hour and weekday."""
    fields = [node for node in walk(condition) if isinstance(node, m.Field)]
    clocks = [
        node
        for node in walk(condition)
        if isinstance(node, m.Call) and node.function in ("hour", "weekday") and node.args == (m.Field("ts"),)
    ]
    return len(fields) == len(clocks)


def _comparison(condition: m.Expr) -> tuple[str, float] | None:
    match condition:
        case m.Compare((op,), (m.Field(), number)) if op in _MIRRORED:
            value = _number(number)
        case m.Compare((op,), (number, m.Field())) if op in _MIRRORED:
            op, value = _MIRRORED[op], _number(number)
        case _:
            return None
    return None if value is None else (op, value)


def _number(expr: m.Expr) -> float | None:
    match expr:
        case m.Literal(value) if is_number(value) and (type(value) is float or abs(value) <= _EXACT):
            return float(value)
    return None
