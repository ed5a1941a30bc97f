"""The contact ledger of one customer: what was emitted when, for cooldowns and caps."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

RuleKey = tuple[str, str | None]
"""Rule id and, for a date rule with ``each``, the holding's id."""

UNCAPPED_CLASS = "risk"
"""The class that neither counts towards nor is held by the cap on all classes."""

_FEW = 16


class ContactLedger:
    """Emitted decisions of one customer, or of one shadow rule for that customer: what it would have emitted.

    Up to some number they are a tuple of key, class, time, key, class, …: most customers have one or two, and a
    dictionary takes more than all else that is remembered of them. For surveys of a metric the class is a pair of
    class and metric; that is kept whatever the policy, as the next one may have caps of metrics.
    """

    __slots__ = ("_emitted",)

    def __init__(self) -> None:
        self._emitted: tuple[Any, ...] | _Many = ()

    def record(
        self, key: RuleKey, rule_class: str, t_ms: int, horizon_ms: int,
        cooldowns_ms: Mapping[str, int] | None = None, metric: str | None = None,
    ) -> None:  # fmt: skip
        """Record an emitted decision; times never fall. What is older than ``horizon_ms`` counts for no cap.

        ``metric``: that of a survey, null for other decisions.
        With ``cooldowns_ms``, by rule id, what matters for nothing any more is dropped: only a customer to whom
        something happens can gather more and more.
        """
        short, emitted = short_key(key), self._emitted
        if isinstance(emitted, tuple):
            # The oldest says whether there is anything to drop.
            if emitted and emitted[2] <= t_ms - horizon_ms and (len(emitted) == 3 * _FEW or cooldowns_ms is not None):
                over = {short} if cooldowns_ms is None else {short} | _cooled(emitted, t_ms, cooldowns_ms)
                emitted = _without(emitted, t_ms - horizon_ms, over)
            if len(emitted) < 3 * _FEW:
                self._emitted = (*emitted, short, _counted_as(rule_class, metric) if metric else rule_class, t_ms)
                return
            emitted = self._emitted = _Many(emitted)
        emitted.record(short, rule_class, metric, t_ms, horizon_ms, cooldowns_ms)

    def last_ms(self, key: RuleKey) -> int | None:
        """When the rule last emitted, null if never."""
        short, emitted = short_key(key), self._emitted
        if not isinstance(emitted, tuple):
            return emitted.last.get(short)
        for at in range(len(emitted) - 3, -1, -3):
            if emitted[at] == short:
                last_ms: int = emitted[at + 2]
                return last_ms
        return None

    def count(self, rule_class: str, after_ms: int, metric: str | None = None) -> int:
        """Number of decisions of a class (``*``: of all but risk) emitted after ``after_ms``.

        With ``metric`` only surveys of it.
        """
        emitted = self._emitted
        if not isinstance(emitted, tuple):
            return emitted.count(rule_class, after_ms, metric)
        count = 0
        for at in range(len(emitted) - 1, 0, -3):
            if emitted[at] <= after_ms:
                break  # times never fall
            name = emitted[at - 1]
            if type(name) is tuple:
                name, asked = name
                if metric is not None and asked != metric:
                    continue
            elif metric is not None:
                continue
            count += name == rule_class or (rule_class == "*" and name != UNCAPPED_CLASS)
        return count

    def last_times(self) -> list[tuple[str | RuleKey, int]]:
        """The rules (with the holding where there is one), and when each last emitted."""
        emitted = self._emitted
        if isinstance(emitted, tuple):
            return list(dict(zip(emitted[::3], emitted[2::3], strict=True)).items())
        return list(emitted.last.items())

    def to_record(self) -> list[Any]:
        """As values of JSON."""
        emitted = self._emitted
        if isinstance(emitted, tuple):
            return [list(x) if isinstance(x, tuple) else x for x in emitted]
        last = [[list(short) if isinstance(short, tuple) else short, t_ms] for short, t_ms in emitted.last.items()]
        return [last, emitted.by_class]

    @classmethod
    def from_record(cls, record: list[Any]) -> ContactLedger:
        """The ledger of a record."""
        ledger = cls()
        if len(record) == 2:  # else a multiple of three
            last, by_class = record
            many = ledger._emitted = _Many(())
            many.last = {_shared(short): t_ms for short, t_ms in last}
            many.by_class = by_class
        else:
            ledger._emitted = tuple(
                _counted_as(*part) if at % 3 == 1 and isinstance(part, list) else _shared(part)
                for at, part in enumerate(record)
            )
        return ledger

    def forget(self, t_ms: int, horizon_ms: int, cooldowns_ms: Mapping[str, int]) -> bool:
        """Drop what matters for nothing from ``t_ms`` on; whether nothing is left. ``cooldowns_ms``: by rule id."""
        emitted = self._emitted
        if not isinstance(emitted, tuple):
            return emitted.forget(t_ms, horizon_ms, cooldowns_ms)
        over = _cooled(emitted, t_ms, cooldowns_ms)
        self._emitted = _without(emitted, t_ms - horizon_ms, over)
        return not self._emitted


