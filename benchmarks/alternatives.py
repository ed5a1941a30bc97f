"""Compares the engine with a Bytewax flow of operators and with Flink SQL: the same five rules on the same events.

Every run is a process of its own; the alternatives take turns, so that a busy moment hits them alike. All must come to
the engine's decisions, or the comparison fails. What the alternatives leave out is in docs/comparison.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import flink_sql, idiomatic
from benchmarks.customer_files import write_customer_files
from benchmarks.result import Result, decision_keys, measure
from flows.replay import ACTIONS, ReplayJob, replay
from flows.simulate import simulate
from rules.load import load_rules

RULES = Path(__file__).parent / "rules" / "five.yaml"
SEED = 20_260_302
ENGINE = "engine, 1 process"
Run = Callable[[Sequence[Path], Path], Result]


class DisagreementError(Exception):
    """An alternative decided otherwise than the engine."""


@dataclass(slots=True)
class Runs:
    """What one alternative took, run by run, and how many of its decisions are the engine's."""

    name: str
    results: list[Result] = field(default_factory=list)
    agreeing: int = 0

    def median(self, quantity: str) -> float:
        """Of ``seconds`` or ``cpu_seconds``."""
        return float(statistics.median(getattr(result, quantity) for result in self.results))


def run_engine(events: Sequence[Path], out: Path, *, workers: int = 1) -> Result:
    """The engine's replay; its decisions end up in ``out``."""
    rules, problems = load_rules([RULES])
    if rules is None:
        raise ValueError(f"{RULES}: {problems}")
    folder = out.with_name(out.name + ".engine")
    folder.mkdir(parents=True, exist_ok=True)

    def work() -> None:
        replay(ReplayJob(rules, tuple(events), folder, workers=workers))
        (folder / ACTIONS).replace(out)

    return measure(work, events, out)


def alternatives(*, with_flink: bool) -> dict[str, tuple[int, Run]]:
    """Name, number of event files and how to run it, the engine first."""
    found: dict[str, tuple[int, Run]] = {
        ENGINE: (1, run_engine),
        "engine, 2 processes": (2, partial(run_engine, workers=2)),
        "Bytewax operators, plain": (1, idiomatic.run),
        "Bytewax operators, careful": (1, partial(idiomatic.run, careful=True)),
    }
    if with_flink:
        found["Flink SQL, parallelism 1"] = (1, partial(flink_sql.run, parallelism=1))
        found["Flink SQL, parallelism 2"] = (2, partial(flink_sql.run, parallelism=2))
    return found


def compare(
    events: Sequence[Path], scratch: Path, *, runs: int, with_flink: bool, progress: Callable[[str], object] = print
) -> list[Runs]:
    """Run all of them ``runs`` times in turn.

    Parameters
    ----------
    events
        The files of `cem simulate` without ``truth.ndjson``, or any others whose events are neither late nor sent
        twice.
    scratch
        A folder for the events by customer and for the decisions.
    progress
        Is told what is being run.

    Raises
    ------
    DisagreementError
        The Bytewax flow decided otherwise than the engine, or two engine runs differ.
    """
    files = {count: write_customer_files(events, scratch / f"events-{count}", count) for count in (1, 2)}
    chosen = alternatives(with_flink=with_flink)
    progress("engine, not measured: fills its caches")
    _in_fresh_process(run_engine, files[1], scratch / "decisions")
    expected = decision_keys(scratch / "decisions")
    found: defaultdict[str, Runs] = defaultdict(lambda: Runs(""))
    for number in range(runs):
        for name, (partitions, run) in chosen.items():
            progress(f"{name}, run {number + 1} of {runs}")
            result = _in_fresh_process(run, files[partitions], scratch / "decisions")
            decided = decision_keys(scratch / "decisions")
            rows = [(name, result)]
            if isinstance(result, flink_sql.FlinkResult):
                further = [(f"{name}, again", result.again), (f"{name}, again, without the start", result.marginal)]
                rows += [(row, measured) for row, measured in further if measured]
            elif decided != expected:
                raise DisagreementError(difference(name, expected, decided))
            for row, measured in rows:
                found[row].name = row
                found[row].results.append(measured)
                found[row].agreeing = len(decided & expected)
    return list(found.values())


def _in_fresh_process(run: Run, events: Sequence[Path], out: Path) -> Result:
    """The interpreter starts and imports before the measured part begins."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, events, out).result()


def difference(name: str, expected: set[tuple[str, str, str]], decided: set[tuple[str, str, str]]) -> str:
    """Says how many decisions differ, with examples."""
    only_engine, only_other = sorted(expected - decided), sorted(decided - expected)
    return (
        f"{name}: decisions differ from the engine's: {len(only_engine)} of the engine's are missing, as "
        f"{only_engine[:3]}, and {len(only_other)} are its own, as {only_other[:3]}"
    )


def table(found: Sequence[Runs]) -> Table:
    """Medians, the range of seconds, CPU per event, and how many times the time and CPU of the engine (1 process)."""
    columns = (
        "",
        "seconds",
        "min..max",
        "events/s",
        "CPU µs/event",
        "× engine",
        "× engine's CPU",
        "decisions",
        "agree",
    )
    result = Table(*columns, box=None)
    engine = found[0]
    for runs in found:
        seconds = [one.seconds for one in runs.results]
        first = runs.results[0]
        median, cpu_seconds = runs.median("seconds"), runs.median("cpu_seconds")
        result.add_row(
            runs.name, f"{median:.2f}", f"{min(seconds):.2f}..{max(seconds):.2f}", f"{first.events / median:,.0f}",
            f"{1e6 * cpu_seconds / first.events:.2f}", f"{median / engine.median('seconds'):.2f}",
            f"{cpu_seconds / engine.median('cpu_seconds'):.2f}", f"{first.decisions:,}", f"{runs.agreeing:,}",
        )  # fmt: skip
    return result


def figures(found: Sequence[Runs]) -> dict[str, Any]:
    """The same as JSON, with every run."""
    return {
        "python": platform.python_version(),
        "alternatives": [
            {"name": runs.name, "agreeing": runs.agreeing, "runs": [asdict(result) for result in runs.results]}
            for runs in found
        ],
    }


def main() -> None:
    """Simulate, compare, print the table and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--runs", type=int, default=3, help="runs of each")
    parser.add_argument("--no-flink", action="store_true", help="leave Flink SQL out")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=140)
    lack = "" if arguments.no_flink else flink_sql.missing()
    if lack:
        console.print(lack, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="cem-alternatives-") as name, console.status("simulating") as status:
        folder = Path(name)
        report = simulate(folder / "events", customers=arguments.customers, days=arguments.days, seed=SEED)
        events = [path for path in report.files if path.name != "truth.ndjson"]
        console.print(f"{sum(report.events.values()):,} events of {arguments.customers:,} customers")
        try:
            found = compare(
                events, folder, runs=arguments.runs, with_flink=not (lack or arguments.no_flink), progress=status.update
            )
        except (DisagreementError, flink_sql.FlinkError) as error:
            sys.exit(str(error))
    console.print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures(found), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
