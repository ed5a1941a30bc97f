"""Several processes on this machine as one Bytewax cluster: all are started together and stopped together."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep

_POLL_SECONDS = 0.05


class ClusterError(Exception):
    """A process of the cluster failed; the message is what it printed."""


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


def run_cluster(scratch: Path, workers: int) -> None:
    """Run the job that lies in ``scratch`` with so many processes and wait for all of them.

    When one fails, the others, which would wait for it for ever, are stopped.
    """
    addresses = free_addresses(workers)
    logs = [(scratch / f"worker-{index}.log").open("w+b") for index in range(workers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "flows.worker", str(scratch), str(index), *addresses], stderr=logs[index]
        )
        for index in range(workers)
    ]
    try:
        _wait(processes)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
    for process, log in zip(processes, logs, strict=True):
        log.seek(0)
        text = log.read().decode("utf-8", "replace").strip()
        log.close()
        if process.returncode not in (0, -9):
            raise ClusterError(text or f"a worker process ended with code {process.returncode}")
    if any(process.returncode for process in processes):
        raise ClusterError("a worker process was killed")


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    while any(process.poll() is None for process in processes):
        if any(process.returncode for process in processes):
            return
        sleep(_POLL_SECONDS)
