"""Reads the files of a state folder, also while a run works with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.runtime_database import RUNTIME_FOLDER, Remembered, read_remembered
from state.delta_file import Frame
from state.disk import TEMPORARY, StateError
from state.hashing import Key
from state.shard_reader import LOCK_FILE, ShardReader
from state.state_folder import FORMAT_FILE, StateFolder

_ATTEMPTS = 5
"""A run at work replaces files while we look at them; then we look again."""


@dataclass(frozen=True, slots=True)
class KeptShard:
    """One shard: its reader, the files from which a run would go on, the oldest first, and their versions."""

    name: str
    reader: ShardReader
    frames: Sequence[Frame]

    @property
    def stage(self) -> str:
        """Of the dataflow."""
        return self.name.rpartition("-")[0]

    @property
    def sections(self) -> list[dict[str, Any]]:
        """What the files hold."""
        return [dict(frame.sections) for frame in self.frames]


def key_of(folder: StateFolder) -> Key:
    """The key of the hashes in a folder.

    Raises
    ------
    StateError
        It is not there.
    """
    match folder.about.get("key"):
        case [int(first), int(second)]:
            return first, second
    raise StateError(folder.path / FORMAT_FILE, "it has no key", "restore the file from a copy")


def remembered_or_nothing(path: Path) -> Remembered:
    """What the runtime remembers, nothing where it cannot be read: for those who only look."""
    try:
        return read_remembered(path)
    except StateError:
        return Remembered()


def kept_shard(reader: ShardReader, version: int | None) -> KeptShard | None:
    """The files of a shard up to a version, or up to the newest if that is not there; null if it has none.

    Raises
    ------
    StateError
        A file is missing or damaged.
    """
    for attempt in range(_ATTEMPTS):
        infos = reader.files()
        if not infos:
            return None
        versions = [info.version for info in infos]
        last = version if version in versions else versions[-1]
        first = max((info.version for info in infos if info.is_base and info.version <= last), default=last)
        try:
            frames = [reader.read(number) for number in range(first, last + 1)]
            return KeptShard(reader.folder.name, reader, frames)
        except StateError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def leftovers(folder: StateFolder) -> list[Path]:
    """What a crash left half written; whoever holds the folder may remove it."""
    places = [folder.path, *(reader.folder for reader in folder.shards())]
    return [path for place in places for path in sorted(place.iterdir()) if path.name.endswith(TEMPORARY)]


def other_files(folder: StateFolder) -> list[Path]:
    """All files that are no shard's versions."""
    paths = [path for path in sorted(folder.path.rglob("*")) if path.is_file()]
    known = {LOCK_FILE, FORMAT_FILE}
    shards = {reader.folder for reader in folder.shards()}
    return [path for path in paths if path.parent not in shards or path.name in known]


def runtime_folder(folder: StateFolder) -> Path:
    """Where the runtime's database is."""
    return folder.path / RUNTIME_FOLDER
