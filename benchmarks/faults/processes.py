"""What the system knows of processes: children, memory."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def children(pid: int, of: str) -> list[int]:
    """Processes that ``pid`` started, with this word in their command; in the order of their start."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue  # gone meanwhile
        if fields[0] != "Z" and int(fields[1]) == pid and of in command:
            found.append((int(fields[19]), int(entry.name)))
    return [number for _, number in sorted(found)]


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only what is left of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX"


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal, if the process is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def peak_bytes(pid: int) -> int:
    """The most memory that a process had so far; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0
