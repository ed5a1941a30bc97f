"""The scenarios, by their permanent names: what is compared on which events, and the goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import flink_sql
from benchmarks.event_times import Population
from benchmarks.measure_other import AGAIN, MARGINAL
from benchmarks.population import EventFiles, write_population
from benchmarks.process import Figures
from benchmarks.results import Figure, Goal
from benchmarks.rule_sets import POLICY, SCORES, SEED, write_rules

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. ``runs``: repetitions of each alternative; ``customers`` have ``EACH`` events each.

    ``populations`` are of customers with 20 events each, as many as are to fit into a customer's memory.
    """

    runs: int
    customers: int
    populations: tuple[int, ...]
    partitions: tuple[int, ...]
    process_customers: int
    other_customers: int
    paced_seconds: int


SHORT = Size(1, 2_500, (10_000, 50_000), (2,), 5_000, 2_000, 10)
FULL = Size(3, 20_000, (10_000, 100_000, 1_000_000), (2, 4), 20_000, 20_000, 60)
EACH = 100
"""With so many events of each customer, profiles are one of a hundred, as in a bank's stream."""


@dataclass(slots=True)
class Scenario:
    """Alternatives measured in turn, ``runs`` times round.

    ``same``: groups of alternatives whose decisions must be equal. ``base``: the alternative that costs are shown by.
    ``fresh``: by alternative, a folder that is emptied before its run.
    """

    name: str
    title: str
    data: Figures
    tasks: dict[str, Figures]
    goals: tuple[Goal, ...] = ()
    same: tuple[tuple[str, ...], ...] = ()
    base: str = ""
    skipped: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    fresh: dict[str, Path] = field(default_factory=dict)


class Workshop:
    """Makes what the scenarios need, in a folder; what is there already is used again."""

    def __init__(self, folder: Path, size: Size, progress: Progress) -> None:
        self.folder, self.size, self._progress = folder, size, progress

    def events(self, customers: int, partitions: int, **options: Any) -> EventFiles:
        """Event files of a population."""
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
    events = shop.events(shop.size.customers, 2, events_each=EACH)
    tasks = {f"{n} rules": shop.engine(n, events) for n in (10, 30, 100, 300)}
    decode, ten = tasks["30 rules"] | {"task": "decode"}, Figure("10 rules", "seconds")
    return Scenario(
        "rules", "decoding alone, and the engine by number of rules", _about(events, rule_seed=SEED),
        {"decode only": decode, "columns only": decode | {"into": "columns"}} | tasks,
        goals=(
            Goal("30 rules: of the rate of decoding", Figure("30 rules", "rate"), Figure("decode only", "rate"), 0.35),
            Goal("100 rules: times the cost of 10", Figure("100 rules", "seconds"), ten, at_most=1.6),
            Goal("300 rules: times the cost of 10", Figure("300 rules", "seconds"), ten, at_most=3.0),
        ),
        same=tuple((name,) for name in tasks),
    )  # fmt: skip


