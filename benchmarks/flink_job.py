"""Runs the five rules in PyFlink, several times in one JVM, and prints what each run took as JSON.

Needs `pyflink` and nothing else: it is run by the interpreter that has it, which need not be the engine's, and imports
nothing of ours. `benchmarks.flink_sql` calls it.
"""

from __future__ import annotations

import argparse
import json
import os
from importlib import import_module
from pathlib import Path
from string import Template
from time import perf_counter
from typing import Any

STATEMENTS = Path(__file__).parent / "rules" / "five.sql"
SETTINGS = {
    "pipeline.object-reuse": "true",
    "state.backend.type": "hashmap",
    "table.local-time-zone": "UTC",
}


def main() -> None:
    """Run the jobs given as pairs of a folder of events and a folder for decisions, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a further setting of Flink, KEY=VALUE")
    parser.add_argument("--job", nargs=2, action="append", required=True, metavar=("EVENTS", "DECISIONS"))
    arguments = parser.parse_args()
    pyflink: Any = import_module("pyflink.table")
    environment = pyflink.TableEnvironment.create(pyflink.EnvironmentSettings.in_streaming_mode())
    settings = SETTINGS | {"parallelism.default": str(arguments.parallelism)}
    settings |= dict(setting.split("=", 1) for setting in arguments.set)
    for key, value in settings.items():
        environment.get_config().set(key, value)
    runs = []
    for number, (events, decisions) in enumerate(arguments.job):
        text = Template(STATEMENTS.read_text(encoding="utf-8"))
        sql = text.substitute(events=events, decisions=decisions, names=f"run{number}")
        started, cpu_started = perf_counter(), _cpu_seconds()
        for statement in sql.split(";\n"):
            if statement.strip():
                environment.execute_sql(statement).wait()
        seconds, cpu_seconds = perf_counter() - started, _cpu_seconds() - cpu_started
        runs.append({"seconds": seconds, "cpu_seconds": cpu_seconds})
    print(json.dumps(runs))


def _cpu_seconds() -> float:
    """What the JVM, this process's child, has used of the processors so far; 0 where the system doesn't say."""
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            times = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(times[11]) + int(times[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
