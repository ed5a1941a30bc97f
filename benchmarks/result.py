"""What a measured run gives, whichever engine it was."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Result:
    """One measured run: reading, decoding, deciding and writing, without the start of the interpreter.

    ``cpu_seconds`` are those of all threads and child processes; on a busy machine they vary less than ``seconds``.
    """

    seconds: float
    cpu_seconds: float
    events: int
    decisions: int

    @property
    def events_per_second(self) -> int:
        """The rate over the whole run."""
        return round(self.events / self.seconds)


def measure(work: Callable[[], object], events: Iterable[Path], out: Path) -> Result:
    """Run ``work``, which reads ``events`` and writes a decision a line to ``out``."""
    out.unlink(missing_ok=True)
    cpu_started, started = _cpu_seconds(), perf_counter()
    work()
    seconds, cpu_seconds = perf_counter() - started, _cpu_seconds() - cpu_started
    return Result(seconds, cpu_seconds, count_lines(events), count_lines([out]))


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
