"""Measured runs of what the engine is compared with: modules with a function ``run(events, out, …)``."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path

from benchmarks.measure_engine import hash_of_decisions
from benchmarks.process import Figures, memory_bytes


def available(module: str) -> bool:
    """Whether the alternative is there at all."""
    return importlib.util.find_spec(module) is not None


def other(task: Figures) -> Figures:
    """Run the alternative in ``module`` over the events.

    Its result has ``seconds``, ``events`` and ``decisions``. Where it writes decisions as our engine names them, the
    digest of their set tells whether it decided the same.
    """
    run = importlib.import_module(task["module"]).run
    with tempfile.TemporaryDirectory(prefix="cem-bench-") as name:
        out = Path(name) / "decisions.ndjson"
        result = run([Path(path) for path in task["events"]], out, **task.get("options", {}))
        figures: Figures = {
            "seconds": result.seconds,
            "events": result.events,
            "decisions": result.decisions,
            "peak_rss_bytes": memory_bytes("VmHWM"),
        }
        if out.is_file():
            figures["decision_set"] = hash_of_decisions(out)
    return figures
