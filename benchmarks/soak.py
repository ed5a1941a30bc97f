"""The soak: fifty million events of a fixed population through one process, and whether its memory stays flat.

The events are made while they are read and go through a named pipe, so they need no room on disk.
``make soak`` runs it.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import select
import struct
import subprocess
import tempfile
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, sleep

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.event_times import Population
from benchmarks.plots import plot_soak
from benchmarks.population import chunks
from benchmarks.process import Figures, MeasureError, answer, start
from benchmarks.results import machine
from benchmarks.rule_sets import POLICY, write_rules

EVENTS_EACH, DAYS = 100, 20
"""Of a stretch: with the rules' longest window of 90 days memory is level after five stretches at the latest."""


def stretches(customers: int, events: int) -> Iterator[Population]:
    """The same customers over one stretch of time after another, until there are so many events."""
    for number in range(max(1, round(events / (customers * EVENTS_EACH)))):
        yield Population(customers, EVENTS_EACH, DAYS, first_day=number * DAYS, with_profiles=number == 0)


def soak(customers: int, events: int, rules: int = 30, progress: Callable[[int], object] | None = None) -> Figures:
    """Run the soak; figures of the engine with ``samples``: events sent, seconds, and memory in bytes, in rows.

    ``growth`` is the memory over the last fifth of the samples by that over the fifth in the middle.

    Raises
    ------
    MeasureError
        The engine's process failed.
    """
    with tempfile.TemporaryDirectory(prefix="cem-soak-") as name:
        pipe = Path(name) / "events.ndjson"
        os.mkfifo(pipe)
        # Open in both directions: the engine may open it, close it and open it again without meeting an end.
        descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        paths = [str(write_rules(Path(name) / "rules.yaml", rules))]
        process = start({"task": "engine", "rules": paths, "policy": str(POLICY), "events": [str(pipe)], "hash": False})
        sampler = _Sampler(process.pid)
        try:
            for population in stretches(customers, events):
                for lines in chunks(population):
                    _send("".join(lines).encode(), descriptor, process)
                    sampler.sent += len(lines)
                    if progress is not None:
                        progress(sampler.sent)
            _wait_until_read(descriptor, process)
        finally:
            sampler.stop()
            os.close(descriptor)
            printed, errors = process.communicate()
        figures = answer(process, printed, errors)
    return figures | {"samples": sampler.samples, "growth": growth([row[2] for row in sampler.samples])}


def growth(values: list[float]) -> float | None:
    """The mean of the last fifth by the mean of the middle fifth; null for too few values."""
    fifth = len(values) // 5
    if not fifth:
        return None
    middle = values[2 * fifth : 3 * fifth]
    return sum(values[-fifth:]) / sum(middle)


class _Sampler:
    """Looks at a process's memory twice a second."""

    def __init__(self, pid: int) -> None:
        self.sent = 0
        self.samples: list[tuple[int, float, float]] = []
        self._status = Path(f"/proc/{pid}/status")
        self._began = perf_counter()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.5):
            try:
                lines = self._status.read_text(encoding="ascii").splitlines()
            except OSError:
                return
            memory = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")]
            if memory and self.sent:
                self.samples.append((self.sent, round(perf_counter() - self._began, 2), memory[0]))


def _send(data: bytes, descriptor: int, process: subprocess.Popen[str]) -> None:
    """Write all of it, as fast as it is read."""
    view = memoryview(data)
    while view:
        _, writable, _ = select.select([], [descriptor], [], 1.0)
        if process.poll() is not None:
            raise MeasureError("the engine ended before the events did")
        if writable:
            view = view[os.write(descriptor, view) :]


def _wait_until_read(descriptor: int, process: subprocess.Popen[str]) -> None:
    """What is in the pipe when the last writer closes it would be lost if nobody had it open for reading."""
    while process.poll() is None:
        waiting = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0]
        if not waiting:
            return
        sleep(0.05)


def main() -> None:
    """Run the soak from the command line; writes ``soak.json`` and, if asked, a plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for results (build/bench)")
    parser.add_argument("--plots", type=Path, help="write the plot as PNG to this folder")
    options = parser.parse_args()
    console = Console()
    columns = (TextColumn("soak"), BarColumn(), TextColumn("{task.completed:,.0f} events"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("soak", total=options.events)
        figures = soak(options.customers, options.events, progress=lambda sent: progress.update(task, completed=sent))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "soak.json").write_text(json.dumps({"machine": machine()} | figures) + "\n", encoding="utf-8")
    console.print(
        f"{figures['events']:,} events, {figures['events'] / figures['seconds']:,.0f} events/s, "
        f"at most {figures['peak_rss_bytes']:,} bytes"
    )
    if figures["growth"] is not None:
        console.print(f"memory over the last fifth by the middle fifth: {figures['growth']:.3f}")
    if options.plots:
        console.print(f"Written: {plot_soak(figures, options.plots)}")


if __name__ == "__main__":
    main()
