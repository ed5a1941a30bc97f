"""The output files: one per stream and partition, ascending in time but for a few seconds."""

from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from flows.simulate.columns import STREAMS, Columns, take
from flows.simulate.lines import Formatter

MAX_DELAY_MS = 4000
"""No event stands behind one that is newer by more than this: well under the 10 s lateness of a replay."""
DELAYED_RATE = 0.03
_CHUNK_ROWS = 50_000

StoryLine = tuple[int, int, str]
"""`ts`, customer number and the whole line."""


class Writer:
    """Writes each day's events, in order of arrival, to `stream.ndjson` or `stream-0.ndjson` …"""

    def __init__(self, out_dir: Path, partitions: int, formatter: Formatter) -> None:
        self._formatter = formatter
        self._partitions = partitions
        self._stack = ExitStack()
        self.paths: list[Path] = []
        self.events = dict.fromkeys(STREAMS, 0)
        self._files: dict[str, list[IO[bytes]]] = {}
        for stream in STREAMS:
            # Partitions of an earlier run into the same folder would be read as if they belonged to this one.
            for stale in (out_dir / f"{stream}.ndjson", *out_dir.glob(f"{stream}-[0-9]*.ndjson")):
                stale.unlink(missing_ok=True)
            names = [f"{stream}-{i}.ndjson" for i in range(partitions)] if partitions > 1 else [f"{stream}.ndjson"]
            paths = [out_dir / name for name in names]
            self._files[stream] = [self._stack.enter_context(path.open("wb", buffering=1 << 20)) for path in paths]
            self.paths += paths

    def close(self) -> None:
        """Closes all files."""
        self._stack.close()

    def write(self, rng: np.random.Generator, stream: str, table: Columns, stories: list[StoryLine]) -> None:
        """A day's events of one stream, background and stories together."""
        background = len(table["ts"])
        ts = np.concatenate((table["ts"], np.array([line[0] for line in stories], dtype=np.int64)))
        c = np.concatenate((table["c"], np.array([line[1] for line in stories], dtype=np.int64)))
        delay = np.where(rng.random(len(ts)) < DELAYED_RATE, rng.integers(0, MAX_DELAY_MS, len(ts)), 0)
        order = np.argsort(ts + delay, kind="stable")
        self.events[stream] += len(ts)
        for partition, file in enumerate(self._files[stream]):
            mine = order if self._partitions == 1 else order[c[order] % self._partitions == partition]
            for first in range(0, len(mine), _CHUNK_ROWS):
                rows = mine[first : first + _CHUNK_ROWS]
                told = rows >= background
                lines = self._formatter.lines(stream, take(table, rows[~told]))
                for at in np.flatnonzero(told).tolist():
                    lines.insert(at, stories[int(rows[at]) - background][2])
                file.write("".join(lines).encode())
