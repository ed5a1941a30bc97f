"""What recovery state costs: ``python -m benchmarks.state``; the tables go to standard output and ``build/bench``.

Speed with state by speed without, in pairs that follow one another; bytes written an epoch with a thousand customers
touched, among ten thousand, a hundred thousand and a million; and the time until a killed run goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random
from statistics import median

from benchmarks.event_times import START_MS, Population
from benchmarks.measure_engine import DAY_MS
from benchmarks.measure_state import written
from benchmarks.population import write_population
from benchmarks.process import Figures, MeasureError, measure
from benchmarks.results import machine
from benchmarks.rule_sets import POLICY, write_rules

SPEED_SIZES = ((5_000, 200), (25_000, 40), (100_000, 20))
"""Customers, and events of each: a million events and more, so that there are ten epochs and more."""
TOUCHED, GROUPS, GROUPS_KEPT = 1_000, 24, 8
"""Customers touched in an epoch; so many epochs, the last so many of which are looked at."""
_EVENTS_EACH, _DAYS = 5, 20


def ratios(scratch: Path, customers: int, each: int, pairs: int) -> list[Figures]:
    """Pairs of runs, without state and with it."""
    files = write_population(scratch / f"events-{customers}-{each}", Population(customers, each), 2)
    task = _task(scratch) | {"events": [str(path) for path in files.paths], "task": "state_speed"}
    found = []
    for _ in range(pairs):
        plain, kept = measure(task), measure(task | {"state": str(scratch / "state")})
        processor = plain["processor_seconds"] / kept["processor_seconds"]
        found.append(
            {"plain": plain["rate"], "state": kept["rate"], "ratio": kept["rate"] / plain["rate"]}
            | {"processor": processor}
        )
        print(f"{customers:,} customers: {found[-1]}", file=sys.stderr, flush=True)
    return found


def sparse(scratch: Path, customers: int, restarts: int) -> Figures:
    """All customers have a history; then each epoch touches a thousand. Bytes written, and seconds until it goes on."""
    folder = scratch / f"sparse-{customers}"
    files = write_population(folder, Population(customers, _EVENTS_EACH, _DAYS))
    path = scratch / f"sparse-{customers}.ndjson"
    with path.open("wb") as out:
        with files.paths[0].open("rb") as history:
            shutil.copyfileobj(history, out, 1 << 20)
        tail = _tail(customers)
        out.write(tail)
    state, written_to = scratch / "state", scratch / "out"
    shutil.rmtree(state, ignore_errors=True)
    bytes_each = len(tail) // GROUPS
    task = _task(scratch) | {
        "events": [str(path)], "state": str(state), "out": str(written_to),
        "batch_bytes": bytes_each,
    }  # fmt: skip
    try:
        killed_at_bytes = files.bytes + len(tail) - 4 * bytes_each
        measure(task | {"task": "state_killed", "history_bytes": files.bytes, "killed_at_bytes": killed_at_bytes})
    except MeasureError as error:
        if "code -9" not in str(error):
            raise
    epochs_seen = written(state, GROUPS_KEPT)
    figures: Figures = {
        "touched": median(touched for touched, _, _ in epochs_seen),
        "bytes": median(size for _, size, _ in epochs_seen),
        "row_bytes": median(size for _, _, size in epochs_seen),
        "epochs": len(epochs_seen),
        "state_bytes": sum(file.stat().st_size for file in state.glob("*/*") if file.suffix in (".base", ".delta")),
        "restart_seconds": [],
    }
    for _ in range(restarts):
        copy = scratch / "copy"
        for name in ("state", "out"):
            shutil.rmtree(copy / name, ignore_errors=True)
            shutil.copytree(scratch / name, copy / name)
        # the state knows where its output is, so the originals are used, and brought back
        again = measure(task | {"task": "state_restart"})
        figures["restart_seconds"].append(round(again["seconds"], 1))
        for name in ("state", "out"):
            shutil.rmtree(scratch / name)
            shutil.move(copy / name, scratch / name)
    print(f"{customers:,} customers: {figures}", file=sys.stderr, flush=True)
    return figures


def _task(scratch: Path) -> Figures:
    return {"rules": [str(write_rules(scratch / "rules.yaml", 30))], "policy": str(POLICY)}


def _tail(customers: int) -> bytes:
    """Groups of events after the history; each touches a thousand customers drawn at random, two seconds apart."""
    random, groups = Random(customers), []
    ts_ms = START_MS + (_DAYS + 1) * DAY_MS
    for group in range(GROUPS):
        for place, customer in enumerate(sorted(random.sample(range(customers), min(TOUCHED, customers)))):
            event = {
                "stream": "click", "event_id": f"tail-{group:03d}-{place:05d}", "customer_id": f"C{customer:07d}",
                "ts": ts_ms + group * 20_000 + place, "page": "home", "action": "view",
            }  # fmt: skip
            groups.append(json.dumps(event) + "\n")
    return "".join(groups).encode()


def report(speeds: dict[str, list[Figures]], sparse_figures: dict[int, Figures]) -> str:
    """The tables in Markdown."""
    lines = [
        "| customers, events each | without, events/s | with, events/s | ratio | in processor time |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, pairs in speeds.items():
        plain, kept = (median(pair[key] for pair in pairs) for key in ("plain", "state"))
        spans = [_span([pair[key] for pair in pairs]) for key in ("ratio", "processor")]
        lines.append(f"| {name} | {plain:,.0f} | {kept:,.0f} | {' | '.join(spans)} |")
    lines += ["", "| customers | touched in an epoch | bytes written | of the state | goes on after, s |",
              "|--:|--:|--:|--:|--:|"]  # fmt: skip
    for customers, figures in sparse_figures.items():
        share = figures["bytes"] / figures["state_bytes"]
        restarts = _span(figures["restart_seconds"], 1) if figures["restart_seconds"] else ""
        lines.append(
            f"| {customers:,} | {figures['touched']:,.0f} | {figures['bytes']:,.0f} | {share:.2%} | {restarts} |"
        )
    return "\n".join(lines) + "\n"


def _span(values: list[float], digits: int = 2) -> str:
    """The median, with the lowest and the highest."""
    middle, lowest, highest = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({lowest} – {highest})"


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.state", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs for each ratio (5)")
    parser.add_argument("--restarts", type=int, default=3, help="restarts of each size (3)")
    parser.add_argument("--speed-customers", type=int, nargs="*", default=[size for size, _ in SPEED_SIZES])
    parser.add_argument("--sparse-customers", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--scratch", type=Path, help="folder for events and state, kept (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for results (build/bench)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cem-bench-") as temporary:
        scratch = (options.scratch or Path(temporary)).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        each_of = dict(SPEED_SIZES)
        speeds = {}
        for customers in options.speed_customers:
            each = each_of.get(customers, 20)
            speeds[f"{customers:,}, {each}"] = ratios(scratch, customers, each, options.pairs)
        sparse_figures = {size: sparse(scratch, size, options.restarts) for size in options.sparse_customers}
    options.out.mkdir(parents=True, exist_ok=True)
    figures = {"machine": machine(), "speed": speeds, "sparse": sparse_figures}
    (options.out / "state.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    page = report(speeds, sparse_figures)
    (options.out / "state.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
