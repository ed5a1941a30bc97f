"""Sinks that write one file: lines as they come, or counts at the end."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks.contract import SinkError as SinkError

_BUFFER_BYTES = 1 << 20


def open_for_writing(path: Path) -> Any:
    """The file, empty, for bytes; its folder is created."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb", buffering=_BUFFER_BYTES)
    except OSError as error:
        raise SinkError(
            f"{path}: cannot be written: {error.strerror or error}; choose another folder with --out"
        ) from error


def _open_at(path: Path, position: int) -> Any:
    """The file, for bytes, cut off at a position."""
    try:
        size = path.stat().st_size
        if size >= position:
            file = path.open("r+b", buffering=_BUFFER_BYTES)
            file.truncate(position)
            file.seek(position)
            return file
    except FileNotFoundError:
        size = 0
    except OSError as error:
        raise _failed(path, error) from error
    raise SinkError(
        f"{path}: has {size} bytes where the run that goes on had written {position}; bring the file back, or start "
        "anew with another --state and --out"
    )


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file."""
    try:
        with open_for_writing(path) as file:
            file.write(content)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> SinkError:
    return SinkError(
        f"{path}: writing failed: {error.strerror or error}; make room, or choose another folder with --out"
    )


class _OneFileSink(FixedPartitionedSink[Any, Any]):
    """One partition, whatever the keys and the number of workers: the file has one writer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list_parts(self) -> list[str]:
        return ["file"]

    def part_fn(self, item_key: str) -> int:
        return 0


class _LinesPartition(StatefulSinkPartition[list[bytes], int | None]):
    def __init__(self, path: Path, durable: bool, start: int | None) -> None:
        self._path, self._durable = path, durable
        self._file = open_for_writing(path) if not start else _open_at(path, start)

    def write_batch(self, values: list[list[bytes]]) -> None:
        try:
            for lines in values:
                self._file.writelines(line + b"\n" for line in lines)
            # Not left to `close`: the runtime aborts the process if that raises while another error is on its way.
            self._file.flush()
        except OSError as error:
            raise _failed(self._path, error) from error

    def snapshot(self) -> int | None:
        if not self._durable:
            return None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _failed(self._path, error) from error
        position: int = self._file.tell()
        return position

    def close(self) -> None:
        with contextlib.suppress(OSError):  # all was written before, or the failure told
            self._file.close()


class LinesSink(_OneFileSink):
    """Writes lists of lines, given under any key, to one file.

    ``durable``: what is written survives a crash of the machine from one snapshot on, and what was written after the
    snapshot that a run resumes from is cut off.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        super().__init__(path)
        self._durable = durable

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _LinesPartition:
        return _LinesPartition(self._path, self._durable, resume_state)


class _CountsPartition(StatefulSinkPartition["Counter[tuple[str, ...]]", "Counter[tuple[str, ...]]"]):
    def __init__(self, path: Path, start: Counter[tuple[str, ...]] | None) -> None:
        self._path = path
        self._counts: Counter[tuple[str, ...]] = Counter(start)

    def write_batch(self, values: list[Counter[tuple[str, ...]]]) -> None:
        for counts in values:
            self._counts.update(counts)

    def snapshot(self) -> Counter[tuple[str, ...]]:
        return self._counts.copy()

    def close(self) -> None:
        nested: dict[str, Any] = {}
        for path, n in sorted(self._counts.items()):
            into = nested
            for name in path[:-1]:
                into = into.setdefault(name, {})
            into[path[-1]] = n
        write_file(self._path, json.dumps(nested, ensure_ascii=False, indent=2).encode())


class CountsSink(_OneFileSink):
    """Adds up counters whose keys are paths, and writes them as nested objects when the flow has ended."""

    def build_part(
        self, step_id: str, for_part: str, resume_state: Counter[tuple[str, ...]] | None
    ) -> _CountsPartition:
        return _CountsPartition(self._path, resume_state)
