"""Renders an action's payload: the strings with ``{expression:format}`` slots, wherever they stand in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rules import model as m
from rules.evaluate import Reader


def compile_payload(node: Any, compile_slot: Callable[[m.Expr], Reader]) -> Reader:
    """A reader that gives the payload, rendered for the evaluation that it is passed."""
    if not _has_slots(node):
        return lambda _: node
    if isinstance(node, dict):
        entries = [(key, compile_payload(value, compile_slot)) for key, value in node.items() if _has_slots(value)]

        def render(c: Any) -> dict[str, Any]:
            rendered = node.copy()  # with all keys in their order
            for key, read in entries:
                rendered[key] = read(c)
            return rendered

        return render
    if isinstance(node, m.Template):
        return _compile_template(node, compile_slot)
    items = [compile_payload(item, compile_slot) for item in node]
    return lambda c: [read(c) for read in items]


def _has_slots(node: Any) -> bool:
    if isinstance(node, dict | list | tuple):
        return any(map(_has_slots, node.values() if isinstance(node, dict) else node))
    return isinstance(node, m.Template)


def _compile_template(template: m.Template, compile_slot: Callable[[m.Expr], Reader]) -> Reader:
    texts = [part if isinstance(part, str) else "" for part in template.parts]
    slots = [
        (place, compile_slot(part.expr), part.format)
        for place, part in enumerate(template.parts)
        if not isinstance(part, str)
    ]

    def render(c: Any) -> str:
        rendered = texts.copy()
        for place, read, spec in slots:
            value = read(c)
            rendered[place] = value if type(value) is str and not spec else show(value, spec)
        return "".join(rendered)

    return render


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
