"""The folder of the recovery state: whose it is, and what its contents were made for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from state.delta_file import FORMAT, OLDEST_FORMAT
from state.disk import DISK, RESTORE, TEMPORARY, Disk, StateError, explained, lock_file, read_chunks, replace_file
from state.shard_reader import LOCK_FILE, ShardReader

if TYPE_CHECKING:
    from types import TracebackType

FORMAT_FILE = "format.json"
CONTROL_FOLDER = "control"
"""What operators ask of a run, such as to pause a rule; may be there before the first run, and is nobody's state."""
_CHECK = "checksum"
"""Under which name the file has the checksum of all else in it; format 1 has none."""

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class StateFolder:
    """A state folder: `open` takes it for this process, `inspect` looks at it.

    Attributes
    ----------
    path
        The folder.
    about
        What its contents were made for, as given when it was first opened; a caller compares it with its own.
    """

    def __init__(self, path: Path, about: dict[str, Json], disk: Disk, lock: int | None) -> None:
        self.path = path
        self.about = about
        self._disk = disk
        self._lock = lock
        self._format = FORMAT

    @classmethod
    def open(cls, path: Path, about: Mapping[str, Json], disk: Disk = DISK) -> StateFolder:
        """Take a folder for this process; one that is missing or empty is made a state folder for `about`.

        One of an older format that is still read becomes one of this format when it is amended, which has to come
        before the first file is written there: from then on older programs refuse it.

        The processes of one cluster share the folder under their parent's lock; each shard has its own.

        Raises
        ------
        StateError
            Another process uses it, it is something else or of another format, or it cannot be written.
        ValueError
            `about` has the key ``format`` or ``checksum``.
        """
        if about.keys() & {"format", _CHECK}:
            raise ValueError("format and checksum are not for the caller to say")
        _make_folder(disk, path)
        _refuse_strange(disk, path)
        lock = lock_file(disk, path / LOCK_FILE)
        try:
            if FORMAT_FILE not in _names(disk, path):
                _write_about(disk, path, about)
            found, kept = _read_about(disk, path)
            folder = cls(path, kept, disk, lock)
            folder._format = found
            return folder
        except BaseException:
            disk.close(lock)
            raise

    @classmethod
    def inspect(cls, path: Path, disk: Disk = DISK) -> StateFolder:
        """Look at a folder, also while a process uses it; nothing is written.

        Raises
        ------
        StateError
            It is no state folder, or one of another format, or it cannot be read.
        """
        with explained(path, "look for the folder"):
            found = disk.is_folder(path) and FORMAT_FILE in disk.list_folder(path)
        if not found:
            raise StateError(
                path, f"this is no state folder, it has no {FORMAT_FILE}", "give the folder of a run with --state"
            )
        return cls(path, _read_about(disk, path)[1], disk, None)

    def __enter__(self) -> StateFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes have the folder."""
        if self._lock is not None:
            self._disk.close(self._lock)
            self._lock = None

    def amend(self, about: Mapping[str, Json]) -> None:
        """Note something else about the contents: all of it, or, if we are stopped, nothing.

        Raises
        ------
        StateError
            The folder cannot be written.
        """
        if about != self.about or self._format != FORMAT:
            _write_about(self._disk, self.path, about)
            self.about, self._format = dict(about), FORMAT

    def shards(self) -> list[ShardReader]:
        """The shards that have files, by name; to look at.

        Raises
        ------
        StateError
            The folder cannot be read.
        """
        folders = [folder for name in _names(self._disk, self.path) if self._disk.is_folder(folder := self.path / name)]
        return [ShardReader(folder, self._disk) for folder in folders if LOCK_FILE in _names(self._disk, folder)]


def _write_about(disk: Disk, path: Path, about: Mapping[str, Json]) -> None:
    contents = {"format": FORMAT, **about}
    text = json.dumps({**contents, _CHECK: _checksum(contents)}, ensure_ascii=False, indent=2) + "\n"
    replace_file(disk, path / FORMAT_FILE, [memoryview(text.encode())])


def _make_folder(disk: Disk, path: Path) -> None:
    with explained(path, "look for the folder"):
        missing = [folder for folder in (path, *path.parents) if not disk.is_folder(folder)]
    for folder in reversed(missing or [path]):  # also if it was there: whoever made it may have been stopped just then
        with explained(folder, "make the folder"):
            disk.make_folder(folder)
            disk.fsync_folder(folder.parent)


def _names(disk: Disk, path: Path) -> list[str]:
    with explained(path, "list the folder"):
        return disk.list_folder(path)


def _refuse_strange(disk: Disk, path: Path) -> None:
    """Nothing is put into a folder that somebody uses for something else."""
    names = set(_names(disk, path))
    strange = sorted(names - {LOCK_FILE, FORMAT_FILE + TEMPORARY, CONTROL_FOLDER})
    if FORMAT_FILE not in names and strange:
        raise StateError(
            path / strange[0],
            f"the folder is not empty, and no state folder: it has no {FORMAT_FILE}",
            "choose an empty or new folder with --state, or restore the state folder from a copy",
        )


def _read_about(disk: Disk, path: Path) -> tuple[int, dict[str, Json]]:
    """The folder's format and what its contents were made for."""
    file = path / FORMAT_FILE
    with explained(file, "read the file"):
        handle = disk.open(file)
        try:
            text = b"".join(read_chunks(disk, handle, memoryview(bytearray(disk.size(handle)))))
        finally:
            disk.close(handle)
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(file, f"the file is damaged: {error}", RESTORE) from error
    if not isinstance(about, dict) or type(found := about.get("format")) is not int:
        raise StateError(file, "the file is damaged: it names no format", RESTORE)
    if not OLDEST_FORMAT <= found <= FORMAT:
        raise StateError(
            file,
            f"the state folder has format {found}, this program reads formats {OLDEST_FORMAT} to {FORMAT}",
            "use the release that wrote it, or start anew with another --state folder",
        )
    check = about.pop(_CHECK, None)  # a digit of the key that is another would change every hash, and go unnoticed
    if check != _checksum(about) and (check is not None or found != OLDEST_FORMAT):
        raise StateError(file, "the contents do not match the checksum: damaged or edited", RESTORE)
    del about["format"]
    return found, about


def _checksum(contents: Mapping[str, Json]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(contents, sort_keys=True).encode())
