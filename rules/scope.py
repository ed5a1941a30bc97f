"""What an expression may refer to, and where each parsed node stands in the file."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rules.diagnostics import Problems
from rules.model import Position


@dataclass(frozen=True, slots=True)
class ExprText:
    """An expression as written; ``place_of`` gives the position of a character of ``text``."""

    text: str
    place_of: Callable[[int], Position]

    def part(self, start: int, end: int) -> ExprText:
        """The text from ``start`` to ``end``, with its own places."""
        place_of = self.place_of
        return ExprText(self.text[start:end], lambda offset: place_of(start + offset))


@dataclass(slots=True)
class Places:
    """The place of every parsed node, by identity: equal nodes may stand in several places."""

    _by_id: dict[int, tuple[Any, ExprText, int]] = field(default_factory=dict)

    def put(self, node: Any, text: ExprText, offset: int) -> None:
        """Remember that ``node`` stands at ``offset`` of ``text``."""
        self._by_id[id(node)] = (node, text, offset)

    def offset(self, node: Any) -> int:
        """The offset of ``node`` in its expression. Raises KeyError for a node that was never put."""
        return self._by_id[id(node)][2]

    def of(self, node: Any) -> Position:
        """The position of ``node``. Raises KeyError for a node that was never put."""
        _, text, offset = self._by_id[id(node)]
        return text.place_of(offset)


@dataclass(slots=True)
class Scope:
    """The surroundings of one rule's expressions.

    ``all_lets`` are the names of every ``let`` of the rule, ``lets`` those that are known so far; both map the name
    as Python normalises identifiers (NFKC) to the name as written. ``rises_slots`` counts the rule's ``rises`` calls.
    ``in_model``: the expressions are features of a model.
    """

    problems: Problems
    timezone: str
    daily: bool = False
    each_holding: bool = False
    in_model: bool = False
    trigger_streams: tuple[str, ...] = ()
    all_lets: dict[str, str] = field(default_factory=dict)
    lets: dict[str, str] = field(default_factory=dict)
    rises_slots: int = 0
    places: Places = field(default_factory=Places)

    @property
    def named_value(self) -> str:
        """What people call a named expression here."""
        return "feature" if self.in_model else "let"


def identifier_key(name: str) -> str:
    """``name`` as Python's parser gives it back."""
    return unicodedata.normalize("NFKC", name)
