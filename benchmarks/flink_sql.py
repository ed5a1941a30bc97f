"""The five rules in Flink SQL, through PyFlink: OVER windows in event time, from JSON files to JSON files.

PyFlink is no dependency of the project. It is looked for in the interpreter that `CEM_FLINK_PYTHON` names, and then in
this one; `missing()` says how to get it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from benchmarks.result import RepeatedResult, Result, count_lines, write_start

INTERPRETER = "CEM_FLINK_PYTHON"
PACKAGE = "apache-flink==2.3.0"


class FlinkError(Exception):
    """Flink could not be run, or failed; the message has the end of what it said."""


def interpreter() -> str | None:
    """A Python interpreter that has PyFlink, or none."""
    named = os.environ.get(INTERPRETER)
    if named:
        return named
    return sys.executable if find_spec("pyflink") else None


def missing() -> str:
    """What is lacking, and how to get it, in one line; empty if nothing is."""
    python = interpreter()
    if python is None:
        return (
            f"Flink SQL skipped: no PyFlink here; get it with `python3.11 -m venv flink && flink/bin/pip install "
            f"{PACKAGE}` (needs Java 11 or 17) and set {INTERPRETER}=$PWD/flink/bin/python"
        )
    if shutil.which(python) is None:
        return f"Flink SQL skipped: {INTERPRETER} names {python}, which can't be run"
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        return "Flink SQL skipped: no Java here; install Java 11 or 17, or set JAVA_HOME"
    return ""


def run(events: Sequence[Path], out: Path, *, parallelism: int = 1, warm: bool = True) -> RepeatedResult:
    """Decide about the files, in a JVM of its own, and write the decisions to ``out``, which is overwritten.

    Give it as many files as the ``parallelism``: a reader that takes one file after the other has let time go on to the
    end of the first, and Flink drops late rows without a word.

    Raises
    ------
    FlinkError
        It is not installed, or failed.
    """
    if lack := missing():
        raise FlinkError(lack)
    with tempfile.TemporaryDirectory(prefix="cem-flink-") as name:
        folder = Path(name)
        whole, start = folder / "whole", folder / "start"
        _link(events, whole)
        write_start(events, start)
        first, first_start, again = (folder / run for run in ("first", "first-start", "again"))
        jobs = [(whole, first), (start, first_start), (whole, again)] if warm else [(whole, first)]
        results = [
            Result(*times, count_lines(inputs.glob("*")), count_lines(decisions.glob("*")))
            for times, (inputs, decisions) in zip(_run_jobs(jobs, parallelism), jobs, strict=True)
        ]
        with out.open("wb") as file:
            for part in sorted(first.glob("*")):
                file.write(part.read_bytes())
    result = results[0]
    if warm and results[2].decisions != result.decisions:
        raise FlinkError(f"{result.decisions} decisions at first, {results[2].decisions} when it was run again")
    return RepeatedResult(
        result.seconds, result.cpu_seconds, result.events, result.decisions, *((results[2], results[1]) if warm else ())
    )


def _link(events: Sequence[Path], folder: Path) -> None:
    folder.mkdir()
    for number, path in enumerate(events):
        (folder / f"part-{number}.ndjson").symlink_to(path.resolve())


def _run_jobs(jobs: Sequence[tuple[Path, Path]], parallelism: int) -> list[tuple[float, float]]:
    """The wall-clock and the CPU seconds of each job, one after the other in one JVM."""
    command = [interpreter() or "", str(Path(__file__).with_name("flink_job.py")), "--parallelism", str(parallelism)]
    for events, decisions in jobs:
        command += ["--job", str(events), str(decisions)]
    # This collector costs the least CPU here; all else of the JVM is as Flink's package sets it.
    environment = {"JVM_ARGS": "-XX:+UseParallelGC"} | os.environ
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise FlinkError(f"exit code {done.returncode}\n{_why(done.stderr)}")
    return [(times["seconds"], times["cpu_seconds"]) for times in json.loads(done.stdout.splitlines()[-1])]


def _why(stderr: str) -> str:
    """The end of Java's stack trace without its frames."""
    return "\n".join([line for line in stderr.splitlines() if line.strip() and not line.startswith("\tat ")][-12:])


def main() -> None:
    """Run once and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=Path, action="append", required=True, help="an event file; may be repeated")
    parser.add_argument("--out", type=Path, required=True, help="the file of decisions")
    parser.add_argument("--parallelism", type=int, default=1, help="give as many event files")
    parser.add_argument("--first-only", action="store_true", help="don't run it again warm")
    arguments = parser.parse_args()
    try:
        result = run(arguments.events, arguments.out, parallelism=arguments.parallelism, warm=not arguments.first_only)
    except FlinkError as error:
        sys.exit(str(error))
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
