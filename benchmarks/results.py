"""What a benchmark found: figures of every run, what they say in the middle, and whether the goals are met."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.process import Figures

_PACKAGES = ("bytewax", "numpy", "numba", "msgspec")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some runs with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of an alternative: a path into its runs' figures, such as ``latency.p99``.

    Two names are worked out: ``rate`` (events a second) and ``bytes_per_customer``.
    """

    alternative: str
    path: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, or the ratio of two of the same repetition, that is to be at least or at most so much."""

    title: str
    figure: Figure
    to: Figure | None = None
    at_least: float | None = None
    at_most: float | None = None


@dataclass(slots=True)
class ScenarioResult:
    """A scenario's runs: for each alternative the figures of each repetition, in order.

    ``base``: the alternative to whose cost an event those of the others are shown; none if empty.
    """

    name: str
    title: str
    data: Figures
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    base: str = ""

    def spread(self, alternative: str, path: str) -> Spread | None:
        """The spread of a figure, if the alternative's runs have it."""
        values = [figure_of(figures, path) for figures in self.runs.get(alternative, ())]
        known = [value for value in values if value is not None]
        return Spread.of(known) if known else None

    def cost(self, alternative: str) -> Spread | None:
        """How many times the base's time an event takes."""
        goal = Goal("", Figure(self.base, "rate"), Figure(alternative, "rate"))
        return self.measured(goal) if self.base else None

    def measured(self, goal: Goal) -> Spread | None:
        """The spread of a goal's figure or ratio; none if one of its alternatives did not run."""
        own = self.runs.get(goal.figure.alternative, [])
        if goal.to is None:
            values = [figure_of(figures, goal.figure.path) for figures in own]
        else:
            base = self.runs.get(goal.to.alternative, [])
            pairs = [
                (figure_of(a, goal.figure.path), figure_of(b, goal.to.path)) for a, b in zip(own, base, strict=False)
            ]
            values = [a / b if a is not None and b else None for a, b in pairs]
        known = [value for value in values if value is not None]
        return Spread.of(known) if known else None

    def differing(self, groups: Sequence[Sequence[str]], path: str = "result_hash") -> list[str]:
        """Alternatives that ought to have decided the same, in all runs, and did not: one text for each.

        Those of a group have equal hashes, and no run of any group has a ``difference`` from what it was compared with.
        """
        found = [
            f"{self.name}: {alternative}: {figures['difference']}"
            for alternative in dict.fromkeys(name for group in groups for name in group)
            for figures in self.runs.get(alternative, ())
            if figures.get("difference")
        ]
        for group in groups:
            hashes = {
                f"{alternative}: {value}"
                for alternative in group
                for figures in self.runs.get(alternative, ())
                if (value := figures.get(path)) is not None
            }
            if len({text.rpartition(": ")[2] for text in hashes}) > 1:
                found.append(f"{self.name}: {path} differs between {', '.join(sorted(hashes))}")
        return found


def figure_of(figures: Mapping[str, Any], path: str) -> float | None:
    """The figure at a path, worked out where it is one of the two that are."""
    if path == "rate":
        return figures["events"] / figures["seconds"] if figures.get("events") and figures.get("seconds") else None
    if path == "bytes_per_customer":
        if not figures.get("base_rss_bytes") or not figures.get("customers"):
            return None
        return float(figures["peak_rss_bytes"] - figures["base_rss_bytes"]) / float(figures["customers"])
    value: Any = figures
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def is_met(goal: Goal, measured: Spread) -> bool:
    """Whether the median is where the goal wants it."""
    above = goal.at_least is None or measured.median >= goal.at_least
    return above and (goal.at_most is None or measured.median <= goal.at_most)


def machine() -> Figures:
    """What the figures were measured on: processor, cores, memory, versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def as_json(results: Sequence[ScenarioResult], about: Figures, mode: str) -> Figures:
    """All results as one JSON object: every run's figures, and per alternative and goal what they come to."""
    return {
        "version": 1,
        "mode": mode,
        "machine": about,
        "scenarios": {
            result.name: {
                "title": result.title,
                "data": result.data,
                "alternatives": {
                    name: {"rate": _plain(result.spread(name, "rate")), "runs": runs}
                    for name, runs in result.runs.items()
                },
                "skipped": result.skipped,
                "goals": [
                    asdict(goal) | {"measured": _plain(spread), "met": is_met(goal, spread)}
                    for goal in result.goals
                    if (spread := result.measured(goal)) is not None
                ],
            }
            for result in results
        },
    }


def _plain(spread: Spread | None) -> Figures | None:
    return None if spread is None else asdict(spread)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
