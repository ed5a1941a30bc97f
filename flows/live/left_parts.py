"""Parts of the source and of the sinks that more processes had in a run before: the runtime wants them back.

A run does not start while the state remembers a part that no process has. So the first process takes those of processes
that are no more. There is nothing to do for them: partitions are dealt anew, and sinks keep nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from bytewax.inputs import StatefulSourcePartition

from flows.live.positions import Snapshot
from flows.runtime_database import read_snapshots
from flows.source_batch import SourceBatch

READER, WRITER = "reader-{:02d}", "worker-{:02d}"
"""The names of a process's parts."""

_NAME = re.compile(r"(?:reader|worker)-(\d+)")


def left_parts(state: Path, workers: int) -> Mapping[str, Sequence[str]]:
    """By step, the parts of processes from number ``workers`` on that a state folder remembers."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for step_id, name, _ in read_snapshots(state):
        match = _NAME.fullmatch(name)
        if match is not None and int(match[1]) >= workers:
            found[step_id.rpartition(".")[2]].append(name)
    return found


class LeftReader(StatefulSourcePartition[SourceBatch, Snapshot | None]):
    """Has nothing to read, and keeps what it left."""

    def __init__(self, left: Snapshot | None) -> None:
        self._left = left

    def next_batch(self) -> list[SourceBatch]:
        """Ends at once."""
        raise StopIteration

    def snapshot(self) -> Snapshot | None:
        """What it left."""
        return self._left


class LeftWriter:
    """A writer (``sinks.contract.Writer``) that gets nothing."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Never called with lines."""
        assert not lines, "lines for a process that is not there"

    def flush(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """There is nothing to let go of."""
