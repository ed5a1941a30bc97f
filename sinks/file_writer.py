"""A writer and a sink that append lines to a file."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks.contract import Attempts, SinkError, SinkEvents

_LOG = logging.getLogger(__name__)

_BUFFER_BYTES = 4 << 20
_LOOK_BACK_BYTES = 1 << 16


class FileWriter:
    """Appends lines to a file, which is kept from run to run; `flush` has them on the disk.

    A disk that is full is tried again until there is room. What an interrupted attempt left of a line is cut off.

    Parameters
    ----------
    name
        Of the sink, for logs and metrics.
    start
        Where to go on, in bytes; what the file has beyond is cut off. None, or if no line of this file ends there:
        after its last whole line.

    Raises
    ------
    SinkError
        The file cannot be opened or created.
    """

    def __init__(self, name: str, path: Path, events: SinkEvents, start: int | None = None) -> None:
        self._name, self._path, self._events = name, path, events
        self._attempts = Attempts(name, events)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._unsynced = 0  # lines that are in the file and perhaps not on the disk
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            is_same = start is not None and _is_end_of_line(self._file, start)
            self._end = start if start is not None and is_same else _end_of_lines(self._file)
            os.ftruncate(self._file, self._end)
        except OSError as error:
            raise SinkError(
                f"{path}: cannot be written: {error.strerror or error}; choose another folder for this sink"
            ) from error
        if start is not None and not is_same:
            # Also where a run was killed while the runtime wrote down an epoch, and the next one had nothing to write.
            _LOG.warning("%s: is not the file that was written up to byte %d; lines are added to it", path, start)

    @property
    def position(self) -> int:
        """Where the lines in the file end, in bytes."""
        return self._end

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


class _FilePartition(StatefulSinkPartition[Any, int]):
    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer

    def write_batch(self, values: list[Sequence[bytes]]) -> None:
        for lines in values:
            self._writer.write(lines)

    def snapshot(self) -> int:
        self._writer.flush()
        return self._writer.position

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the runtime aborts if this raises while an error is on its way
            self._writer.close()


class FileSink(FixedPartitionedSink[Any, int]):
    """The runtime's side of a file: one partition, whatever the keys and the number of processes.

    A run that goes on cuts off what was written after its snapshot, so that no line is there twice; a new one appends,
    and so does one that finds another file than the one that was written.
    Parameters are those of `FileWriter`.
    """

    def __init__(self, name: str, path: Path, events: SinkEvents) -> None:
        self._name, self._path, self._events = name, path, events

    def list_parts(self) -> list[str]:
        """The one partition, which any process can write."""
        return ["file"]

    def part_fn(self, item_key: str) -> int:
        """The one partition."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _FilePartition:
        """A writer that goes on where the snapshot was taken."""
        return _FilePartition(FileWriter(self._name, self._path, self._events, resume_state))


def _is_end_of_line(file: int, at: int) -> bool:
    return at == 0 or os.pread(file, 1, at - 1) == b"\n"


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
