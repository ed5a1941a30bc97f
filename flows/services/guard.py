"""Stops the servers of a folder when the process that wanted them has ended, in whatever way it did."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from flows.services.control import stop
from flows.services.process import Process, is_alive

_POLL_S = 0.3


def main(pid: str, started: str, folder: str) -> None:
    """Waits for the end of the process, then stops the servers."""
    owner = Process(int(pid), started)
    while is_alive(owner):
        time.sleep(_POLL_S)
    stop(Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
