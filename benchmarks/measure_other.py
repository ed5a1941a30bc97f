"""Measured runs of what is compared on the same rules: modules with a function ``run(events, out, …)``."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from pathlib import Path

from benchmarks.process import Figures
from benchmarks.result import Result, count_lines, decision_keys

AGAIN, MARGINAL = "again", "again, without the start"


def other(task: Figures) -> Figures:
    """Run the alternative in ``module`` over the events.

    ``further`` has the figures of a repetition in the same process, by ``AGAIN`` and ``MARGINAL``, where there was one.
    If one of them is given, decisions are copied to the file ``keep``, or compared with those of the file ``expected``.
    """
    run = importlib.import_module(task["module"]).run
    with tempfile.TemporaryDirectory(prefix="cem-bench-") as name:
        out = Path(name) / "decisions.ndjson"
        result = run([Path(path) for path in task["events"]], out, **task.get("options", {}))
        figures = _figures(result)
        if task.get("keep"):
            shutil.copyfile(out, task["keep"])
        if task.get("expected"):
            figures |= comparison(Path(task["expected"]), out)
        further = {AGAIN: getattr(result, "again", None), MARGINAL: getattr(result, "marginal", None)}
        figures["further"] = {row: _figures(measured) for row, measured in further.items() if measured}
    return figures


def _figures(result: Result) -> Figures:
    return {
        "seconds": result.seconds,
        "events": result.events,
        "decisions": result.decisions,
        "cpu_us": 1e6 * result.cpu_seconds / result.events,
    }


def comparison(expected: Path, out: Path) -> Figures:
    """How many decisions of two files are the same, and in ``difference`` what is not; it is empty if all are."""
    wanted, decided = decision_keys(expected), decision_keys(out)
    only_wanted, only_decided = sorted(wanted - decided), sorted(decided - wanted)
    difference = ""
    if only_wanted or only_decided:
        difference = (
            f"{len(only_wanted)} decisions are missing, as {only_wanted[:3]}, "
            f"and {len(only_decided)} are its own, as {only_decided[:3]}"
        )
    elif (twice := count_lines([out]) - count_lines([expected])) != 0:
        difference = f"{twice:+} decisions that were made before"
    return {"agreeing": len(wanted & decided), "difference": difference}
