"""Runs the benchmark's scenarios and writes what it found: ``make bench`` the short form, ``make bench-full`` all.

Every scenario compares alternatives in turn, each run in a process of its own, so ratios of one repetition are of the
same minutes of the same machine; they are what to quote. A change of speed that changes results shows in the hashes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.plots import write_plots
from benchmarks.process import MeasureError, measure
from benchmarks.report import as_markdown
from benchmarks.results import ScenarioResult, as_json, figure_of, machine
from benchmarks.scenarios import FULL, SCENARIOS, SHORT, Scenario, Workshop
from flows.kernels import warm_up


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, show the tables, write the files; exit code 1 if decisions differ that must be the same."""
    options = _options(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    size = FULL if options.full else SHORT
    if options.runs:
        size = replace(size, runs=options.runs)
    if options.customers:
        size = replace(
            size, customers=options.customers, process_customers=options.customers, other_customers=options.customers
        )
    mode = "full" if options.full else "short"
    results: list[ScenarioResult] = []
    faults: list[str] = []
    about = machine()
    warm_up(console.print)  # what compiling costs is measured where starting is
    with _progress(console) as progress:
        for name in options.only or SCENARIOS:
            task = progress.add_task(name, total=None)
            shop = Workshop(options.out / "data", size, _telling(progress, task))
            scenario = SCENARIOS[name](shop)
            result = run_scenario(scenario, size.runs, progress, task)
            results.append(result)
            faults += result.differing(scenario.same)
            _write(options.out, mode, results, as_markdown(results, about, mode), about)
    if not options.keep_events:
        shutil.rmtree(options.out / "data", ignore_errors=True)
    if options.plots:
        write_plots(results, options.plots)
    console.print(Markdown(as_markdown(results, about, mode)))
    console.print(f"Written to {options.out}: {mode}.json, {mode}.md")
    if faults:
        raise SystemExit("decisions differ:\n" + "\n".join(faults))


def run_scenario(scenario: Scenario, runs: int, progress: Progress, task: TaskID) -> ScenarioResult:
    """Measure all alternatives of a scenario, one after the other, ``runs`` times round."""
    result = ScenarioResult(scenario.name, scenario.title, scenario.data, goals=scenario.goals, base=scenario.base)
    result.skipped = dict(scenario.skipped)
    progress.update(task, total=runs * len(scenario.tasks), completed=0)
    for run in range(runs):
        for name, what in scenario.tasks.items():
            progress.update(task, description=f"{scenario.name}: {name}, run {run + 1}")
            if name in scenario.fresh:
                shutil.rmtree(scenario.fresh[name], ignore_errors=True)
            if name not in result.skipped:
                try:
                    figures = measure(what, scenario.environments.get(name))
                except MeasureError as error:
                    if not what.get("may_fail"):
                        raise
                    result.skipped[name] = str(error).strip().splitlines()[-1]
                else:
                    further = figures.pop("further", {})
                    result.runs.setdefault(name, []).append(figures | {"customers": what.get("customers")})
                    for row, repeated in further.items():
                        result.runs.setdefault(f"{name}, {row}", []).append(repeated)
                    rate = figure_of(figures, "rate")
                    shown = f"{rate:,.0f} events/s" if rate else f"{figures['seconds']:.2f} s"
                    progress.console.print(f"{scenario.name}: {name}: {shown}")
            progress.advance(task)
    progress.update(task, description=scenario.name)
    return result


def _write(folder: Path, mode: str, results: list[ScenarioResult], page: str, about: dict[str, object]) -> None:
    """After every scenario, so that a run that is broken off leaves what it had."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(as_json(results, about, mode), ensure_ascii=False, indent=1)
    (folder / f"{mode}.json").write_text(figures + "\n", encoding="utf-8")
    (folder / f"{mode}.md").write_text(page, encoding="utf-8")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


class _telling:  # noqa: N801 - used like a function
    """Shows how far the making of events is."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def __call__(self, name: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=f"making {name}", completed=done, total=total)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all sizes, three runs each (default: a short form)")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="this scenario only; may be repeated")
    parser.add_argument("--runs", type=int, help="repetitions of each alternative")
    parser.add_argument("--customers", type=int, help="customers where the scenario does not vary them")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for results (build/bench)")
    parser.add_argument("--plots", type=Path, help="write plots as PNG to this folder")
    parser.add_argument("--keep-events", action="store_true", help="leave the event files for the next time")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
