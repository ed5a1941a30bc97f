"""The scenarios, by their permanent names: what is compared on which events, and the goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.event_times import Population
from benchmarks.measure_other import missing
from benchmarks.population import EventFiles, write_population
from benchmarks.process import Figures
from benchmarks.results import Figure, Goal
from benchmarks.rule_sets import POLICY, RULES_FOLDER, SEED, write_rules

FIVE = RULES_FOLDER / "five.yaml"
Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. ``runs``: repetitions of each alternative."""

    runs: int
    customers: int
    populations: tuple[int, ...]
    partitions: tuple[int, ...]
    process_customers: int
    other_customers: int
    paced_seconds: int


SHORT = Size(1, 20_000, (10_000, 100_000), (2,), 50_000, 10_000, 10)
FULL = Size(3, 100_000, (10_000, 100_000, 1_000_000), (2, 4), 200_000, 100_000, 60)


@dataclass(slots=True)
class Scenario:
    """Alternatives measured in turn, ``runs`` times round.

    ``same``: groups of alternatives whose decisions must be equal; ``same_set``: the same by rule, customer and anchor.
    ``fresh``: by alternative, a folder that is emptied before its run.
    """

    name: str
    title: str
    data: Figures
    tasks: dict[str, Figures]
    goals: tuple[Goal, ...] = ()
    same: tuple[tuple[str, ...], ...] = ()
    same_set: tuple[tuple[str, ...], ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    fresh: dict[str, Path] = field(default_factory=dict)


class Workshop:
    """Makes what the scenarios need, in a folder; what is there already is used again."""

    def __init__(self, folder: Path, size: Size, progress: Progress) -> None:
        self.folder, self.size, self._progress = folder, size, progress

    def events(self, customers: int, partitions: int, **options: Any) -> EventFiles:
        """Event files of a population of 20 events each."""
        extras = "".join(f"-{key}-{value}" for key, value in options.items())
        name = f"events-{customers}-in-{partitions}{extras}"
        population = Population(customers, **options)
        return write_population(
            self.folder / name, population, partitions, lambda done: self._progress(name, done, population.events)
        )

    def rules(self, count: int) -> list[str]:
        """A rule file of so many rules."""
        return [str(write_rules(self.folder / f"rules-{count}.yaml", count))]

    def warm(self) -> str:
        """A small event file that goes through before what is measured."""
        return str(self.events(100, 1).paths[0])

    def engine(self, rules: int, events: EventFiles, **more: Any) -> Figures:
        """A task of the engine."""
        return {
            "task": "engine", "rules": self.rules(rules), "policy": str(POLICY), "warm": self.warm(),
            "events": [str(path) for path in events.paths],
        } | more  # fmt: skip


def by_rules(shop: Workshop) -> Scenario:
    """(a) and (b): decoding alone, and the engine with 10, 30, 100 and 300 rules on the same events."""
    events = shop.events(shop.size.customers, 2)
    tasks = {f"{n} rules": shop.engine(n, events) for n in (10, 30, 100, 300)}
    decode, ten = tasks["30 rules"] | {"task": "decode"}, Figure("10 rules", "seconds")
    return Scenario(
        "rules", "decoding alone, and the engine by number of rules", _about(events, rule_seed=SEED),
        {"decode only": decode} | tasks,
        goals=(
            Goal("30 rules: of the rate of decoding", Figure("30 rules", "rate"), Figure("decode only", "rate"), 0.35),
            Goal("100 rules: times the cost of 10", Figure("100 rules", "seconds"), ten, at_most=1.6),
            Goal("300 rules: times the cost of 10", Figure("300 rules", "seconds"), ten, at_most=3.0),
        ),
        same=tuple((name,) for name in tasks),
    )  # fmt: skip


def by_customers(shop: Workshop) -> Scenario:
    """(e): 30 rules, 20 events each, ever more customers."""
    tasks = {}
    digests = {}
    for customers in shop.size.populations:
        events = shop.events(customers, 2)
        tasks[f"{customers} customers"] = shop.engine(30, events, customers=customers, steady=True)
        digests[f"digest_{customers}"] = events.digest
    low, high = (f"{n} customers" for n in (shop.size.populations[0], shop.size.populations[-1]))
    return Scenario(
        "customers", "30 rules by number of customers, 20 events each", {"seed": Population(1).seed} | digests, tasks,
        goals=(
            Goal(f"rate with {high} to {low}", Figure(high, "steady_rate"), Figure(low, "steady_rate"), 0.7),
            Goal(f"bytes a customer, {high}", Figure(high, "bytes_per_customer"), at_most=1536),
        ),
        same=tuple((name,) for name in tasks),
    )  # fmt: skip


def by_processes(shop: Workshop) -> Scenario:
    """(f): one process and two."""
    tasks: dict[str, Figures] = {}
    goals: list[Goal] = []
    data: Figures = {}
    for partitions in shop.size.partitions:
        events = shop.events(shop.size.process_customers, partitions)
        data |= {f"{key}_{partitions}": value for key, value in _about(events).items()}
        names = [f"{n} of {partitions} partitions" for n in ("1 process", "2 processes")]
        for workers, name in enumerate(names, 1):
            tasks[name] = shop.engine(30, events, workers=workers, steady=True)
        one, two = (Figure(name, "steady_rate") for name in names)
        goals.append(Goal(f"2 processes to 1, {partitions} partitions", two, one, 1.7))
    return Scenario(
        "processes", "30 rules in one process and in two", data, tasks, tuple(goals), same=(tuple(tasks),)
    )  # fmt: skip


def latency(shop: Workshop) -> Scenario:
    """(g): from reading a message to handing its decision to the sink."""
    per_second = 5_000
    paced = per_second * shop.size.paced_seconds
    events = shop.events(max(shop.size.customers, paced // 10), 1, jitter_ms=0)
    task = shop.engine(30, events) | {"task": "latency", "per_second": per_second, "paced_events": paced}
    name = "5000 events/s"
    return Scenario(
        "latency", "milliseconds from reading a message to its decision", _about(events), {name: task},
        goals=(
            Goal("p50 in ms", Figure(name, "latency.p50"), at_most=20),
            Goal("p99 in ms", Figure(name, "latency.p99"), at_most=100),
        ),
    )  # fmt: skip


def startup(shop: Workshop) -> Scenario:
    """(h): from the start of the process to the first decision."""
    cache = shop.folder / "numba-cache"
    task = shop.engine(30, shop.events(100, 1)) | {"task": "startup"}
    names = ("first start", "second start")
    return Scenario(
        "startup", "seconds from the start of the process to the first decision", {},
        dict.fromkeys(names, task),
        environments={name: {"NUMBA_CACHE_DIR": str(cache)} for name in names},
        fresh={names[0]: cache},
    )  # fmt: skip


def alternatives(shop: Workshop) -> Scenario:
    """(c) and (d): the same five rules in other ways, on the same events in order."""
    scenario = Scenario("alternatives", "five rules in other ways, on the same events", {}, {})
    if not FIVE.exists():
        scenario.skipped["all"] = f"there is no {FIVE.name} beside the other rules"
        return scenario
    # The others don't order events, and read one file as one partition.
    files = {n: shop.events(shop.size.other_customers, n, jitter_ms=0) for n in (1, 2)}
    scenario.data = _about(files[1])
    ours = {"rules": [str(FIVE)], "policy": None, "decision_set": True, "steady": True}
    one, two = "engine, 1 process", "engine, 2 processes"
    scenario.tasks = {one: shop.engine(30, files[1]) | ours, two: shop.engine(30, files[2], workers=2) | ours}
    flow, flink = "Bytewax operators", ("Flink SQL, parallelism 1", "Flink SQL, parallelism 2")
    others: dict[str, tuple[int, Figures]] = {flow: (1, {"module": "benchmarks.idiomatic"})}
    others |= {
        name: (n, {"module": "benchmarks.flink_sql", "options": {"parallelism": n}}) for n, name in enumerate(flink, 1)
    }
    for name, (partitions, task) in others.items():
        if lack := missing(task["module"]):
            scenario.skipped[name] = lack
        else:
            paths = [str(path) for path in files[partitions].paths]
            scenario.tasks[name] = task | {"task": "other", "events": paths}
    scenario.goals = (
        Goal(f"{one} to {flow}", Figure(one, "rate"), Figure(flow, "rate"), 4),
        Goal(f"{one} to {flink[0]}, warm", Figure(one, "rate"), Figure(flink[0], "warm_rate"), 8),
        Goal(f"{two} to {flink[1]}, warm", Figure(two, "steady_rate"), Figure(flink[1], "warm_rate"), 8),
    )
    scenario.same = ((one, two),)
    scenario.same_set = ((one, two, flow),)
    return scenario


SCENARIOS: dict[str, Callable[[Workshop], Scenario]] = {
    "rules": by_rules, "alternatives": alternatives, "customers": by_customers, "processes": by_processes,
    "latency": latency, "startup": startup,
}  # fmt: skip


def _about(events: EventFiles, **more: Any) -> Figures:
    return {"seed": Population(1).seed, "events": events.events, "bytes": events.bytes, "digest": events.digest} | more
