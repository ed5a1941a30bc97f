"""The five rules in the engine, measured as what it is compared with is."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure_engine import rules_of
from benchmarks.result import RepeatedResult, Result, measure, write_start
from flows.replay import ACTIONS, ReplayJob, replay

RULES = Path(__file__).parent / "rules" / "five.yaml"


def run(events: Sequence[Path], out: Path, *, workers: int = 1, warm: bool = True) -> RepeatedResult:
    """Decide about the files and write the decisions to ``out``, which is overwritten.

    With one worker all runs are in this process; more of them are new processes each time.
    """
    rules = rules_of({"rules": [RULES]})

    with tempfile.TemporaryDirectory(prefix="cem-bench-") as name:
        folder = Path(name)

        def measured(paths: Sequence[Path], run_name: str) -> Result:
            into = folder / run_name
            job = ReplayJob(rules, tuple(paths), into, workers=workers)
            return measure(lambda: replay(job), paths, into / ACTIONS)

        first = measured(events, "first")
        out.write_bytes((folder / "first" / ACTIONS).read_bytes())
        further: tuple[Result, ...] = ()
        if warm:
            start = measured(write_start(events, folder / "start-events"), "start")
            further = (measured(events, "again"), start)
    return RepeatedResult(first.seconds, first.cpu_seconds, first.events, first.decisions, *further)
