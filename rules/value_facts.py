"""What must hold of one value, gathered from comparisons with constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Facts:
    """What must hold of one value: in an interval, one of ``allowed`` (None: any), none of ``excluded``."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    is_number: bool = False
    allowed: list[Any] | None = None
    excluded: list[Any] = field(default_factory=list)

    def holds_for(self, value: Any) -> bool:
        """Whether ``value`` fits all that is known."""
        if any(_same(value, other) for other in self.excluded):
            return False
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number:
            return not self.is_number
        above = value > self.low or (value == self.low and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def impossible(self) -> bool:
        """Whether nothing fits."""
        if self.allowed is not None:
            return not any(self.holds_for(value) for value in self.allowed)
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def narrow(self, values: list[Any]) -> None:
        """The value must be one of ``values``."""
        if self.allowed is None:
            self.allowed = values
        else:
            self.allowed = [v for v in self.allowed if any(_same(v, other) for other in values)]

    def order(self, op: str, bound: float) -> None:
        """The value must be a number that is ``op`` (an ordering) ``bound``."""
        self.is_number = True
        if op in (">", ">=") and (bound > self.low or (bound == self.low and op == ">")):
            self.low, self.low_open = bound, op == ">"
        if op in ("<", "<=") and (bound < self.high or (bound == self.high and op == "<")):
            self.high, self.high_open = bound, op == "<"


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
