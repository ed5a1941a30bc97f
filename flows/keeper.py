"""Keeps the state of keyed stages in a folder: each shard its files, of which the runtime remembers the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from flows.state_files import kept_shard
from operators.annotate import annotator_for
from operators.batch import EventBatch
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from operators.shard import StatefulShard
from operators.waiting import ReadMessages
from rules.plan import Plan
from state.delta_store import ShardFiles
from state.disk import RESTORE, StateError
from state.hashing import Key
from state.log import Words
from state.row_snapshots import LayoutError
from state.shard_reader import ShardReader

Resume = tuple[int, int, str]
"""What the runtime remembers of a shard: its number, and version and id of its last file."""


ORDER, DECIDE = "order", "decide"
"""Names of stages."""

GO_ON_WITH = "go on with the version that wrote it, or start anew with another --state and --out"

FINISHERS = 4
"""Threads that wait for the disk; what several shards wait for at once takes it little longer than for one."""


class Keeper:
    """Opens the shards of one process.

    ``folder``: of the state; null to keep none. ``read``: for events that wait. ``ordered_in``: where the rules before
    read nothing with ``per=``, the last version of each deciding shard, by its name: it has what waits and was seen.
    """

    def __init__(self, folder: Path | None, read: ReadMessages, ordered_in: Mapping[str, int] | None = None) -> None:
        self._folder, self._read = folder, read
        self._ordered_in = ordered_in or {}
        self._opened: list[KeptShard] = []
        self._finishers = ThreadPoolExecutor(FINISHERS, "finish-state")

    def open(self, stage: str, number: int, shard: StatefulShard, resume: Resume | None) -> KeptShard | None:
        """Give a shard the state that it had in its last file; null where no state is kept."""
        if self._folder is None:
            return None
        folder = self._folder / f"{stage}-{number:02d}"
        if stage == ORDER and resume is None:
            self._take_over(number, shard)
        kept = KeptShard(folder, number, shard, self._read, resume, self._finishers)
        self._opened.append(kept)
        return kept

    def _take_over(self, number: int, shard: StatefulShard) -> None:
        """Give an ordering shard what the deciding shard of its number did for it, when that did both."""
        assert self._folder is not None
        name = f"{DECIDE}-{number:02d}"
        version = self._ordered_in.get(name)
        if version is None:
            return
        kept = kept_shard(ShardReader(self._folder / name), version)
        if kept is None or kept.frames[-1].version != version:
            raise StateError(self._folder / name, f"version {version} is missing", RESTORE)
        shard.restore(kept.sections, self._read)

    def close(self) -> None:
        """Let others have the files."""
        self._finishers.shutdown(cancel_futures=True)  # first, as they work in the folders
        for kept in self._opened:
            kept.close()


class Snapshot:
    """What the runtime is to remember of a shard's file, once that survives a crash.

    The runtime pickles all snapshots of an epoch, on the worker that took them, before it writes down any of them or
    counts the epoch as done. So pickling is where to wait: whatever it remembers is on the disk, and until then the
    shards' files are finished side by side.
    """

    def __init__(self, resume: Resume, finished: Future[None]) -> None:
        self._resume, self._finished = resume, finished

    def wait(self) -> Resume:
        """Return when the file survives a crash.

        Raises
        ------
        StateError
            It could not be written.
        """
        self._finished.result()
        return self._resume

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Resume]]:
        return tuple, (self.wait(),)


class KeptShard:
    """A shard with its files."""

    def __init__(
        self, folder: Path, number: int, shard: StatefulShard, read: ReadMessages, resume: Resume | None,
        finishers: Executor,
    ) -> None:  # fmt: skip
        self._files = ShardFiles(folder)
        self._number, self._shard, self._finishers = number, shard, finishers
        self._last: Snapshot | None = None
        _, self._version, file_id = resume or (number, 0, None)
        frames = [frame.sections for frame in self._files.load(self._version, file_id)]
        try:
            self._anew = bool(frames) and shard.restore(frames, read)
        except LayoutError as error:
            raise StateError(folder, f"{error}: another version of the program laid them out", GO_ON_WITH) from error
        shard.note_changes()

    def close(self) -> None:
        """Let others have the files."""
        self._files.close()

    def snapshot(self) -> Snapshot:
        """Begin to write what changed."""
        if self._last is not None:
            self._last.wait()
        base = self._files.needs_base or self._anew
        self._anew = False
        self._version += 1
        begun = self._files.begin(self._version, self._shard.sections(everything=base), base=base)
        finished = self._finishers.submit(self._files.finish)
        self._last = Snapshot((self._number, self._version, begun.id), finished)
        return self._last


def message_reader(plan: Plan, key: Key, text_model: Path | None = None) -> ReadMessages:
    """Reads messages that were accepted before: whatever their times, all are events."""
    reader: list[ColumnReader] = []

    def read(lines: Sequence[bytes], effective_ms: Words) -> EventBatch:
        if not reader:  # made when it is wanted
            decoder = Decoder(
                plan.fields, lateness_ms=0, max_jump_ms=0, annotate=annotator_for(plan.fields, text_model)
            )
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
