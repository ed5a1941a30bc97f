"""What the runtime's database remembers: the state with which each step goes on.

The database is Bytewax's (0.21), SQLite files ``part-N.sqlite3``. Relied on are, of its tables,

- ``exs`` (``ex_num``, ``worker_count``, ``resume_epoch``) and ``fronts`` (``ex_num``, ``worker_index``,
  ``worker_frontier``): the next run resumes at the lowest frontier of the last execution's workers, of which one that
  has none yet stands where that execution began;
- ``snaps`` (``step_id``, ``state_key``, ``snap_epoch``, ``ser_change``): of each step and key, the newest snapshot
  before the epoch at which the run resumes counts. It is a pickle, or null if the state was dropped.

Opening a database in its own folder would leave files there, so a copy is read, and pickles are read without any class
in them: numbers, texts and tuples of these. Only ``forget_undone`` changes anything.
"""

from __future__ import annotations

import io
import pickle
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from state.disk import RESTORE, StateError

RUNTIME_FOLDER = "runtime"
_ATTEMPTS = 5

Snapshot = tuple[str, str, bytes | None]

_RESUME_EPOCH = """
    WITH last AS (SELECT ex_num, worker_count, resume_epoch FROM exs WHERE ex_num = (SELECT MAX(ex_num) FROM exs)),
    known AS (SELECT fronts.worker_frontier FROM fronts JOIN last USING (ex_num))
    SELECT worker_count, resume_epoch, (SELECT COUNT(*) FROM known), (SELECT MIN(worker_frontier) FROM known) FROM last
"""
_SNAPSHOTS = """
    SELECT step_id, state_key, ser_change FROM snaps
    JOIN (SELECT step_id, state_key, MAX(snap_epoch) AS snap_epoch FROM snaps WHERE snap_epoch < ?
          GROUP BY step_id, state_key) USING (step_id, state_key, snap_epoch)
    ORDER BY step_id, state_key
"""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a run would go on from.

    Attributes
    ----------
    shards
        By the name of the shard's folder: version and id of the last file.
    positions
        By the step of a sink that writes a file: how many bytes of it count.
    others
        What else is plain data, such as what readers of topics left.
    """

    shards: dict[str, tuple[int, str]] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    others: list[Any] = field(default_factory=list)


def read_remembered(folder: Path) -> Remembered:
    """What the database in a state folder remembers; nothing if no run has begun there.

    Raises
    ------
    StateError
        It cannot be read, or is not as described above.
    """
    found = Remembered()
    for step_id, _, change in read_snapshots(folder):
        step = step_id.rpartition(".")[2]
        match _plain(change):
            case (int(number), int(version), str(file_id), *_):
                found.shards[f"{step}-{number:02d}"] = version, file_id
            case int(position) if not isinstance(position, bool):
                found.positions[step] = position
            case None:
                pass
            case other:
                found.others.append(other)
    return found


def forget_undone(folder: Path) -> None:
    """Take away what a run that was killed wrote of an epoch that does not count.

    The next run begins that epoch anew, and replaces what it finds of a step and key only if it has something to write
    of them then. A row that stays would count as soon as the epoch is over, and name a file that is gone by then.

    Raises
    ------
    StateError
        The database cannot be written.
    """
    for part in sorted((folder / RUNTIME_FOLDER).glob("*.sqlite3")):
        try:
            with closing(sqlite3.connect(part)) as connection, connection:
                epoch = _resume_epoch(connection)
                if epoch is not None:
                    connection.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,))
        except sqlite3.Error as error:
            raise StateError(part, f"the runtime's database cannot be written: {error}", RESTORE) from error


def read_snapshots(folder: Path) -> list[Snapshot]:
    """What a run would go on from, as the runtime has it: step, key, and the pickle of the state.

    Raises
    ------
    StateError
        See ``read_remembered``.
    """
    database = folder / RUNTIME_FOLDER
    if not database.is_dir():
        return []
    for attempt in range(_ATTEMPTS):
        try:
            return _read(database)
        except (sqlite3.Error, OSError) as error:  # a run at work may have written while it was copied
            if attempt == _ATTEMPTS - 1:
                raise StateError(database, f"the runtime's database cannot be read: {error}", RESTORE) from error
    raise AssertionError


def _read(database: Path) -> list[Snapshot]:
    parts = sorted(path for path in database.iterdir() if path.suffix == ".sqlite3")
    if not parts:
        raise StateError(database, "the runtime's database has no file", RESTORE)
    with tempfile.TemporaryDirectory(prefix="cem-state-") as copies:
        return [row for part in parts for row in _read_part(part, Path(copies))]


def _read_part(part: Path, copies: Path) -> list[Snapshot]:
    copy = copies / part.name
    for ending in ("", "-wal"):  # what was committed may still be in the log beside the file
        source = part.with_name(part.name + ending)
        if ending == "" or source.exists():
            shutil.copyfile(source, copy.with_name(part.name + ending))
    connection = sqlite3.connect(copy)
    try:
        epoch = _resume_epoch(connection)
        return [] if epoch is None else connection.execute(_SNAPSHOTS, (epoch,)).fetchall()
    finally:
        connection.close()


def _resume_epoch(connection: sqlite3.Connection) -> int | None:
    """The epoch with which the next run begins; null if no run has begun yet."""
    last = connection.execute(_RESUME_EPOCH).fetchone()
    if last is None:
        return None
    workers, begun, known, lowest = last
    epoch: int = lowest if known == workers else begun
    return epoch


def _plain(pickled: bytes | None) -> Any:
    """The value of a pickle, none if classes are needed for it."""
    if pickled is None:
        return None
    try:
        return _PlainUnpickler(io.BytesIO(pickled)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, TypeError, KeyError):
        return None


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "tuple"):  # a snapshot may be pickled as a call of it
            return tuple
        raise pickle.UnpicklingError(f"{module}.{name}")
