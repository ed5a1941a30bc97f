"""A small shared file in which every partition of every process notes how far it is.

Readers use it to keep partitions together in event time, the command line to show progress.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS

_WATERMARK, _BYTES_READ, _BYTES_TOTAL, _EVENTS, _RSS_BYTES = range(5)


class Board:
    """One row of integers for each partition (and one for each worker), in memory shared over processes."""

    def __init__(self, path: Path, partitions: int, workers: int, *, create: bool = False) -> None:
        self._partitions = partitions
        shape = (max(partitions, workers, 1), 5)
        self._cells = np.memmap(path, dtype=np.int64, mode="w+" if create else "r+", shape=shape)
        if create:
            self._cells[:, _WATERMARK] = BEFORE_ALL_MS

    def note(self, partition: int, watermark_ms: int, bytes_read: int, bytes_total: int, events: int) -> None:
        """Note how far a partition is."""
        self._cells[partition, :_RSS_BYTES] = [watermark_ms, bytes_read, bytes_total, events]

    def finish(self, partition: int) -> None:
        """Note that a partition has been read to its end."""
        self._cells[partition, _WATERMARK] = AFTER_ALL_MS
        self._cells[partition, _BYTES_READ] = self._cells[partition, _BYTES_TOTAL]

    def lowest_watermark_ms(self) -> int:
        """The lowest watermark over all partitions; finished ones stand at the end of time."""
        return int(self._cells[: self._partitions, _WATERMARK].min())

    def note_memory(self, worker: int, rss_bytes: int) -> None:
        """Note a worker's peak memory."""
        self._cells[worker, _RSS_BYTES] = rss_bytes

    @property
    def bytes_read(self) -> int:
        """Bytes read so far, as stored."""
        return int(self._cells[: self._partitions, _BYTES_READ].sum())

    @property
    def events(self) -> int:
        """Events read so far."""
        return int(self._cells[: self._partitions, _EVENTS].sum())

    @property
    def rss_bytes(self) -> int:
        """Peak memory of all workers together."""
        return int(self._cells[:, _RSS_BYTES].sum())
