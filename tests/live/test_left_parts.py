"""Parts of processes that are no more, which the runtime wants back all the same."""

from __future__ import annotations

import pickle
import sqlite3
from pathlib import Path

import pytest

from flows.live.left_parts import LeftReader, LeftWriter, left_parts
from flows.live.positions import SNAPSHOT
from flows.live.source import KafkaSource


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """As a run of three processes left it."""
    (tmp_path / "runtime").mkdir()
    database = sqlite3.connect(tmp_path / "runtime" / "part-0.sqlite3")
    database.executescript("""
        CREATE TABLE exs (ex_num, worker_count, resume_epoch);
        CREATE TABLE fronts (ex_num, worker_index, worker_frontier);
        CREATE TABLE snaps (step_id, state_key, snap_epoch, ser_change);
        INSERT INTO exs VALUES (0, 1, 1);
        INSERT INTO fronts VALUES (0, 0, 9);
    """)
    kept = [("cem.read", f"reader-{i:02d}") for i in range(3)] + [("cem.decide", "03-1"), ("cem.write_actions", "file")]
    kept += [(f"cem.{step}", f"worker-{i:02d}") for step in ("kafka_actions", "redis_views") for i in range(3)]
    database.executemany("INSERT INTO snaps VALUES (?, ?, 5, ?)", [(*row, pickle.dumps(None)) for row in kept])
    database.commit()
    database.close()
    return tmp_path


def test_parts_of_processes_that_are_no_more(state: Path) -> None:
    assert left_parts(state, 1) == {
        "read": ["reader-01", "reader-02"], "kafka_actions": ["worker-01", "worker-02"],
        "redis_views": ["worker-01", "worker-02"],
    }  # fmt: skip
    assert left_parts(state, 2)["read"] == ["reader-02"]
    assert left_parts(state, 3) == left_parts(state, 16) == {}


def test_nothing_is_left_before_the_first_run(tmp_path: Path) -> None:
    assert left_parts(tmp_path, 1) == {}


def test_the_first_process_keeps_what_they_left() -> None:
    made: list[LeftReader] = []

    def make() -> LeftReader:
        made.append(LeftReader(None))
        return made[-1]

    source = KafkaSource(0, make, ["reader-01"])
    assert source.list_parts() == ["reader-00", "reader-01"]
    assert KafkaSource(1, make).list_parts() == ["reader-01"]
    left = (SNAPSHOT, 3, 5, (("t", 0, 1, 2),))
    other = source.build_part("read", "reader-01", left)
    assert made == []
    assert other.snapshot() == left
    with pytest.raises(StopIteration):
        other.next_batch()
    assert source.build_part("read", "reader-00", left) is made[0]


def test_nothing_is_written_for_them() -> None:
    writer = LeftWriter()
    writer.write([])
    writer.flush()
    with pytest.raises(AssertionError):
        writer.write([b"{}"])
    writer.close()
