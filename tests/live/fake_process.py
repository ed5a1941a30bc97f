"""Stands for a process of a live cluster: does what the variable FAKE says, and notes in a file that it was started."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from pathlib import Path

from flows.cluster import report_path
from flows.live.supervisor import job_path


def main() -> int:
    """``FAKE``: behaviours of the processes by their number; ``FAKE_LOG``: where starts and ends are noted."""
    scratch, index, addresses = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    job = pickle.loads(job_path(scratch, index).read_bytes())
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    _note(f"start {index} {job.restarts} {len(addresses)}")
    behaviour = os.environ["FAKE"].split(",")[index]
    if behaviour == "killed-once" and job.restarts == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour in ("known", "fault"):
        report_path(scratch, index, known=behaviour == "known").write_text("what went wrong")
        return 3
    if behaviour == "disk-full" and job.restarts < 2:
        report_path(scratch, index, known=True).write_text("state: writing failed: No space left on device; make room")
        return 3
    if behaviour == "database-full" and job.restarts < 2:
        report_path(scratch, index, known=False).write_text("RuntimeError: database or disk is full")
        return 3
    if behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _note(f"ready {index}")
    stop.wait()
    _note(f"stop {index}")
    return 0


def _note(text: str) -> None:
    with Path(os.environ["FAKE_LOG"]).open("a") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
