"""Event files as a Bytewax source: each file is one partition, each item a decoded micro-batch.

Decoding happens in the partition and not in a step after it, because lateness depends on the partition's watermark:
position and watermark belong in one snapshot.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from flows.board import Board
from flows.lines import LineReader
from flows.source_batch import SourceBatch, counts_of
from operators.decode import PartitionClock
from operators.read_columns import ColumnReader
from operators.split import split
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS

BATCH_BYTES = 8 << 20

MAX_BATCHES_AHEAD = 4
"""A partition that has delivered this many batches from beyond the slowest partition's watermark waits for it: they are
held in memory, as nothing beyond that watermark can be decided."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file has been read: its lines, the events among them, the highest ``ts``, and whether it was all."""

    lines: int
    events: int
    high_ms: int | None
    finished: bool


class _FilePartition(StatefulSourcePartition[SourceBatch, Position]):
    def __init__(
        self, path: Path, source: int, reader: ColumnReader, lateness_ms: int, board: Board, start: Position | None
    ) -> None:
        start = start or Position(0, 0, None, False)
        self._reader = LineReader(path, skip_lines=start.lines)
        self._source = source
        self._columns = reader
        self._lateness_ms = lateness_ms
        self._board = board
        self._clock = PartitionClock(start.high_ms)
        self._ahead: deque[int] = deque()
        self._lines, self._events, self._finished = start.lines, start.events, start.finished
        if self._finished:
            board.finish(source)

    def next_batch(self) -> list[SourceBatch]:
        if self._finished:
            raise StopIteration
        if self._is_too_far_ahead():
            return []
        raw = self._reader.read_batch(BATCH_BYTES)
        if raw is None:
            self._finished = True
            self._board.finish(self._source)
            return [SourceBatch(self._source, AFTER_ALL_MS, self._end_ms(), [], [], Counter())]
        batch = self._decode(raw.lines, raw.first_line)
        self._lines = raw.first_line + len(raw.lines) - 1
        self._events += sum(map(len, batch.events))
        self._ahead.append(batch.watermark_ms)
        self._board.note(
            self._source, batch.watermark_ms, self._reader.bytes_read, self._reader.bytes_total, self._events
        )
        return [batch]

    def _is_too_far_ahead(self) -> bool:
        if len(self._ahead) < MAX_BATCHES_AHEAD:
            return False
        lowest_ms = self._board.lowest_watermark_ms()
        while self._ahead and self._ahead[0] <= lowest_ms:
            self._ahead.popleft()
        return len(self._ahead) >= MAX_BATCHES_AHEAD

    def _end_ms(self) -> int:
        return BEFORE_ALL_MS if self._clock.high_ms is None else self._clock.high_ms

    def _decode(self, lines: Sequence[bytes], first_line: int) -> SourceBatch:
        read = self._columns.read(lines, self._reader.path, first_line, self._clock)
        events, counts = read.events, counts_of(read)
        end_ms = self._end_ms()
        return SourceBatch(
            self._source, end_ms - self._lateness_ms, end_ms, split(events) if len(events) else [],
            [letter.to_json() for letter in read.dead_letters], counts,
        )  # fmt: skip

    def snapshot(self) -> Position:
        return Position(self._lines, self._events, self._clock.high_ms, self._finished)

    def close(self) -> None:
        self._reader.close()


class FilesSource(FixedPartitionedSource[SourceBatch, Position]):
    """NDJSON files, plain or compressed, as partitions in the order given."""

    def __init__(self, paths: Sequence[Path], reader: ColumnReader, lateness_ms: int, board: Board) -> None:
        self._paths = paths
        self._columns = reader
        self._lateness_ms = lateness_ms
        self._board = board

    def list_parts(self) -> list[str]:
        return [f"{index:06d}" for index in range(len(self._paths))]

    def build_part(self, step_id: str, for_part: str, resume_state: Position | None) -> _FilePartition:
        index = int(for_part)
        return _FilePartition(self._paths[index], index, self._columns, self._lateness_ms, self._board, resume_state)
