"""The functions of the language: names, numbers of arguments, keywords."""

from __future__ import annotations

SCALARS: dict[str, tuple[int, int]] = {
    "abs": (1, 1),
    "coalesce": (1, 1000),
    "days_until": (1, 1),
    "endswith": (2, 2),
    "hour": (1, 1),
    "is_null": (1, 1),
    "len": (1, 1),
    "lower": (1, 1),
    "matches": (2, 2),
    "max": (2, 1000),
    "min": (2, 1000),
    "round": (1, 2),
    "seconds": (1, 1),
    "startswith": (2, 2),
    "weekday": (1, 1),
}
"""Scalar functions: the fewest and the most positional arguments."""

SELECTOR_FUNCTIONS = frozenset(
    ["startswith", "endswith", "matches", "lower", "len", "abs", "hour", "weekday", "is_null"]
)
"""Functions that may stand inside a selector's brackets."""

ZONED = frozenset({"hour", "weekday", "days_until", "days_until_yearly"})
"""Functions whose value depends on the rule's time zone."""

WINDOWED = ("count", "sum", "mean", "min", "max", "std", "distinct")
"""Aggregates that take a window and ``per``."""

AGGREGATES = frozenset({*WINDOWED, "last", "prev", "age", "novel", "seq", "streak", "rises", "score"})
"""Functions of more than the values in the text: they have state."""

STREAK_AGGREGATES = ("count", "sum", "min", "max")
"""Aggregates that may stand in a streak's condition."""

ALL = frozenset(SCALARS) | AGGREGATES

WINDOW_KEYWORDS = ("last", "prior", "this")
PERIODS = ("day", "week", "month")

KEYWORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(WINDOWED, (*WINDOW_KEYWORDS, "per")),
    "novel": ("prior",),
    "seq": ("last",),
    "streak": ("by",),
    "days_until": ("yearly",),
}
"""Function -> its keywords; functions that are not listed have none."""
