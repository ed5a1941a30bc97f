"""The file-system calls of the state folder behind one seam, and the error in which their failures are told."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp"
"""Ending of a file that is being written; one that is found later is what a crash left behind."""

RESTORE = "restore the state folder from a copy, or start anew with another --state folder"
NOT_YOURS = "let the user of this process write there, or choose another --state folder"
CHUNK_BYTES = 1 << 20
"""Written or read at once."""

REMEDIES = {
    errno.ENOSPC: "make room on the disk and start again; what was committed is safe",
    errno.EDQUOT: "raise the quota and start again; what was committed is safe",
    errno.EROFS: "mount the file system for writing, or choose another --state folder",
    errno.EACCES: NOT_YOURS,
    errno.EPERM: NOT_YOURS,
    errno.ENOTDIR: "choose a folder with --state",
    errno.EEXIST: "choose a folder with --state",
    errno.EIO: f"check the disk; {RESTORE}",
}


class StateError(Exception):
    """The state folder cannot be used: the message names the file, what is wrong with it, and how to mend it."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(path, problem, remedy)
        self.path = path
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"


@contextmanager
def explained(path: Path, action: str) -> Iterator[None]:
    """Turns what the system refuses into a `StateError` on `path`; `action` completes "cannot …"."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, RESTORE)
        raise StateError(path, f"cannot {action}: {error.strerror or error}", remedy) from error


class Disk:
    """What the state folder asks of the file system. Every method may raise OSError; tests put faults in its place."""

    def make_folder(self, path: Path) -> bool:
        """Make a folder whose parent exists; False if it was there."""
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():
                raise
            return False
        return True

    def list_folder(self, path: Path) -> list[str]:
        """The names in a folder, sorted."""
        return sorted(os.listdir(path))

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder of this name."""
        return path.is_dir()

    def create(self, path: Path) -> int:
        """Open an empty file for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def open(self, path: Path) -> int:
        """Open a file for reading."""
        return os.open(path, os.O_RDONLY)

    def size(self, file: int) -> int:
        """Bytes of an open file."""
        return os.fstat(file).st_size

    def read_into(self, file: int, buffer: memoryview) -> int:
        """Read on into the buffer; how many bytes, 0 at the end."""
        return os.readv(file, [buffer])

    def write(self, file: int, data: memoryview) -> int:
        """Append; how many bytes were taken, which may be fewer than given."""
        return os.write(file, data)

    def fsync(self, file: int) -> None:
        """Return when the file's contents are on the disk."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Close a file, which also gives up its lock."""
        os.close(file)

    def rename(self, source: Path, target: Path) -> None:
        """Put a file in the place of another, at once."""
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        os.unlink(path)

    def fsync_folder(self, path: Path) -> None:
        """Return when the folder's names are on the disk."""
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def lock(self, path: Path) -> int:
        """Lock a file, made if missing, until it is closed or the process ends; it holds the number of the process.

        Raises
        ------
        BlockingIOError
            It is locked; its `strerror` is what the file says, the number of the process that has it.
        """
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, os.read(file, 32).decode("ascii", "replace").strip()) from error
        else:
            with suppress(OSError):  # the number is a help to the operator; a full disk must not keep the lock away
                os.ftruncate(file, 0)
                os.pwrite(file, b"%d\n" % os.getpid(), 0)
            kept, file = file, -1
            return kept
        finally:
            if file >= 0:
                os.close(file)

    def new_id(self) -> str:
        """A name for a file's contents that no other has."""
        return secrets.token_hex(8)


DISK = Disk()


class NewFile:
    """A file on its way: what is to be in it is written, under another name; `finish` puts it in its place.

    Parameters
    ----------
    disk
        The file system.
    path
        Where it goes. The folder exists.
    pieces
        What it holds; written before this returns, and not looked at later.

    Attributes
    ----------
    bytes
        Its size.

    Raises
    ------
    StateError
        The system refuses; nothing is left behind.
    """

    def __init__(self, disk: Disk, path: Path, pieces: Iterable[memoryview]) -> None:
        self._disk, self._path = disk, path
        self._temporary = path.with_name(path.name + TEMPORARY)
        self._file: int | None = None
        self.bytes = 0
        with self._or_nothing():
            self._file = disk.create(self._temporary)
            for piece in pieces:
                taken = 0
                while taken < len(piece):
                    taken += disk.write(self._file, piece[taken:])
                self.bytes += taken

    def finish(self) -> None:
        """Return when the file is in its place, whenever the machine stops; the file there before is gone.

        Most of it is waiting for the disk, so several may be finished at once, in threads.

        Raises
        ------
        StateError
            The system refuses. The file at `path` is then the old one or the new one.
        """
        with self._or_nothing():
            assert self._file is not None
            self._disk.fsync(self._file)
            self._close()
            self._disk.rename(self._temporary, self._path)
            self._disk.fsync_folder(self._path.parent)

    def drop(self) -> None:
        """Leave the file at `path` as it is; nothing is left of this one, as far as the system allows."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._disk.unlink(self._temporary)

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        with explained(self._path, "write the file"):
            try:
                yield
            except OSError:
                self.drop()
                raise

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._disk.close(file)


def replace_file(disk: Disk, path: Path, pieces: Iterable[memoryview]) -> int:
    """Write a file that is there in full or not at all, whenever the machine stops; its bytes.

    Raises
    ------
    StateError
        The system refuses. The file at `path` is then the old one or the new one.
    """
    file = NewFile(disk, path, pieces)
    file.finish()
    return file.bytes


def read_chunks(disk: Disk, file: int, view: memoryview) -> Iterator[memoryview]:
    """Read on until the view is full or the file ends; yields what was read, chunk by chunk."""
    done = 0
    while done < len(view) and (count := disk.read_into(file, view[done : done + CHUNK_BYTES])):
        yield view[done : done + count]
        done += count


def lock_file(disk: Disk, path: Path) -> int:
    """Lock a file for this process alone; the open file, which is closed to unlock it.

    Raises
    ------
    StateError
        Another process has it, or the folder cannot be written.
    """
    with explained(path, "lock the file"):
        try:
            return disk.lock(path)
        except BlockingIOError as error:
            holder = f"process {error.strerror}" if (error.strerror or "").isdigit() else "another process"
            raise StateError(
                path,
                f"{holder} uses this folder",
                "stop that process, or choose another folder (`--state`, live the setting `state`)",
            ) from error
