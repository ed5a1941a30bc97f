"""Runs the processes of a live cluster on this machine: starts all, and when one ends, stops all and starts again.

A process of a cluster cannot be replaced alone: the runtime wants all of them from the beginning, and the state says
where to go on.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from flows.cluster import ClusterError, free_addresses, report_path
from flows.live.job import LiveJob
from flows.runtime_database import forget_undone
from state.disk import StateError

_LOG = logging.getLogger(__name__)

POLL_SECONDS = 0.2
GRACE_SECONDS = 25.0
"""For what was read to be decided and written after a stop; then processes are killed, and read it again."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
GOOD_RUN_SECONDS = 10.0
"""A run that lasted so long was a good one: pauses begin short again."""

LOST = 4
"""Exit code of a process that the end of another one brought down."""

MAX_FAULTS = 10
"""After so many runs in a row that ended with an error of the program itself, it is given up."""

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Place:
    """The processes of this machine: their addresses in the whole cluster, and which are to be started here.

    Without ``addresses`` free ones of the loopback interface are taken anew at every start.
    """

    indices: Sequence[int]
    addresses: Sequence[str] = ()


def job_path(scratch: Path, index: int) -> Path:
    """What a process is to do, which it reads and removes: there are passwords in it, and we may be killed."""
    return scratch / f"job-{index}.pickle"


class Supervisor:
    """Keeps the processes of a live run going until ``stop`` is set.

    Parameters
    ----------
    job, place
        What to run, and which of its processes are here.
    module
        Of a process.
    refuse
        Why not to start again, or null; asked each time.
    """

    def __init__(
        self, job: LiveJob, place: Place, stop: threading.Event, module: str = "flows.live.worker",
        refuse: Callable[[], str | None] | None = None,
    ) -> None:  # fmt: skip
        self._job, self._place, self._stop, self._module, self._refuse = job, place, stop, module, refuse
        self._restarts = self._faults = 0

    def run(self) -> None:
        """Return when all have stopped in order.

        Raises
        ------
        ClusterError
            A process failed for good; the message says why.
        """
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            began = monotonic()
            try:
                if 0 in self._place.indices:
                    forget_undone(self._job.state)
                with tempfile.TemporaryDirectory(prefix="cem-run-") as name:
                    ended = self._run_once(Path(name))
            except (OSError, StateError) as error:  # of the folder for temporary files, or the state's
                if not _may_pass(str(error)):
                    raise
                ended = str(error)
            if ended is None:
                return
            self._restarts += 1
            if monotonic() - began >= GOOD_RUN_SECONDS:
                pause_seconds, self._faults = FIRST_PAUSE_SECONDS, 0
            _LOG.error("%s; starting all again in %.1f s", ended, pause_seconds)
            self._stop.wait(pause_seconds)
            refusal = self._refuse() if self._refuse is not None else None
            if refusal is not None:
                raise ClusterError(refusal)
            pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * pause_seconds)

    def _run_once(self, scratch: Path) -> str | None:
        """Run all processes until one ends: why it did, null if they were told to stop."""
        addresses = list(self._place.addresses)
        if not addresses and self._job.workers > 1:
            addresses = free_addresses(self._job.workers)
        processes: dict[int, Process] = {}
        job = pickle.dumps(replace(self._job, restarts=self._restarts))
        try:
            for index in self._place.indices:
                job_path(scratch, index).write_bytes(job)
                command = [sys.executable, "-m", self._module, str(scratch), str(index), *addresses]
                # Nothing is ever written to their standard input: that it ends tells them that we did.
                processes[index] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr)
            while not self._stop.wait(POLL_SECONDS):
                codes = {index: process.poll() for index, process in processes.items()}
                if any(code is not None for code in codes.values()):
                    return self._what_happened(scratch, codes)
            self._let_finish(processes)
            known = [p for i in processes if (p := report_path(scratch, i, known=True)).exists()]
            if known:
                raise ClusterError(known[0].read_text(encoding="utf-8").strip())
            return None
        finally:
            for process in processes.values():
                process.kill()
            for process in processes.values():
                assert process.stdin is not None
                process.stdin.close()
                process.wait()

    def _let_finish(self, processes: dict[int, Process]) -> None:
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = monotonic() + GRACE_SECONDS
        for process in processes.values():
            try:
                process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                _LOG.warning("a process did not stop within %.0f s and is killed; it reads again what is not written",
                             GRACE_SECONDS)  # fmt: skip
                return

    def _what_happened(self, scratch: Path, codes: dict[int, int | None]) -> str:
        for index in codes:
            report = report_path(scratch, index, known=True)
            if report.exists():
                message = report.read_text(encoding="utf-8").strip()
                if not _may_pass(message):
                    raise ClusterError(message)
                return message
        killed = [(index, code) for index, code in codes.items() if code is not None and code < 0]
        if killed:
            index, code = killed[0]
            return f"process {index} was killed ({signal.Signals(-code).name})"
        texts = [path for index in codes if (path := report_path(scratch, index, known=False)).exists()]
        if any(_may_pass(path.read_text(encoding="utf-8")) for path in texts):
            return "the disk is full"
        if texts:
            self._faults += 1
            if self._faults >= MAX_FAULTS:
                text = texts[0].read_text(encoding="utf-8").strip()
                raise ClusterError(f"failed {MAX_FAULTS} times in a row, the last time so:\n{text}")
        index, ended = next((index, code) for index, code in codes.items() if code is not None)
        if ended == LOST:
            return f"process {index} lost another of the cluster"
        return f"process {index} ended with code {ended}"


_PASSING = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "disk is full")  # the last is SQLite's


def _may_pass(message: str) -> bool:
    """Whether a failure may be over by itself: somebody makes room on a disk."""
    return any(text in message for text in _PASSING)


def stop_on_signals(stop: threading.Event) -> Callable[[], None]:
    """Set ``stop`` on SIGTERM and Ctrl-C, and end at once on the second; the function puts things back."""

    def act(number: int, _: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        _LOG.info("told to stop (%s): finishing what was read", signal.Signals(number).name)
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, act) for number in numbers]

    def restore() -> None:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

    return restore