class _Many:
    """The decisions of a customer who has had many."""

    __slots__ = ("_most", "_most_names", "by_class", "last")

    def __init__(self, emitted: tuple[Any, ...]) -> None:
        self._most = self._most_names = 2 * _FEW
        self.last: dict[Any, int] = {}
        self.by_class: dict[str, list[int]] = {}
        for short, counted, t_ms in zip(emitted[::3], emitted[1::3], emitted[2::3], strict=True):
            rule_class, metric = counted if isinstance(counted, tuple) else (counted, None)
            self.record(short, rule_class, metric, t_ms, t_ms + 1, None)

    def record(
        self, short: Any, rule_class: str, metric: str | None, t_ms: int, horizon_ms: int,
        cooldowns_ms: Mapping[str, int] | None,
    ) -> None:  # fmt: skip
        self.last[short] = t_ms
        if cooldowns_ms is not None and len(self.last) > self._most:
            self._forget_cooled(t_ms, cooldowns_ms)
            self._most = max(2 * _FEW, 2 * len(self.last))
        names = (rule_class,) if rule_class == UNCAPPED_CLASS else (rule_class, "*")
        if metric:
            names = (*names, *(_name_of(name, metric) for name in names))
            if len(self.by_class) > self._most_names:  # metrics may be made of anything
                self._forget_uncounted(t_ms - horizon_ms)
                self._most_names = max(2 * _FEW, 2 * len(self.by_class))
        for name in names:
            times = self.by_class.setdefault(name, [])
            times.append(t_ms)
            if times[len(times) >> 1] <= t_ms - horizon_ms:  # half of them count for nothing
                del times[: bisect_right(times, t_ms - horizon_ms)]

    def count(self, rule_class: str, after_ms: int, metric: str | None) -> int:
        times = self.by_class.get(rule_class if metric is None else _name_of(rule_class, metric))
        return len(times) - bisect_right(times, after_ms) if times else 0

    def forget(self, t_ms: int, horizon_ms: int, cooldowns_ms: Mapping[str, int]) -> bool:
        self._forget_cooled(t_ms, cooldowns_ms)
        self._forget_uncounted(t_ms - horizon_ms)
        return not self.last and not self.by_class

    def _forget_uncounted(self, after_ms: int) -> None:
        for name in list(self.by_class):
            times = self.by_class[name]
            del times[: bisect_right(times, after_ms)]
            if not times:
                del self.by_class[name]

    def _forget_cooled(self, t_ms: int, cooldowns_ms: Mapping[str, int]) -> None:
        for short in [key for key, last in self.last.items() if t_ms - last >= _cooldown_ms(key, cooldowns_ms)]:
            del self.last[short]


@lru_cache(maxsize=1_024)
def _counted_as(rule_class: str, metric: str) -> tuple[str, str]:
    """The pair, one for all customers."""
    return rule_class, sys.intern(metric)


def _name_of(rule_class: str, metric: str) -> str:
    """What surveys of a metric are counted under in a record; no class has a colon."""
    return f"{rule_class}:{metric}"


def _shared(value: Any) -> Any:
    """A part of a record as it is kept: a text once for all customers."""
    if isinstance(value, str):
        return sys.intern(value)
    return (sys.intern(value[0]), value[1]) if isinstance(value, list) else value


def short_key(key: RuleKey) -> str | RuleKey:
    """The key as it is kept: for most rules their id, which is there anyway."""
    return key[0] if key[1] is None else key


def _cooldown_ms(short: str | RuleKey, cooldowns_ms: Mapping[str, int]) -> int:
    return cooldowns_ms.get(short if isinstance(short, str) else short[0], 0)  # a rule that is no more has none


def _cooled(emitted: tuple[Any, ...], t_ms: int, cooldowns_ms: Mapping[str, int]) -> set[Any]:
    """The keys whose cooldown is over."""
    last = dict(zip(emitted[::3], emitted[2::3], strict=True))
    return {short for short, last_ms in last.items() if t_ms - last_ms >= _cooldown_ms(short, cooldowns_ms)}


def _without(emitted: tuple[Any, ...], after_ms: int, over: set[Any]) -> tuple[Any, ...]:
    """What was emitted, without what is up to ``after_ms`` and not the last of its key, or of a key that is
    ``over``."""
    if not emitted or emitted[2] > after_ms:  # the oldest
        return emitted
    kept: list[Any] = []
    later = set(over)
    for at in range(len(emitted) - 3, -1, -3):
        if emitted[at + 2] > after_ms or emitted[at] not in later:
            kept = [*emitted[at : at + 3], *kept]
        later.add(emitted[at])
    return tuple(kept)
