"""The runtime's database: what of it counts, and what a killed run left there that does not."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from flows.runtime_database import forget_undone, read_remembered, read_snapshots
from state.disk import StateError

SCHEMA = """
    CREATE TABLE exs (ex_num INTEGER, worker_count INTEGER, resume_epoch INTEGER);
    CREATE TABLE fronts (ex_num INTEGER, worker_index INTEGER, worker_frontier INTEGER);
    CREATE TABLE snaps (step_id TEXT, state_key TEXT, snap_epoch INTEGER, ser_change BLOB);
"""


def database(
    folder: Path, executions: Sequence[tuple[int, int, int]], fronts: Sequence[tuple[int, int, int]], last_epoch: int
) -> Path:
    """A database with a snapshot of one shard for every epoch up to the last, which is its version."""
    path = folder / "runtime" / "part-0.sqlite3"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO exs VALUES (?, ?, ?)", executions)
        connection.executemany("INSERT INTO fronts VALUES (?, ?, ?)", fronts)
        rows = [("cem.entities", "00-1", epoch, pickle.dumps((0, epoch, "id"))) for epoch in range(1, last_epoch + 1)]
        connection.executemany("INSERT INTO snaps VALUES (?, ?, ?, ?)", rows)
    return path


def epochs(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [epoch for (epoch,) in connection.execute("SELECT snap_epoch FROM snaps ORDER BY snap_epoch")]


@pytest.mark.parametrize(
    ("executions", "fronts", "begins_with"),
    [
        ([(0, 1, 1)], [(0, 0, 5)], 5),
        ([(0, 2, 1)], [(0, 0, 6), (0, 1, 5)], 5),
        ([(0, 2, 3)], [(0, 0, 6)], 3),  # one worker has told of no epoch yet: all stand where the run began
        ([(0, 1, 1), (1, 1, 4)], [(0, 0, 7), (1, 0, 5)], 5),  # the last run counts
    ],
)
def test_rows_of_epochs_that_do_not_count_are_taken_away(
    tmp_path: Path,
    executions: list[tuple[int, int, int]],
    fronts: list[tuple[int, int, int]],
    begins_with: int,
) -> None:
    path = database(tmp_path, executions, fronts, last_epoch=7)
    before = read_remembered(tmp_path)
    forget_undone(tmp_path)
    assert epochs(path) == list(range(1, begins_with))
    assert read_remembered(tmp_path) == before
    assert before.shards == {"entities-00": (begins_with - 1, "id")}


def test_once_the_epoch_is_over_nothing_of_it_comes_back(tmp_path: Path) -> None:
    """A row of epoch 5 that the next run, which has nothing to write then, leaves as it is."""
    path = database(tmp_path, [(0, 1, 1)], [(0, 0, 5)], last_epoch=5)
    forget_undone(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO exs VALUES (1, 1, 5)")
        connection.execute("INSERT INTO fronts VALUES (1, 0, 9)")
    assert read_remembered(tmp_path).shards == {"entities-00": (4, "id")}


def test_a_folder_without_a_run_is_left_alone(tmp_path: Path) -> None:
    forget_undone(tmp_path)
    path = database(tmp_path, [], [], last_epoch=2)
    forget_undone(tmp_path)
    assert epochs(path) == [1, 2]
    assert read_snapshots(tmp_path) == []


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "runtime" / "part-0.sqlite3"
    path.parent.mkdir()
    path.write_bytes(b"no database, whatever its name is")
    with pytest.raises(StateError, match="part-0"):
        forget_undone(tmp_path)
