"""A writer that appends lines to a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sinks.contract import Attempts, SinkError, SinkEvents

_BUFFER_BYTES = 4 << 20
_LOOK_BACK_BYTES = 1 << 16


class FileWriter:
    """Appends lines to a file, which is kept from run to run; `flush` has them on the disk.

    A disk that is full is tried again until there is room. What an interrupted attempt left of a line is cut off.

    Parameters
    ----------
    name
        Of the sink, for logs and metrics.

    Raises
    ------
    SinkError
        The file cannot be opened or created.
    """

    def __init__(self, name: str, path: Path, events: SinkEvents) -> None:
        self._name, self._path, self._events = name, path, events
        self._attempts = Attempts(name, events)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._unsynced = 0  # lines that are in the file and perhaps not on the disk
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._end = _end_of_lines(self._file)
        except OSError as error:
            raise SinkError(
                f"{path}: cannot be written: {error.strerror or error}; choose another folder for this sink"
            ) from error

    def write(self, lines: Sequence[bytes]) -> None:
        """Keep the lines, and append them when they are many."""
        for line in lines:
            self._lines.append(line)
            self._bytes += len(line) + 1
            if self._bytes >= _BUFFER_BYTES:
                self._until_appended()

    def flush(self) -> None:
        """Returns when all lines are on the disk."""
        self._until_appended()
        if not self._unsynced:
            return
        try:
            os.fsync(self._file)
        except OSError as error:  # what was lost is not known, and trying again would not tell
            raise SinkError(
                f"{self._path}: the disk does not take what was written: {error.strerror or error}; look after the "
                "disk and start again: what was not safe is written again"
            ) from error
        self._events.written(self._name, self._unsynced)
        self._unsynced = 0

    def close(self) -> None:
        """Closes the file; lines that were not flushed are given up."""
        self._lines, self._bytes, self._unsynced = [], 0, 0
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _until_appended(self) -> None:
        while True:
            try:
                self._append()
            except OSError as error:
                self._attempts.failed(f"{self._path}: {error.strerror or error}")
            else:
                self._attempts.worked()
                return

    def _append(self) -> None:
        if not self._lines:
            return
        block = memoryview(b"\n".join(self._lines) + b"\n")
        at = self._end
        os.ftruncate(self._file, at)  # of an attempt that failed half way
        while block:
            done = os.pwrite(self._file, block, at)
            block, at = block[done:], at + done
        self._end = at
        self._unsynced += len(self._lines)
        self._lines, self._bytes = [], 0


def _end_of_lines(file: int) -> int:
    """Where the last whole line ends."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - _LOOK_BACK_BYTES)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
