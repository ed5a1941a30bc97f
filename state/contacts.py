"""The contact ledger of one customer: what was emitted when, for cooldowns and caps."""

from __future__ import annotations

from bisect import bisect_right

RuleKey = tuple[str, str | None]
"""Rule id and, for a date rule with ``each``, the holding's id."""

UNCAPPED_CLASS = "risk"
"""The class that neither counts towards nor is held by the cap on all classes."""


class ContactLedger:
    """Emitted decisions of one customer, or of one shadow rule for that customer: what it would have emitted."""

    __slots__ = ("_by_class", "_last")

    def __init__(self) -> None:
        self._last: dict[RuleKey, int] = {}
        self._by_class: dict[str, list[int]] = {}

    def record(self, key: RuleKey, rule_class: str, t_ms: int, horizon_ms: int) -> None:
        """Record an emitted decision; times never fall. What is older than ``horizon_ms`` counts for no cap."""
        self._last[key] = t_ms
        for name in (rule_class,) if rule_class == UNCAPPED_CLASS else (rule_class, "*"):
            times = self._by_class.setdefault(name, [])
            times.append(t_ms)
            if not len(times) & 63:
                del times[: bisect_right(times, t_ms - horizon_ms)]

    def last_ms(self, key: RuleKey) -> int | None:
        """When the rule last emitted, null if never."""
        return self._last.get(key)

    def count(self, rule_class: str, after_ms: int) -> int:
        """Number of decisions of a class (``*``: of all but risk) emitted after ``after_ms``."""
        times = self._by_class.get(rule_class)
        return len(times) - bisect_right(times, after_ms) if times else 0
