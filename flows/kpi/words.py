"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Format = Callable[[Any], str]

_TIMES = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))
NONE = "-"


def count(value: Any) -> str:
    """A whole number; a hyphen for none."""
    return NONE if value is None else f"{int(value):,}"


def number(value: Any) -> str:
    """A number with two decimals."""
    return NONE if value is None else f"{value:,.2f}"


def score(value: Any) -> str:
    """A net promoter score."""
    return NONE if value is None else f"{value:+.1f}"


def percent(value: Any) -> str:
    """A share of one in percent.

    >>> percent(0.0625), percent(None)
    ('6.2 %', '-')
    """
    return NONE if value is None else f"{100 * value:.1f} %"


def points(value: Any) -> str:
    """A difference of shares in percentage points."""
    return NONE if value is None else f"{100 * value:+.1f}"


def span(value: Any) -> str:
    """A time in milliseconds, in the largest unit that it fills.

    >>> span(90_000), span(5_400_000), span(250)
    ('1.5 min', '1.5 h', '250 ms')
    """
    if value is None:
        return NONE
    for size_ms, unit in _TIMES:
        if abs(value) >= size_ms:
            return f"{value / size_ms:.1f} {unit}"
    return f"{value:.0f} ms"


def between(low: Any, high: Any, form: Format) -> str:
    """An interval."""
    return NONE if low is None or high is None else f"{form(low)} to {form(high)}"


def unit_ms(value_ms: float) -> int:
    """The largest unit that a time fills, in milliseconds."""
    return next((size_ms for size_ms, _ in _TIMES if abs(value_ms) >= size_ms), 1)


def text(value: Any) -> str:
    """A value of a dimension."""
    return "(none)" if value is None or value == "" else str(value)


VOICE: Mapping[str, Format] = {"nps": score, "csat": percent, "ces": number}
"""By metric."""

TICKET: Mapping[str, tuple[str, Format]] = {
    "first_response_ms": ("first response time", span),
    "resolution_ms": ("resolution time", span),
    "resolved": ("resolved", percent),
    "reopened": ("reopened, of resolved ever", percent),
    "first_contact": ("first-contact resolution", percent),
    "sla_first_response": ("answered within the SLA", percent),
    "sla": ("resolved within the SLA", percent),
    "sla_statutory": ("within the statutory limit", percent),
    "warned": ("with a warning", percent),
    "breached": ("with a breach", percent),
    "illegal": ("with an illegal step", percent),
    "repeat": ("repeated", percent),
    "satisfaction": ("satisfaction, 1 to 5", number),
    "satisfied": ("satisfied (4 or 5)", percent),
}
"""By figure: its name and form, in the order in which they are shown."""
