"""A rule's condition for a customer with whom nothing happens just now: some parts wait for an event to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.explain.condition import Condition
from operators.views import is_lasting
from rules import model as m
from rules.walk import walk


class Standing(Condition):
    """The condition of a rule with no event that sets it off.

    ``values`` have what the engine gives at a tick; what an event has to be there for counts as not known, whatever
    its value is there.
    """

    def __init__(self, rule: m.Rule, parts: Mapping[m.Expr, str], values: Mapping[str, Any]) -> None:
        super().__init__(rule, parts, values)
        self._each = rule.each_holding
        self._named = dict(rule.lets)
        self._shown: set[str] = set()
        for name, expr in rule.lets:
            if self.is_known(expr):
                self._shown.add(name)

    def is_known(self, expr: m.Expr) -> bool:
        """Whether it has a value now."""
        return all(
            is_lasting(node, self._shown) or (self._each and isinstance(node, m.HoldingField)) for node in walk(expr)
        )

    def holds(self, expr: m.Expr) -> bool | None:
        """Whether it counts as true; null where only an event can tell. What is known may settle the rest."""
        if self.is_known(expr):
            return super().holds(expr)
        match expr:
            case m.Logic(op, operands):
                truths = [self.holds(operand) for operand in operands]
                settles = op == "or"
                if settles in truths:
                    return settles
                return None if None in truths else not settles
            case m.Unary("not", operand):
                inner = self.holds(operand)
                return None if inner is None else not inner
            case m.LetRef(name):
                return self.holds(self._named[name])
        return None

    def unknown_parts(self) -> int:
        """How many parts of ``when`` that must all hold only an event can tell."""
        when = self._rule.when
        parts = when.operands if isinstance(when, m.Logic) and when.op == "and" else () if when is None else (when,)
        return sum(self.holds(part) is None for part in parts)
