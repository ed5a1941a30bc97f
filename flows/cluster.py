"""Several processes on this machine as one Bytewax cluster: all are started together and stopped together."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep

_POLL_SECONDS = 0.05
_ATTEMPTS = 3
_SOCKETS, _LISTENING = Path("/proc/net/tcp"), "0A"
_LISTENERS_SECONDS, _LISTENERS_POLL_SECONDS = 2.0, 0.005
_NO_ADDRESS = "failed to initialize networking"
"""What the runtime says when somebody else took an address between our look and its use; nothing was done then."""

Process = subprocess.Popen[bytes]


class ClusterError(Exception):
    """A process of the cluster failed; the message says what happened."""


def free_addresses(count: int) -> list[str]:
    """Addresses on the loopback interface that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    finally:
        for s in sockets:
            s.close()


def wait_for_listeners(addresses: Sequence[str]) -> None:
    """Wait until somebody listens at all these loopback addresses, or a moment: who comes too early is let in by the
    runtime a second later only. Looks, and does not connect, as the runtime would take that for a process.
    """
    ports = {f"{int(address.rpartition(':')[2]):04X}" for address in addresses}
    deadline = monotonic() + _LISTENERS_SECONDS
    while ports and _SOCKETS.exists() and monotonic() < deadline:
        sockets = (line.split() for line in _SOCKETS.read_text().splitlines()[1:])
        if ports <= {fields[1].rpartition(":")[2] for fields in sockets if fields[3] == _LISTENING}:
            return
        sleep(_LISTENERS_POLL_SECONDS)


def report_path(scratch: Path, index: int, *, known: bool) -> Path:
    """Where a process says why it failed: ``known`` for failures that have a message for people."""
    return scratch / f"{'failure' if known else 'traceback'}-{index}"


def run_cluster(scratch: Path, workers: int, module: str = "flows.worker", files: Sequence[int] = ()) -> None:
    """Run the job that lies in ``scratch`` with so many processes and wait for all of them.

    A process is ``python -m module SCRATCH INDEX ADDRESS…``; it has the open ``files`` by the same descriptors. When
    one fails, the others, which would wait for it for ever, are stopped. What they print (the runtime tells of every
    attempt to connect) goes to log files.

    Raises
    ------
    ClusterError
        A process failed or was killed.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        codes = _run_once(scratch, workers, module, files)
        if not any(codes):
            return
        account = _what_happened(scratch, codes)
        if _NO_ADDRESS not in account or attempt == _ATTEMPTS:
            raise ClusterError(account)
        for index in range(workers):
            report_path(scratch, index, known=False).unlink(missing_ok=True)


def _run_once(scratch: Path, workers: int, module: str, files: Sequence[int]) -> list[int | None]:
    """The exit codes, null for processes that had to be stopped."""
    addresses = free_addresses(workers)
    processes: list[Process] = []
    try:
        for index in range(workers):
            with _log(scratch, index).open("wb") as log:
                command = [sys.executable, "-m", module, str(scratch), str(index), *addresses]
                # Nothing is ever written to their standard input: that it ends tells them that we did.
                processes.append(
                    subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, pass_fds=files
                    )
                )
        return _wait(processes)
    finally:
        _stop(processes)


def _log(scratch: Path, index: int) -> Path:
    return scratch / f"worker-{index}.log"


def _wait(processes: Sequence[Process]) -> list[int | None]:
    """Wait until all have ended or one has failed; the exit codes, null for those that still run."""
    while True:
        codes = [process.poll() for process in processes]
        if None not in codes:
            return codes
        if any(codes):
            # Who caused the failure ended before those that it brought down: by now its code is there as well.
            return [process.poll() for process in processes]
        sleep(_POLL_SECONDS)


def _stop(processes: Sequence[Process]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


def _what_happened(scratch: Path, codes: Sequence[int | None]) -> str:
    """The best account there is: a failure's own message, a signal, a traceback, what was printed."""
    indices = range(len(codes))
    for known in (True, False):
        for index in indices:
            report = report_path(scratch, index, known=known)
            if report.exists():
                return report.read_text(encoding="utf-8").strip()
        killed = [code for code in codes if code is not None and code < 0 and code != -signal.SIGABRT]
        if known and killed:
            return (
                f"a worker process was killed ({signal.Signals(-killed[0]).name}), perhaps as memory ran out; "
                "start again, with fewer --workers if it was that"
            )
    failed = [index for index in indices if codes[index]]
    printed = "\n".join(_log(scratch, index).read_text(encoding="utf-8", errors="replace") for index in failed)
    return f"a worker process ended with code {codes[failed[0]]}; it said:\n{printed}".strip()