def models(shop: Workshop) -> Scenario:
    """30 rules, and the same with two models that score every outgoing payment."""
    events = shop.events(shop.size.customers, 2, events_each=EACH)
    plain = shop.engine(30, events, steady=True)
    task = plain | {"rules": [*plain["rules"], str(SCORES)]}
    with_models = "30 rules and two models"
    return Scenario(
        "models", "30 rules, without models and with two that score outgoing payments", _about(events),
        {"30 rules": plain, with_models: task},
        goals=(
            Goal("rate with two models", Figure(with_models, "steady_rate"), Figure("30 rules", "steady_rate"), 0.7),
        ),
        same=(("30 rules",), (with_models,)),
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
    """(f): one process and two; and two engines apart, which is what two could be at best on this machine."""
    tasks: dict[str, Figures] = {}
    goals: list[Goal] = []
    same: list[str] = []
    data: Figures = {}
    for partitions in shop.size.partitions:
        events = shop.events(shop.size.process_customers, partitions, events_each=EACH)
        data |= {f"{key}_{partitions}": value for key, value in _about(events).items()}
        small = [str(path) for path in shop.events(100, partitions).paths]
        names = [f"{n} of {partitions} partitions" for n in ("1 process", "2 processes")]
        for workers, name in enumerate(names, 1):
            tasks[name] = shop.engine(30, events, workers=workers, steady=True, small=small)
        same += names
        apart = f"2 engines apart, {partitions} partitions"
        tasks[apart] = shop.engine(30, events, task="apart", steady=True)
        one, two, limit = (Figure(name, "steady_rate") for name in (*names, apart))
        goals += [
            Goal(f"2 processes to 1, {partitions} partitions", two, one, 1.7),
            Goal(f"2 processes to 2 engines apart, {partitions} partitions", two, limit, 0.9),
        ]
    return Scenario(
        "processes", "30 rules in one process and in two", data, tasks, tuple(goals), same=(tuple(same),)
    )  # fmt: skip


def latency(shop: Workshop) -> Scenario:
    """(g): from reading a message to handing its decision to the sink."""
    per_second = 5_000
    paced = per_second * shop.size.paced_seconds
    events = shop.events(max(shop.size.customers, 2 * paced // EACH), 1, events_each=EACH, jitter_ms=0)
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
    """(c) and (d): the same five rules in other ways, on the same events in order.

    One file for one process, two for two: the others read one file as one partition, and don't order events over
    several. Decisions are compared with those of the engine's first run.
    """
    files = {n: shop.events(shop.size.other_customers, n, events_each=EACH, jitter_ms=0) for n in (1, 2)}
    expected = str(shop.folder / "decisions-of-five-rules")
    scenario = Scenario("alternatives", "five rules in other ways, on the same events", _about(files[1]), {})

    def add(name: str, module: str, partitions: int = 1, *, may_fail: bool = False, **options: Any) -> None:
        compared = {"expected": expected} if scenario.tasks else {"keep": expected}
        scenario.tasks[name] = compared | {
            "task": "other", "module": f"benchmarks.{module}", "options": options, "may_fail": may_fail,
            "events": [str(path) for path in files[partitions].paths],
        }  # fmt: skip

    engine = {n: f"engine, {n} process{'es' if n > 1 else ''}" for n in (1, 2)}
    plain, careful = "Bytewax operators, plain", "Bytewax operators, careful"
    flink = {n: f"Flink SQL, parallelism {n}" for n in (1, 2)}
    for n in (1, 2):
        add(engine[n], "five_rules", n, workers=n)
    add(plain, "idiomatic")
    add(careful, "idiomatic", careful=True)
    lack = flink_sql.missing()
    for n in (1, 2):
        if lack:
            scenario.skipped[flink[n]] = lack
        else:
            add(flink[n], "flink_sql", n, may_fail=True, parallelism=n)
    warm = f"{engine[1]}, {AGAIN}"
    # Again, two processes are new processes, while Flink's are there: that is no comparison, but for the events alone.
    rows = [(1, "warm-up included", ""), (1, "repeated", f", {AGAIN}"), (1, "without the start", f", {MARGINAL}")]
    rows += [(2, "warm-up included", ""), (2, "without the start", f", {MARGINAL}")]
    scenario.goals = (
        Goal(f"{engine[1]} to {careful}", Figure(warm, "rate"), Figure(careful, "rate"), 4),
        *(
            Goal(
                f"{engine[n]} to {flink[n]}, {words}",
                Figure(f"{engine[n]}{row}", "rate"), Figure(f"{flink[n]}{row}", "rate"), 8,
            )
            for n, words, row in rows
        ),
    )  # fmt: skip
    scenario.same = ((*engine.values(), plain, careful),)
    scenario.base = warm
    return scenario


SCENARIOS: dict[str, Callable[[Workshop], Scenario]] = {
    "rules": by_rules, "models": models, "alternatives": alternatives, "customers": by_customers,
    "processes": by_processes, "latency": latency, "startup": startup,
}  # fmt: skip


def _about(events: EventFiles, **more: Any) -> Figures:
    return {"seed": Population(1).seed, "events": events.events, "bytes": events.bytes, "digest": events.digest} | more
