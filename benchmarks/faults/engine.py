"""`cem run` as the scenarios see it: it starts, dies, stops; its memory and its metrics are watched."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.processes import children, is_running, peak_bytes, send
from benchmarks.process import ROOT
from flows.services.process import wait_until

WORKER = "flows.live.worker"
START_S, STOP_S, DIE_S = 120.0, 60.0, 20.0
_SAMPLE_S = 0.5
_LINE = re.compile(r"^(?P<name>cem_\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_DELAY = re.compile(r"^cem_watermark_delay_seconds (\S+)$", re.MULTILINE)


class EngineError(Exception):
    """The engine does not do what the scenario needs; with the end of its log."""


@dataclass
class Watched:
    """What was seen of the engine over all its lives: counters are summed over processes, as far as they were seen.

    ``peak_bytes``: the largest process's.
    """

    peak_bytes: int = 0
    starts: int = 0
    sinks_waited_for: set[str] = field(default_factory=set)
    counters: dict[str, float] = field(default_factory=dict)


class Engine:
    """One `cem run`, or one for each of several hosts, which may be started again and again with the same settings.

    Parameters
    ----------
    config
        Its settings' file; metrics are on ``http_port`` and those above.
    log
        Where it writes to.
    addresses
        Of several hosts, each with one process; empty for one `cem run` with ``workers`` processes.
    """

    def __init__(self, config: Path, workers: int, http_port: int, log: Path, addresses: Sequence[str] = ()) -> None:
        self._config, self._workers, self._http_port, self._log = config, workers, http_port, log
        self._addresses = addresses
        self._processes: list[subprocess.Popen[bytes]] = []
        self._seen: dict[int, dict[str, float]] = defaultdict(dict)  # by process
        self.watched = Watched()
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    # --- its life ----------------------------------------------------------------------------------

    def start(self, environment: Mapping[str, str] | None = None, *, wait: bool = True) -> None:
        """Start it; with ``wait`` return when it is ready."""
        command = [sys.executable, "-m", "flows.cli", "run", "--config", str(self._config)]
        hosts = [["--hosts", ",".join(self._addresses), "--index", str(i)] for i in range(len(self._addresses))]
        with self._log.open("ab") as log:
            self._processes = [
                subprocess.Popen(
                    [*command, *options], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}, start_new_session=True,
                )
                for options in hosts or [["--workers", str(self._workers)]]
            ]  # fmt: skip
        self.watched.starts += 1
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Returns when every process says that it is ready."""
        self.wait_for(self.is_ready, "is not ready", START_S)

    def is_ready(self) -> bool:
        """Whether all processes say so."""
        return all(self._get(number, "readyz") is not None for number in range(self._workers))

    def wait_for(self, condition: object, otherwise: str, timeout_s: float) -> None:
        """Wait for a condition while the engine runs; raises EngineError."""
        assert callable(condition)
        if not wait_until(lambda: condition() or not self.runs, timeout_s) or not self.runs:
            raise EngineError(f"the engine {otherwise if self.runs else 'ended'}:\n{self.tail()}")

    @property
    def runs(self) -> bool:
        """Whether its supervisors run."""
        return bool(self._processes) and all(process.poll() is None for process in self._processes)

    def workers(self) -> list[int]:
        """The processes of the cluster, in the order of their start."""
        return [pid for process in self._processes for pid in children(process.pid, WORKER)]

    def kill_worker(self, number: int = 0) -> bool:
        """SIGKILL to one; whether there was one just now."""
        found = self.workers()
        if number < len(found):
            send(found[number], signal.SIGKILL)
        return number < len(found)

    def kill(self) -> None:
        """SIGKILL to the supervisor; its workers have to notice.

        Raises
        ------
        EngineError
            They live on.
        """
        orphans = self.workers()
        self._end_all()
        if not wait_until(lambda: not any(map(is_running, orphans)), DIE_S):
            raise EngineError("workers live on without their supervisor")

    def freeze(self) -> None:
        """SIGSTOP to the workers."""
        for pid in self.workers():
            send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """They go on."""
        for pid in self.workers():
            send(pid, signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        for process in self._processes:
            process.terminate()
        return self.wait_end(STOP_S)

    def wait_end(self, timeout_s: float) -> int:
        """Its exit code (of several hosts the highest), as soon as it has ended."""
        try:
            return max(process.wait(timeout_s) for process in self._processes)
        except subprocess.TimeoutExpired:
            raise EngineError(f"the engine does not end within {timeout_s:.0f} s:\n{self.tail()}") from None

    def close(self) -> None:
        """End it however it can be ended, and the watching."""
        self._ended.set()
        self._watching.join()
        self._end_all()
        self._sum_up()

    def _end_all(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    # --- what is seen of it ------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            if self.runs:
                self._look()

    def _look(self) -> None:
        pids = self.workers()
        self.watched.peak_bytes = max([self.watched.peak_bytes, *map(peak_bytes, pids)])
        for number in range(self._workers):
            text = self._get(number, "metrics")
            if text is None or len(pids) != self._workers:
                continue
            for match in _LINE.finditer(text):
                name, labels, value = match["name"], match["labels"] or "", float(match["value"])
                if name == "cem_sink_waiting" and value:
                    self.watched.sinks_waited_for.add(labels.partition('"')[2].rstrip('"'))
                if name.endswith("_total"):
                    self._seen[pids[number]][f"{name}{{{labels}}}"] = value
        self._sum_up()

    def watermark_delay_s(self) -> float | None:
        """How far event time is behind the clock, as the slowest process says; null while one says nothing."""
        delays = []
        for number in range(self._workers):
            text = self._get(number, "metrics")
            found = None if text is None else _DELAY.search(text)
            if found is None:
                return None
            delays.append(float(found[1]))
        return max(delays)

    def _sum_up(self) -> None:
        total: Counter[str] = Counter()
        for counters in list(self._seen.values()):
            for name, value in counters.items():
                total[name.partition("{")[0]] += value  # type: ignore[assignment]
        self.watched.counters = dict(total)

    def events_read(self) -> int:
        """How many events this life of it has read."""
        pages = (self._get(number, "metrics") or "" for number in range(self._workers))
        lines = (match for page in pages for match in _LINE.finditer(page))
        return int(sum(float(match["value"]) for match in lines if match["name"] == "cem_events_total"))

    def _get(self, number: int, page: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port + number}/{page}", timeout=2) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return None
