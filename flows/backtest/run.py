"""Two replays over the same events, one after the other, and a third that counts the customers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from flows.backtest.compare import Comparison, compare
from flows.replay import ACTIONS, ReplayJob, replay
from rules import model as m

Progress = Callable[[str], AbstractContextManager[Any]]
"""Takes a title; within it, gives what ``replay`` wants as ``progress``."""


@dataclass(frozen=True, slots=True)
class Side:
    """How one replay went; ``summary`` is the replay's."""

    seconds: float
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of the comparison; ``customers`` are all in the event files."""

    old: Side
    new: Side
    comparison: Comparison
    customers: int
    rules: dict[str, m.Rule] = field(repr=False, default_factory=dict)


def backtest(old: ReplayJob, new: ReplayJob, progress: Progress, changes: Path | None = None) -> Backtest:
    """Replay both jobs and compare what they decide. Their ``out`` is not written.

    ``changes``: a file that gets a line for each decision that is added, removed or changed. Raises what ``replay``
    raises, and ``OSError`` for ``changes``.
    """
    with tempfile.TemporaryDirectory(prefix="cem-backtest-") as name:
        folder = Path(name)
        customers = _count_customers(replace(new, out=folder / "customers"), progress)
        sides = {}
        for title, job in (("old", old), ("new", replace(new, rules=_with_versions_of(old.rules, new.rules)))):
            with progress(title) as shown:
                started = perf_counter()
                summary = replay(replace(job, out=folder / title), shown)
                sides[title] = Side(perf_counter() - started, summary)
        rules = {rule.id: rule for job in (old, new) for rule in job.rules.rules}
        zones = {rule_id: rule.timezone for rule_id, rule in rules.items()}
        comparison = compare(folder / "old" / ACTIONS, folder / "new" / ACTIONS, zones, changes)
    return Backtest(sides["old"], sides["new"], comparison, customers, rules)


def _with_versions_of(old: m.RuleSet, new: m.RuleSet) -> m.RuleSet:
    """The new rules under the versions that the old ones have.

    Then equal decisions have equal ids, and the tickets are those whose stages the events tell of.
    """
    versions = {rule.id: rule.version for rule in old.rules}
    return replace(new, rules=tuple(replace(rule, version=versions.get(rule.id, rule.version)) for rule in new.rules))


def _count_customers(job: ReplayJob, progress: Progress) -> int:
    """How many customers have an event: a rule that holds at each one's first."""
    counts: list[m.Expr] = [m.Aggregate("count", m.Selector(one), None, m.Window("ever")) for one in m.STREAMS]
    total = counts[0]
    for count in counts[1:]:
        total = m.Arithmetic("+", total, count)
    rule = m.Rule(
        id="customers", version=1, title="", status="live", rule_class="service", priority=0,
        triggers=tuple(m.Selector(one) for one in m.STREAMS), daily=None, each_holding=False, lets=(),
        when=m.Compare(("==",), (total, m.Literal.of(1))), unless=None, cooldown_ms=0,
        actions=(m.Action("tag", {}),), timezone="UTC", position=m.Position("", 0, 0),
    )  # fmt: skip
    with progress("customers") as shown:
        summary = replay(replace(job, rules=m.RuleSet((rule,)), until_ms=None), shown)
    return sum(summary["decisions"].get("customers", {}).values())
