"""``python -m benchmarks.faults``: play scenarios one after the other, and tell how they went."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults.all_scenarios import SCENARIOS
from benchmarks.faults.scenario import Result, perform
from benchmarks.faults.stage import Pace, UnplayableError
from flows.services.process import ServiceError

_FIGURES = ("events", "decisions", "repeated_on_kafka", "late_events", "only_live", "only_replay", "dead_letters",
            "caught_up_after_s", "delay_p50_ms", "delay_p99_ms", "events_per_second", "peak_rss_mb")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if all passed, else 1."""
    given = _parser().parse_args(arguments)
    if given.list:
        for found in SCENARIOS.values():
            print(f"{found.name:30} {found.about}")
        return 0
    unknown = [name for name in given.only or [] if name not in SCENARIOS]
    if unknown:
        print(f"no scenario {', '.join(unknown)}; --list shows all", file=sys.stderr)
        return 2
    pace = Pace(given.rate, given.customers, given.full)
    base = given.dir or Path(tempfile.mkdtemp(prefix="faults-"))
    results: list[Result] = []
    for name in given.only or SCENARIOS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            result = perform(SCENARIOS[name], base / name, pace, keep=given.keep)
        except (UnplayableError, ServiceError) as error:
            print(f"  not played: {error}", file=sys.stderr)
            continue
        results.append(result)
        print(f"  {_line(result)}", file=sys.stderr, flush=True)
    print(table(results))
    if given.json:
        given.json.write_text(json.dumps([r.to_json() for r in results], indent=2, default=str), encoding="utf-8")
    return 0 if all(result.passed for result in results) else 1


def table(results: Sequence[Result]) -> str:
    """The results as a table in Markdown."""
    rows = [["scenario", "passed", "s", *_FIGURES]]
    for r in results:
        rows.append(
            [r.name, "yes" if r.passed else "NO", str(r.seconds), *(str(r.figures.get(n, "")) for n in _FIGURES)]
        )
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _line(result: Result) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in result.figures.items())
    return "\n  ".join(
        [f"{'passed' if result.passed else 'FAILED'} in {result.seconds} s: {figures}", *result.problems]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these scenarios")
    parser.add_argument("--list", action="store_true", help="show all scenarios")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="faults of seconds (as is usual)")
    length.add_argument("--full", action="store_true", help="faults as long as in earnest: minutes")
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second (%(default)s)")
    parser.add_argument("--customers", type=int, default=3000, help="(%(default)s)")
    parser.add_argument("--dir", type=Path, help="folder for all files; by default one of the system's")
    parser.add_argument("--keep", action="store_true", help="keep the files of scenarios that passed")
    parser.add_argument("--json", type=Path, help="write the results here too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
