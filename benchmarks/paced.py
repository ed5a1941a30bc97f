"""A source at a fixed pace: some history as fast as it goes, then lines by the clock, as a live stream brings them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from flows.lines import LineReader, RawBatch

_SETTLE_SECONDS = 1.0
"""Between the history and the paced lines, for what the history left to do."""

_TS = re.compile(rb'"ts":(\d+)')


def restamped(lines: Sequence[bytes], first_ts_ms: int, per_second: float) -> tuple[list[bytes], list[int]]:
    """The same events as if they happened one after another at this rate; their lines and times in ms."""
    times = [first_ts_ms + int(i * 1000 / per_second) for i in range(len(lines))]
    return [_TS.sub(b'"ts":%d' % ts_ms, line, count=1) for line, ts_ms in zip(lines, times, strict=True)], times


def ts_of(line: bytes) -> int:
    """The time in an event's line."""
    found = _TS.search(line)
    if found is None:
        raise ValueError("an event without a ts")
    return int(found[1])


class PacedReader:
    """Reads like a ``LineReader``: first all lines of ``history``, then ``lines`` so many a second.

    ``reads`` notes for every batch of the paced lines how many were read with it in all, and when.
    """

    def __init__(
        self, history: LineReader, lines: Sequence[bytes], per_second: float,
        clock: Callable[[], float] = perf_counter,
    ) -> None:  # fmt: skip
        self.path = history.path
        self.bytes_total = history.bytes_total
        self.bytes_read = 0
        self.reads: list[tuple[int, float]] = []
        self.max_behind_seconds = 0.0
        self._history: LineReader | None = history
        self._lines, self._per_second, self._clock = lines, per_second, clock
        self._sent = 0
        self._began = 0.0

    def is_due(self) -> bool:
        """Whether ``read_batch`` has something now: lines, or the news that there are no more."""
        return self._history is not None or self._sent >= len(self._lines) or self._due() > self._sent

    def read_batch(self, max_bytes: int = 1 << 20) -> RawBatch | None:
        """The next of the history, or the lines that are due; null at the end."""
        if self._history is not None:
            batch = self._history.read_batch(max_bytes)
            if batch is not None:
                return batch
            self._history = None
            self._began = self._clock() + _SETTLE_SECONDS
            return RawBatch(self.path, 1, [])
        if self._sent >= len(self._lines):
            return None
        first, last = self._sent, self._due()
        now = self._clock()
        self.max_behind_seconds = max(self.max_behind_seconds, now - self._began - first / self._per_second)
        self._sent = last
        self.reads.append((last, now))
        return RawBatch(self.path, first + 1, list(self._lines[first:last]))

    def read_at(self, index: int) -> float:
        """When the paced line of this index was read."""
        return self.reads[bisect_right(self.reads, index, key=lambda read: read[0])][1]

    def due_at(self, index: int) -> float:
        """When the paced line of this index was to be read."""
        return self._began + index / self._per_second

    def close(self) -> None:
        """Nothing to close: the lines are in memory."""

    def _due(self) -> int:
        passed = self._clock() - self._began
        return min(len(self._lines), int(passed * self._per_second) + 1) if passed >= 0 else 0


class PacedSource(FixedPartitionedSource[Any, Any]):
    """The engine's source of one file, with the file's reader replaced by a paced one.

    ``lines``: none for reading the file only, as fast as it goes.
    """

    def __init__(self, files: FixedPartitionedSource[Any, Any], lines: Sequence[bytes], per_second: float) -> None:
        self._files, self._lines, self._per_second = files, lines, per_second
        self.reader: PacedReader | None = None

    def list_parts(self) -> list[str]:
        return self._files.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _PacedPartition:
        inner: Any = self._files.build_part(step_id, for_part, None)
        self.reader = inner._reader = PacedReader(inner._reader, self._lines, self._per_second)
        return _PacedPartition(inner, self.reader)


class _PacedPartition(StatefulSourcePartition[Any, Any]):
    def __init__(self, inner: Any, reader: PacedReader) -> None:
        self._inner, self._reader = inner, reader

    def next_batch(self) -> Any:
        return self._inner.next_batch() if self._reader.is_due() else []

    def snapshot(self) -> None:
        return None

    def close(self) -> None:
        self._inner.close()


def split_tail(path: Path, tail: int) -> tuple[list[bytes], list[bytes]]:
    """A file's lines but for the last ``tail``, and those."""
    lines = path.read_bytes().splitlines()
    return lines[:-tail], lines[-tail:]
