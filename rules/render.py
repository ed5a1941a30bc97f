"""Renders an action's payload: the strings with ``{expression:format}`` slots, wherever they stand in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rules import model as m
from rules.evaluate import Reader


def compile_payload(node: Any, compile_slot: Callable[[m.Expr], Reader]) -> Reader:
    """A reader that gives the payload, rendered for the evaluation that it is passed."""
    if isinstance(node, dict):
        entries = [(key, compile_payload(value, compile_slot)) for key, value in node.items()]
        return lambda c: {key: read(c) for key, read in entries}
    if isinstance(node, list | tuple):
        items = [compile_payload(item, compile_slot) for item in node]
        return lambda c: [read(c) for read in items]
    if isinstance(node, m.Template):
        parts = [
            (None, part) if isinstance(part, str) else (compile_slot(part.expr), part.format) for part in node.parts
        ]
        return lambda c: "".join(text if read is None else show(read(c), text) for read, text in parts)
    return lambda _: node


def show(value: Any, spec: str = "") -> str:
    """A value as a template prints it.

    Null prints as nothing whatever the format; a value that its format does not fit prints as without one.

    >>> show(0.5), show(2.0), show(1 / 3, ".2f"), show("x", "d"), show(None, ">9")
    ('0.5', '2', '0.33', 'x', '')
    """
    if value is None:
        return ""
    if spec:
        try:
            text = format(value, spec)
            text.encode()  # `c` makes half of a surrogate pair of some numbers, which is no text
            return text
        except (ValueError, TypeError, OverflowError):
            pass
    if type(value) is float:
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)
