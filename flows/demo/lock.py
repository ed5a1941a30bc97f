"""One run at a time in a folder: files and database of a demonstration are replaced while it goes on."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = ".lock"


class InUseError(Exception):
    """Another run works in the folder; the message names it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other runs out of the folder, which is made if missing; the system ends the lock with the process.

    Raises
    ------
    InUseError
        Another run holds the lock.
    OSError
        The folder or its lock file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as file:  # stays there: a file that is removed could be locked twice
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(f"{folder} is in use by another run; wait or choose --out") from error
        yield
