"""Aggregates, each computed anew from the list of events that its definition names."""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.reference.events import Event, is_number
from tests.reference.localtime import duration_ms, local
from tests.reference.values import finite, key

# Wide enough for exact sums of squares of any doubles; the trap proves that no digit was lost.
EXACT = decimal.Context(prec=4000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.Inexact])

NUMERIC = ("sum", "mean", "min", "max", "std")


@dataclass(frozen=True)
class Window:
    """`last`, `prior`, `this` with its text, or `ever`."""

    kind: str
    text: str = ""

    def holds(self, event: Event, anchor: Event | None, t: int, zone: str) -> bool:
        if self.kind == "ever":
            return True
        if self.kind == "this":
            return local(event.ts, zone).period(self.text) == local(t, zone).period(self.text)
        if self.kind == "prior" and event is anchor:
            return False
        return within(event, duration_ms(self.text), t)


def within(event: Event, length_ms: int, t: int) -> bool:
    """By the event's own time, also if it was late."""
    return t - length_ms < event.ts <= t


def exact(value: int | float) -> Decimal:
    """The shortest decimal that reads as this number: what the sender wrote, up to 15 digits."""
    return Decimal(repr(value))


def total(values: list[Any]) -> int | float | None:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    result = Decimal(0)
    for value in values:
        result = EXACT.add(result, exact(value))
    return finite(float(result))


def deviation(values: list[Any]) -> float | None:
    first = second = Decimal(0)
    for value in values:
        number = exact(value)
        first = EXACT.add(first, number)
        second = EXACT.add(second, EXACT.multiply(number, number))
    n = len(values)
    variance = Fraction(second) / n - (Fraction(first) / n) ** 2
    roots = decimal.Context(prec=60, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    ratio = roots.divide(Decimal(variance.numerator), Decimal(variance.denominator))
    return finite(float(roots.sqrt(ratio)))


def over_field(name: str, values: list[Any]) -> Any:
    """`values` are the field's, of all events in the window, null where missing."""
    if name == "distinct":
        return len({key(value) for value in values if value is not None})
    numbers = [value for value in values if is_number(value)]
    if name == "sum":
        return total(numbers)
    if not numbers:
        return None
    if name == "mean":
        whole = total(numbers)
        try:
            return None if whole is None else finite(whole / len(numbers))
        except OverflowError:
            return None
    if name == "std":
        return deviation(numbers)
    return min(numbers) if name == "min" else max(numbers)


def streak(periods: list[int], current: int) -> int:
    """Consecutive periods, ending with the current one, that are in the list."""
    held = set(periods)
    length = 0
    while current - length in held:
        length += 1
    return length
