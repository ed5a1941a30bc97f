"""Each measured run in a process of its own: ``measure`` starts one, and this module run as a program is one.

Memory and caches of one run can't reach the next one that way. A task is a JSON object whose ``task`` names what to do;
the answer is a JSON object of figures. Clocks are the run's own: they leave out the start of the interpreter.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

Figures = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
TASKS = {
    "apart": "benchmarks.measure_engine:apart",
    "decode": "benchmarks.measure_engine:decode",
    "engine": "benchmarks.measure_engine:engine",
    "latency": "benchmarks.measure_flow:latency",
    "startup": "benchmarks.measure_flow:startup",
    "other": "benchmarks.measure_other:other",
    "state_killed": "benchmarks.measure_state:killed",
    "state_restart": "benchmarks.measure_state:restart",
    "state_speed": "benchmarks.measure_state:speed",
}


class MeasureError(Exception):
    """A run failed; the message ends with what it printed."""


def measure(task: Figures, environment: dict[str, str] | None = None) -> Figures:
    """Run a task in a fresh process of this interpreter and wait for its figures.

    Raises
    ------
    MeasureError
        The process failed.
    """
    process = start(task, environment)
    printed, errors = process.communicate()
    return answer(process, printed, errors)


def start(task: Figures, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a task's process; its ``started`` is the clock that all processes of the machine share."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.process", json.dumps(task | {"started": perf_counter()})],
        cwd=ROOT, env=os.environ | (environment or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process


def answer(process: subprocess.Popen[str], printed: str, errors: str) -> Figures:
    """The figures that a finished process printed last."""
    lines = printed.strip().splitlines()
    if process.returncode or not lines:
        raise MeasureError(f"a run ended with code {process.returncode}:\n{errors[-4000:]}")
    figures: Figures = json.loads(lines[-1])
    return figures


def memory_bytes(field: str = "VmRSS") -> int:
    """This process's memory now (``VmRSS``) or at its peak (``VmHWM``); 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Do the task given as an argument and print its figures as one line of JSON."""
    task = json.loads(sys.argv[1])
    module, _, name = TASKS[task["task"]].partition(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(task)))


if __name__ == "__main__":
    main()
