"""Measured runs of what the engine is compared with: modules with a function ``run(events, out, …)``."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path

from benchmarks.measure_engine import hash_of_decisions
from benchmarks.process import Figures, memory_bytes


def missing(module: str) -> str:
    """What is lacking for this alternative, in one line; empty if nothing is. Its own ``missing()`` may tell."""
    if importlib.util.find_spec(module) is None:
        return f"there is no module {module}"
    own = getattr(importlib.import_module(module), "missing", None)
    return str(own()) if own else ""


def other(task: Figures) -> Figures:
    """Run the alternative in ``module`` over the events.

    Its result has ``seconds``, ``events`` and ``decisions``. If it was run ``again`` in the same process, the rate of
    that is ``warm_rate``; if it has a ``marginal`` cost, that of further events, its rate is ``steady_rate``. Where it
    writes decisions as the engine names them, the digest of their set tells whether it decided the same.
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
        for name, attribute in (("warm_rate", "again"), ("steady_rate", "marginal")):
            further = getattr(result, attribute, None)
            if further is not None:
                figures[name] = further.events / further.seconds
        if out.is_file():
            figures["decision_set"] = hash_of_decisions(out)
    return figures
