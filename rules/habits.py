"""What models ask of a customer's habits: aggregates of the features of models, which rules don't have."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.model import Expr, Selector
from rules.parse_arguments import bare_selector, count_is_wrong, keywords_of, selector_field

if TYPE_CHECKING:
    from rules.parse import Parser

WITH_FIELD = ("unusual_amount", "unusual_value")
HABITS = (*WITH_FIELD, "unusual_hour", "unusual_pace")


@dataclass(frozen=True, slots=True)
class Habit(Expr):
    """How unusual the anchor is among the customer's matching events before it; null if it is none of them itself.

    ``op`` is one of ``HABITS``; ``timezone`` is that of ``unusual_hour``.
    """

    op: str
    selector: Selector
    field: str | None
    timezone: str = ""


def habit(parser: Parser, node: ast.Call, name: str) -> Expr:
    """The node of a call of one of ``HABITS``."""
    if not parser.scope.in_model:
        hint = 'make it a feature of a model, and ask for the score: score("…")'
        return parser.fail("E204", node, f"`{name}` is for the features of models only", hint)
    if parser.stream is not None:
        return parser.fail("E210", node, "a selector can't use aggregates")
    keywords_of(parser, node, name)
    wrong = count_is_wrong(parser, node, name, 1, 1)
    if wrong:
        return wrong
    selector: Selector | None
    field = None
    if name in WITH_FIELD:
        selector, field = selector_field(parser, node.args[0], name)
    else:
        selector = bare_selector(parser, node.args[0], name)
    timezone = parser.scope.timezone if name == "unusual_hour" else ""
    return parser.bad() if selector is None else Habit(name, selector, field, timezone)
