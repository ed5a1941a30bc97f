"""Runs the benchmark scenarios and prints a table; ``make bench`` runs the short form.

Every scenario works on the same simulated events (fixed seed). Ratios within one run are what to quote: machines and
moments differ. The hash is of the sorted decisions, so a change of speed that changes results shows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from flows.lines import LineReader
from flows.replay import ACTIONS, ReplayJob, replay
from flows.simulate import simulate
from operators.annotate import default_annotator
from operators.decode import Decoder, PartitionClock
from rules.load import load_rules
from rules.model import RuleSet
from rules.planner import make_plan
from rules.policy import load_policy

PACK = Path(__file__).parent.parent / "rules" / "packs" / "demo.yaml"
SEED = 20_260_301
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one scenario; ``result_hash`` is empty where there are no decisions."""

    scenario: str
    events: int
    seconds: float
    events_per_second: int
    result_hash: str = ""


def decode_only(rules: RuleSet, files: list[Path], _: Path) -> tuple[int, str]:
    """The limit: reading and decoding, with the fields that the pack reads."""
    decoder = Decoder(
        make_plan(rules).fields, lateness_ms=10_000, max_jump_ms=366 * DAY_MS, annotate=default_annotator()
    )
    events = 0
    for path in files:
        clock = PartitionClock()
        with LineReader(path) as reader:
            while (raw := reader.read_batch()) is not None:
                events += len(decoder.decode(raw.lines, raw.file, raw.first_line, clock).events)
    return events, ""


def engine(workers: int) -> Callable[[RuleSet, list[Path], Path], tuple[int, str]]:
    """The whole replay with so many processes."""

    def run(rules: RuleSet, files: list[Path], folder: Path) -> tuple[int, str]:
        policy, _ = load_policy(PACK.with_name("demo-policy.yaml"))
        assert policy is not None
        out = folder / f"out-{workers}"
        summary = replay(ReplayJob(rules, tuple(files), out, policy, workers=workers))
        lines = sorted((out / ACTIONS).read_bytes().splitlines())
        return sum(summary["events"].values()), hashlib.blake2b(b"\n".join(lines), digest_size=8).hexdigest()

    return run


SCENARIOS = {"decode": decode_only, "engine-1-process": engine(1), "engine-2-processes": engine(2)}


def main() -> None:
    """Run the scenarios, print the table and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1, help="runs of each scenario")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    console = Console()
    rules, problems = load_rules([PACK])
    assert rules is not None, problems
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="cem-bench-") as name:
        folder = Path(name)
        report = simulate(
            folder / "events", customers=arguments.customers, days=arguments.days, seed=SEED, partitions_per_stream=2
        )
        files = [path for path in report.files if path.name != "truth.ndjson"]
        console.print(
            f"{sum(report.events.values()):,} events of {arguments.customers:,} customers in {len(files)} files"
        )
        for run in range(arguments.runs):
            for scenario, measure in SCENARIOS.items():
                with console.status(f"{scenario}, run {run + 1}"):
                    started = perf_counter()
                    events, result_hash = measure(rules, files, folder)
                    seconds = perf_counter() - started
                rate = round(events / seconds)
                measurements.append(Measurement(scenario, events, round(seconds, 3), rate, result_hash))
    console.print(table(measurements))
    hashes = {m.result_hash for m in measurements if m.result_hash}
    if len(hashes) > 1:
        raise SystemExit(f"the engine's decisions differ between scenarios: {sorted(hashes)}")
    if arguments.json:
        figures = {"python": platform.python_version(), "measurements": [asdict(m) for m in measurements]}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def table(measurements: list[Measurement]) -> Table:
    """Scenarios with their rate and its ratio to decoding alone (the first of the same run)."""
    result = Table("scenario", "events", "seconds", "events/s", "of decode", "decisions", box=None)
    base = measurements[0]
    for m in measurements:
        base = m if m.scenario == "decode" else base
        ratio = m.events_per_second / base.events_per_second
        result.add_row(
            m.scenario, f"{m.events:,}", f"{m.seconds:.2f}", f"{m.events_per_second:,}", f"{ratio:.3f}", m.result_hash
        )
    return result


if __name__ == "__main__":
    main()
