"""Server processes that outlive whoever started them, and are recognised again by whoever stops them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

HOST = "127.0.0.1"
LOG_TAIL_LINES = 15
_POLL_S = 0.05
_PORTS = (16_000, 32_000)  # below those that the system gives to clients

_children: dict[int, subprocess.Popen[bytes]] = {}  # what this process started: to be reaped by it


class ServiceError(Exception):
    """A server cannot be fetched, started or stopped; the message says what to do about it."""


class Process(msgspec.Struct, frozen=True):
    """A process as the system knows it: numbers are given out again, so the time of its start belongs to it."""

    pid: int
    started: str


def spawn(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Starts `command` in a session of its own, so that a Ctrl-C at the terminal does not reach it.

    Its output goes to the file `log`, which is written anew.

    Raises
    ------
    ServiceError
        The program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            raise ServiceError(f"{command[0]} does not start: {error}") from error
    _children[child.pid] = child
    return Process(child.pid, _started(child.pid) or "")


def is_alive(process: Process | None) -> bool:
    """Whether it runs still, and is not another one that was given its number since."""
    if process is None:
        return False
    if (child := _children.get(process.pid)) is not None and child.poll() is not None:
        del _children[process.pid]
    return _started(process.pid) == process.started != ""


def this_process(pid: int | None = None) -> Process:
    """The process of that number, this one by default."""
    pid = pid or os.getpid()
    return Process(pid, _started(pid) or "")


def send(process: Process | None, number: signal.Signals) -> None:
    """Sends a signal, if the process runs still."""
    if process is not None and is_alive(process):
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def end(process: Process | None, grace_s: float) -> None:
    """SIGTERM, and SIGKILL if it still runs after `grace_s`; returns when it is gone.

    Raises
    ------
    ServiceError
        It runs on even so.
    """
    send(process, signal.SIGCONT)  # one that was stopped in its tracks would not see the other signal
    send(process, signal.SIGTERM)
    if not wait_until(lambda: not is_alive(process), grace_s):
        send(process, signal.SIGKILL)
        if not wait_until(lambda: not is_alive(process), 10):
            raise ServiceError(f"process {process.pid if process else 0} does not end")


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether the condition came true within that time."""
    last = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > last:
            return False
        time.sleep(_POLL_S)
    return True


def wait_ready(name: str, process: Process, log: Path, ready: Callable[[], bool], timeout_s: float) -> None:
    """Waits until the server answers.

    Raises
    ------
    ServiceError
        It ended, or does not answer in time; with the last lines it wrote.
    """
    wait_until(lambda: ready() or not is_alive(process), timeout_s)
    alive = is_alive(process)
    if not alive or not ready():
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        state = f"does not answer within {timeout_s:.0f} s" if alive else "ended at once"
        raise ServiceError("\n".join([f"{name} {state}; the last lines of {log}:", *lines]))


def free_port() -> int:
    """A port that nobody listens on just now.

    Not one that the system would give: it gives those to clients too, so that a server that stops could find its port
    taken when it starts again, and a client that connects to it meanwhile could reach itself.

    Raises
    ------
    ServiceError
        None was found.
    """
    for _ in range(1000):
        if is_free(port := random.randrange(*_PORTS)):
            return port
    raise ServiceError(f"no free port from {_PORTS[0]} to {_PORTS[1]}")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    return True


def is_open(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as tried:
        tried.settimeout(1)
        return tried.connect_ex((HOST, port)) == 0


def _started(pid: int) -> str | None:
    """When a process was started, in the system's own words; None if there is none, or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _started_by_ps(pid)
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return None if fields[0] in "ZX" else fields[19]


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split(maxsplit=1)
    return None if not found or found[0].startswith("Z") else found[-1].strip()
