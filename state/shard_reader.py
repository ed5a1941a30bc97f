"""The files of one shard as they lie in its folder: which there are, what they hold, whether they are whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from state.delta_file import Frame, Header, read_frame, read_header
from state.disk import DISK, RESTORE, TEMPORARY, Disk, StateError, explained

LOCK_FILE = "lock"
RESUME_BACK = 2
"""A shard resumes at the newest version that it wrote or at one of so many before it, never earlier."""

_NAME = re.compile(r"([0-9]{12})\.(base|delta)")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A file of a shard by what its name says."""

    version: int
    is_base: bool

    @property
    def name(self) -> str:
        """The name in the shard's folder."""
        return f"{self.version:012d}.{'base' if self.is_base else 'delta'}"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file of a shard: its version, kind and id, its size and the sizes of its sections in bytes."""

    version: int
    is_base: bool
    id: str
    bytes: int
    sections: dict[str, int]


def describe(header: Header, size: int) -> FileInfo:
    """What a file of so many bytes is, by its header."""
    sections = {name: length for name, _, length in header.sections}
    return FileInfo(header.version, header.is_base, header.id, size, sections)


class ShardReader:
    """Looks at the files of a shard, also while a process works with them; changes nothing.

    Parameters
    ----------
    folder
        The shard's; its name is the shard's.
    disk
        The file system.
    """

    def __init__(self, folder: Path, disk: Disk = DISK) -> None:
        self.folder = folder
        self._disk = disk

    def files(self) -> list[FileInfo]:
        """What files there are, from the oldest on; what they say about themselves is not checked.

        Files that a process at work removes meanwhile are passed over.

        Raises
        ------
        StateError
            The folder or a file cannot be read.
        """
        infos = []
        for entry in self._entries():
            try:
                infos.append(describe(*read_header(self._disk, self.folder / entry.name)))
            except StateError:
                if entry in self._entries():
                    raise
        return infos

    def read(self, version: int) -> Frame:
        """The file of one version, checked.

        Raises
        ------
        StateError
            It is not there or damaged.
        """
        return self._checked(self._find(version))

    def verify(self) -> list[str]:
        """Read every file and see that each follows the one before; what is wrong, a line each.

        Files that a process at work removes meanwhile are passed over.

        Raises
        ------
        StateError
            The folder cannot be read.
        """
        problems: list[str] = []
        headers: dict[int, Header] = {}
        entries = self._entries()
        for entry in entries:
            try:
                headers[entry.version] = self._checked(entry).header
            except StateError as error:
                if entry in self._entries():
                    problems.append(str(error))
        if not entries:
            return problems
        newest = entries[-1].version
        bases = [entry.version for entry in entries if entry.is_base]
        needed = [base for base in bases if base <= newest - RESUME_BACK]
        try:
            chain = self._chain(entries, max(needed, default=min(bases, default=newest)), newest)
        except StateError as error:
            return [*problems, str(error)]
        previous = None
        for entry in chain:
            header = headers.get(entry.version)
            try:
                self._check_follows(entry, header, previous)
            except StateError as error:
                problems.append(str(error))
            previous = header
        return problems

    def _names(self) -> list[str]:
        with explained(self.folder, "list the folder"):
            return self._disk.list_folder(self.folder)

    def _entries(self) -> list[Entry]:
        """The shard's files, from the oldest version on."""
        found = [match for name in self._names() if (match := _NAME.fullmatch(name))]
        return sorted(Entry(int(match[1]), match[2] == "base") for match in found)

    def _leftovers(self) -> list[str]:
        """Names of files that a crash left half written."""
        return [name for name in self._names() if name.endswith(TEMPORARY) and _NAME.match(name)]

    def _find(self, version: int) -> Entry:
        found = [entry for entry in self._entries() if entry.version == version]
        if len(found) != 1:
            raise self._missing(version) if not found else self._doubled(version)
        return found[0]

    def _chain(self, entries: Sequence[Entry], start: int, end: int) -> list[Entry]:
        """The files from a base on up to version `end`, one for each version."""
        if not any(entry.is_base and entry.version == start for entry in entries):
            raise StateError(
                self.folder / Entry(end, True).name,
                f"to resume at version {end} there must be this file or a base before it, and there is none",
                RESTORE,
            )
        chain = [entry for entry in entries if start <= entry.version <= end]
        for expected, entry in zip(range(start, end + 1), [*chain, None], strict=False):
            if entry is None or entry.version > expected:
                raise self._missing(expected)
            if entry.version < expected:
                raise self._doubled(entry.version)
        if len(chain) > end + 1 - start:
            raise self._doubled(end)
        return chain

    def _checked(self, entry: Entry) -> Frame:
        """Read a file whose contents are what its name and folder say."""
        path = self.folder / entry.name
        frame = read_frame(self._disk, path)
        header = frame.header
        if (header.shard, header.version, header.is_base) != (self.folder.name, entry.version, entry.is_base):
            kind = "base" if header.is_base else "delta"
            raise StateError(
                path, f"this is the {kind} of version {header.version} of shard {header.shard}, out of place", RESTORE
            )
        return frame

    def _check_follows(self, entry: Entry, header: Header | None, previous: Header | None) -> None:
        """See that a file was written after the one before it; what is not known is not checked."""
        if header is None or previous is None:
            return
        if (header.previous_version, header.previous_id) != (previous.version, previous.id):
            raise StateError(
                self.folder / entry.name,
                f"the file was not written after version {previous.version} as it is here: one of them is foreign",
                RESTORE,
            )

    def _missing(self, version: int) -> StateError:
        return StateError(self.folder / Entry(version, False).name, "the file is missing", RESTORE)

    def _doubled(self, version: int) -> StateError:
        return StateError(
            self.folder / Entry(version, True).name, "there are a base and a delta of this version", RESTORE
        )
