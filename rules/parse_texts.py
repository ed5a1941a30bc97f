"""Names that are probably texts without their quotes: ``txn[currency == CNY]``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from rules.fields import CLOSED_VALUES, FIELDS, HOLDING_FIELDS
from rules.model import STREAMS

_CLOSED = frozenset(value for values in CLOSED_VALUES.values() for value in values)
_TEXTUAL = ("string", "list")


def unquoted_texts(node: ast.Compare, stream: str | None) -> set[ast.Name]:
    """The names in ``node`` that are compared with a text: a field that holds texts, or a list of a field's values.

    ``stream`` is that of the selector in whose brackets ``node`` stands, else None.
    """
    found = set()
    for name, other, in_list in _compared(node):
        kind = _field_type(other, stream)
        known_value = stream is None and name.id in _CLOSED
        if kind in _TEXTUAL or known_value or (in_list and kind == "unknown"):
            found.add(name)
    return found


def _compared(node: ast.Compare) -> Iterator[tuple[ast.Name, ast.expr, bool]]:
    """Each name that is compared for equality, what with, and whether it stands in a list."""
    operands = [node.left, *node.comparators]
    for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
        if isinstance(op, ast.Eq | ast.NotEq):
            for name, other in ((left, right), (right, left)):
                if isinstance(name, ast.Name):
                    yield name, other, False
        elif isinstance(op, ast.In | ast.NotIn):
            if isinstance(left, ast.Name):
                yield left, right, False
            if isinstance(right, ast.List):
                yield from ((item, left, True) for item in right.elts if isinstance(item, ast.Name))


def _field_type(node: ast.expr, stream: str | None) -> str:
    """The type of the field that ``node`` is, ``unknown`` for one that is not standard; empty if it is no field."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        if node.func.id == "lower":
            return "string"
        if node.func.id in ("last", "prev"):
            return _field_type(node.args[0], None)
    if stream is not None:
        return FIELDS[stream].get(node.id, "unknown") if isinstance(node, ast.Name) else ""
    if not isinstance(node, ast.Attribute):
        return ""
    base = node.value.value if isinstance(node.value, ast.Subscript) else node.value
    if not isinstance(base, ast.Name) or base.id not in (*STREAMS, "holding"):
        return ""
    return (HOLDING_FIELDS if base.id == "holding" else FIELDS[base.id]).get(node.attr, "unknown")
