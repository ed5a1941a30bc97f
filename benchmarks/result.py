"""What a measured run gives, whichever engine it was."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

START_LINES = 1_000
"""Of the small input whose run is all start."""


@dataclass(frozen=True, slots=True)
class Result:
    """One measured run: reading, decoding, deciding and writing, without the start of the interpreter.

    ``cpu_seconds`` are those of all threads and child processes; on a busy machine they vary less than ``seconds``.
    """

    seconds: float
    cpu_seconds: float
    events: int
    decisions: int


@dataclass(frozen=True, slots=True)
class RepeatedResult(Result):
    """``seconds`` are those of the first run in a new process, with all that is loaded or compiled at first use.

    ``again`` is the same once more in the same process, and ``start`` a run over the first ``START_LINES`` of each
    file: what a run costs before it does anything to speak of. Both are null where only the first was asked for.
    """

    again: Result | None = None
    start: Result | None = None

    @property
    def marginal(self) -> Result | None:
        """What further events cost once everything is warm; null where the input is too small to tell."""
        if self.again is None or self.start is None or self.again.seconds < 2 * self.start.seconds:
            return None
        return Result(
            self.again.seconds - self.start.seconds,
            max(self.again.cpu_seconds - self.start.cpu_seconds, 0.0),
            self.again.events - self.start.events,
            self.again.decisions - self.start.decisions,
        )


def measure(work: Callable[[], object], events: Iterable[Path], out: Path) -> Result:
    """Run ``work``, which reads ``events`` and writes a decision a line to ``out``."""
    out.unlink(missing_ok=True)
    cpu_started, started = _cpu_seconds(), perf_counter()
    work()
    seconds, cpu_seconds = perf_counter() - started, _cpu_seconds() - cpu_started
    return Result(seconds, cpu_seconds, count_lines(events), count_lines([out]))


def write_start(events: Sequence[Path], folder: Path) -> list[Path]:
    """Write the first ``START_LINES`` of each file into a new folder, and return their paths."""
    folder.mkdir()
    paths = [folder / f"part-{number}.ndjson" for number in range(len(events))]
    for path, start in zip(events, paths, strict=True):
        with path.open("rb") as file:
            start.write_bytes(b"".join(islice(file, START_LINES)))
    return paths


def count_lines(files: Iterable[Path]) -> int:
    """The number of lines in all files; a file that does not exist has none."""
    return sum(path.read_bytes().count(b"\n") for path in files if path.exists())


def decision_keys(out: Path) -> set[tuple[str, str, str]]:
    """Which rules decided about which events: (rule, customer, anchor) of each decision in a file."""
    decisions = map(json.loads, out.read_bytes().splitlines()) if out.exists() else ()
    return {(d["rule_id"], d["customer_id"], d["anchor_event_id"]) for d in decisions}


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
