"""Keeps the state of keyed stages in a folder: each shard its files, of which the runtime remembers the last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from operators.annotate import default_annotator
from operators.batch import EventBatch
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from operators.shard import StatefulShard
from operators.waiting import ReadMessages
from rules.plan import Plan
from state.delta_store import ShardFiles
from state.hashing import Key
from state.log import Words

Resume = tuple[int, int, str]
"""What the runtime remembers of a shard: its number, and version and id of its last file."""


class Keeper:
    """Opens the shards of one process.

    ``folder``: of the state; null to keep none. ``read``: for events that wait.
    """

    def __init__(self, folder: Path | None, read: ReadMessages) -> None:
        self._folder, self._read = folder, read
        self._opened: list[KeptShard] = []

    def open(self, stage: str, number: int, shard: StatefulShard, resume: Resume | None) -> KeptShard | None:
        """Give a shard the state that it had in its last file; null where no state is kept."""
        if self._folder is None:
            return None
        kept = KeptShard(self._folder / f"{stage}-{number:02d}", number, shard, self._read, resume)
        self._opened.append(kept)
        return kept

    def close(self) -> None:
        """Let others have the files."""
        for kept in self._opened:
            kept.close()


class KeptShard:
    """A shard with its files."""

    def __init__(
        self, folder: Path, number: int, shard: StatefulShard, read: ReadMessages, resume: Resume | None
    ) -> None:
        self._files = ShardFiles(folder)
        self._number, self._shard = number, shard
        _, self._version, file_id = resume or (number, 0, None)
        frames = [frame.sections for frame in self._files.load(self._version, file_id)]
        self._anew = bool(frames) and shard.restore(frames, read)
        shard.note_changes()

    def close(self) -> None:
        """Let others have the files."""
        self._files.close()

    def snapshot(self) -> Resume:
        """Write what changed."""
        base = self._files.needs_base or self._anew
        self._anew = False
        self._version += 1
        written = self._files.write(self._version, self._shard.sections(everything=base), base=base)
        return self._number, self._version, written.id


def message_reader(plan: Plan, key: Key) -> ReadMessages:
    """Reads messages that were accepted before: whatever their times, all are events."""
    reader: list[ColumnReader] = []

    def read(lines: Sequence[bytes], effective_ms: Words) -> EventBatch:
        if not reader:  # made when it is wanted
            decoder = Decoder(plan.fields, lateness_ms=0, max_jump_ms=0, annotate=default_annotator())
            columniser = Columniser(plan.layout, ColumnMasks(plan.matchers), key)
            reader.append(ColumnReader(plan.fields, decoder, columniser))
        events = in_order_of_lines(reader[0], lines)
        events.effective_ms = effective_ms
        return events

    return read


def in_order_of_lines(reader: ColumnReader, lines: Sequence[bytes]) -> EventBatch:
    """The events of some messages, in their order."""
    found = reader.read(lines, "", 1, PartitionClock(None))
    assert len(found.events) == len(lines)
    places = {found.events.raw.bytes_at(i): i for i in range(len(lines))}
    return found.events.take(np.array([places[line] for line in lines], np.int64))
