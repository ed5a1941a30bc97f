"""The versions of one shard's state on disk: immutable bases and deltas, from which a version is put together.

A shard writes version after version: a delta holds what changed since the version before, a base holds everything and
replaces what came before it. Whoever runs the shard remembers only the last version that was committed, and its id;
what lies beyond it on disk when it resumes belongs to a run that was cut off, and is removed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from state.delta_file import Frame, Header, lay_out, pieces
from state.disk import DISK, RESTORE, Disk, NewFile, StateError, explained, lock_file
from state.shard_reader import LOCK_FILE, RESUME_BACK, Entry, FileInfo, ShardReader, describe

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer

MIN_DELTAS_BYTES = 1 << 20
"""Deltas of fewer bytes than this do not call for a base, however small the last one is."""


class ShardFiles(ShardReader):
    """The files of one shard, for this process alone.

    The first thing is to `load` what there is, if only version 0, which is nothing. After an error in `load` or
    `write` nothing more can be written until a `load` has gone through.

    Parameters
    ----------
    folder
        Made if missing; its parent exists. Its name is the shard's.
    disk
        The file system.

    Raises
    ------
    StateError
        The folder cannot be written, or another process uses it.
    """

    def __init__(self, folder: Path, disk: Disk = DISK) -> None:
        super().__init__(folder, disk)
        self._head: tuple[int, str] | None = None  # version and id of the newest; none before a load, or after an error
        self._begun: tuple[Header, NewFile] | None = None
        self._kept: dict[Entry, int] = {}  # the files up to the head; their bytes, of the newest base and later
        with explained(folder, "make the folder"):
            disk.make_folder(folder)
            disk.fsync_folder(folder.parent)  # also if it was there: whoever made it may have been stopped just then
        self._lock: int | None = lock_file(disk, folder / LOCK_FILE)

    def __enter__(self) -> ShardFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the lock; nothing can be written any more."""
        self._forget_head()
        if self._lock is not None:
            self._disk.close(self._lock)
            self._lock = None

    @property
    def needs_base(self) -> bool:
        """Whether the next version is better written as a base.

        It is when there is none, or when the deltas since take more than the base, about, and at least 1 MiB: so what
        is written in all stays within a small multiple of what changed, and what a load reads within one of the state.
        About: each shard has a share of its own, 3/4 to 5/4, so that not all write their bases in the same epoch.
        """
        base = self._base_before(self._kept, None)
        if base is None:
            return True
        deltas_bytes = sum(size for entry, size in self._kept.items() if entry.version > base.version)
        share = 0.75 + zlib.crc32(self.folder.name.encode()) / (1 << 33)
        return deltas_bytes > max(MIN_DELTAS_BYTES, share * self._kept[base])

    def load(self, version: int, file_id: str | None = None) -> Iterator[Frame]:
        """Resume at a version: the newest base up to it and the deltas after, in order, each as it was written.

        When the iterator is exhausted, later files are gone and the next version can be written; a caller that meets
        an error drops what it has put together so far. Version 0 has no frames. One frame is read at a time.

        Parameters
        ----------
        version
            The newest one that was committed, or one of the two before it.
        file_id
            The id that `write` returned for it. Without it, a version of the same number from another run, such as a
            disk that lies about fsync brings back, would pass.

        Raises
        ------
        StateError
            A file is missing, damaged, or not of this shard and run; or there are versions that show that what
            remembers `version` and this folder do not belong together.
        ValueError
            The version is negative, or the shard is closed.
        """
        self._require_lock()
        if version < 0:
            raise ValueError(f"version {version} is negative")
        self._forget_head()
        entries = self._entries()
        if entries and entries[-1].version > version + RESUME_BACK:
            raise StateError(
                self.folder / entries[-1].name,
                f"the shard has gone on far beyond version {version}, at which it is to resume",
                f"this folder and what remembers the version are of different times: {RESTORE}",
            )
        sizes: dict[Entry, int] = {}
        last: Header | None = None
        for entry in self._chain_to(entries, version):
            frame = self._checked(entry)
            self._check_follows(entry, frame.header, last)
            last = frame.header
            if entry.version == version and file_id not in (None, last.id):
                raise StateError(
                    self.folder / entry.name, "the file is of another run than the one that is to resume", RESTORE
                )
            sizes[entry] = frame.bytes
            yield frame
            del frame  # before the next one is read
        start = self._first_needed(entries, version)
        kept = [entry for entry in entries if start <= entry.version <= version]
        # Needs no fsync of its own: that of the next write comes before anybody can resume at what it wrote.
        self._remove([*self._leftovers(), *(entry.name for entry in entries if entry not in kept)])
        self._kept = {entry: sizes.get(entry, 0) for entry in kept}
        self._head = (version, last.id if last is not None else "")

    def write(self, version: int, sections: Mapping[str, ReadableBuffer], *, base: bool) -> FileInfo:
        """Write the next version, and remove what no resume can need any more.

        When this returns, the version survives a crash. The sections' buffers are contiguous, and are not copied.

        Raises
        ------
        StateError
            The system refuses, for want of room, say. The version may be there or not.
        ValueError
            Nothing is loaded, `version` is not the next one, or it is a delta without a base before it.
        """
        info = self.begin(version, sections, base=base)
        self.finish()
        return info

    def begin(self, version: int, sections: Mapping[str, ReadableBuffer], *, base: bool) -> FileInfo:
        """The first half of `write`: when it returns the buffers are free, but nothing survives a crash.

        Until `finish` has gone through, the version must not be remembered as one to resume at, and the next one
        cannot be begun. Raises what `write` raises.
        """
        self._require_lock()
        if self._head is None:
            raise ValueError("load a version first, to its end" if self._begun is None else "finish the last version")
        if version != self._head[0] + 1:
            raise ValueError(f"the next version is {self._head[0] + 1}, not {version}")
        if not base and self._base_before(self._kept, None) is None:
            raise ValueError("the first version is a base")
        layout = lay_out(sections)
        previous, self._head = self._head, None
        header = Header(self.folder.name, version, base, self._disk.new_id(), *previous, layout)
        entry = Entry(version, base)
        file = NewFile(self._disk, self.folder / entry.name, pieces(header, sections))
        self._begun = header, file
        return describe(header, file.bytes)

    def finish(self) -> None:
        """The second half of `write`, in any thread: waits until what was begun survives a crash.

        Raises
        ------
        StateError
            The system refuses. The version may be there or not.
        ValueError
            Nothing was begun.
        """
        self._require_lock()
        if self._begun is None:
            raise ValueError("begin a version first")
        (header, file), self._begun = self._begun, None
        file.finish()
        self._kept[Entry(header.version, header.is_base)] = file.bytes
        self._prune(header.version)
        self._head = (header.version, header.id)

    def rewrite(self, version: int, sections: Mapping[str, ReadableBuffer]) -> FileInfo:
        """Put other contents into an existing version, as when a customer is erased; its kind and id stay.

        It happens at once: after a crash the file is the old one or the new one. Needs no `load` before.

        Raises
        ------
        StateError
            The version is not there or damaged, or the system refuses.
        ValueError
            The shard is closed.
        """
        self._require_lock()
        entry = self._find(version)
        old = self._checked(entry).header
        previous = (old.previous_version, old.previous_id)
        header = Header(old.shard, version, old.is_base, old.id, *previous, lay_out(sections))
        file = NewFile(self._disk, self.folder / entry.name, pieces(header, sections))
        file.finish()
        if entry in self._kept:
            self._kept[entry] = file.bytes
        return describe(header, file.bytes)

    def _forget_head(self) -> None:
        self._head = None
        if self._begun is not None:
            self._begun[1].drop()
            self._begun = None

    def _require_lock(self) -> None:
        if self._lock is None:
            raise ValueError(f"{self.folder} is closed")

    def _chain_to(self, entries: list[Entry], version: int) -> list[Entry]:
        if version == 0:
            return []
        base = self._base_before(entries, version)
        return self._chain(entries, base.version if base is not None else version, version)

    @staticmethod
    def _base_before(entries: Iterable[Entry], version: int | None) -> Entry | None:
        """The newest base, up to a version if one is given."""
        bases = (entry for entry in entries if entry.is_base and (version is None or entry.version <= version))
        return max(bases, default=None)

    def _first_needed(self, entries: list[Entry], newest: int) -> int:
        """The base from which the versions that may be resumed are put together, as far as they are whole.

        Older files are still there if a removal was cut off, some of them.
        """
        first = newest
        for entry in reversed(entries):
            if entry.is_base and entry.version <= newest:
                try:
                    self._chain(entries, entry.version, newest)
                except StateError:
                    break
                first = entry.version
                if first <= newest - RESUME_BACK:
                    break
        return first

    def _prune(self, newest: int) -> None:
        """Remove what lies before the base from which the earliest version that may be resumed is put together."""
        base = self._base_before(self._kept, newest - RESUME_BACK)
        old = [entry for entry in self._kept if base is not None and entry.version < base.version]
        self._remove([entry.name for entry in old])
        for entry in old:
            del self._kept[entry]

    def _remove(self, names: list[str]) -> None:
        for name in names:
            with explained(self.folder / name, "remove the file"):
                self._disk.unlink(self.folder / name)
