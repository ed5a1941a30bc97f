"""The file of a live run: what a restart finds, keeps and cuts off."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main

from sinks import file_writer
from sinks.contract import SinkError
from sinks.file_writer import FileSink, FileWriter
from tests.sinks.recording import RecordingEvents


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "actions.ndjson"


def write(path: Path, *lines: bytes, start: int | None = None) -> int:
    writer = FileWriter("file", path, RecordingEvents(), start)
    writer.write(lines)
    writer.flush()
    writer.close()
    return writer.position


def test_a_new_run_appends(path: Path) -> None:
    assert write(path, b"a", b"b") == 4
    assert write(path, b"c") == 6
    assert path.read_bytes() == b"a\nb\nc\n"


@pytest.mark.parametrize("torn", [b"half a li", b"x" * 200_000])
def test_what_a_crash_left_of_a_line_is_cut_off(path: Path, torn: bytes) -> None:
    write(path, b"a")
    with path.open("ab") as file:
        file.write(torn)
    write(path, b"b")
    assert path.read_bytes() == b"a\nb\n"


def test_a_file_of_half_a_line_begins_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"half")
    write(path, b"a")
    assert path.read_bytes() == b"a\n"


def test_a_run_that_goes_on_cuts_off_what_came_after(path: Path) -> None:
    position = write(path, b"a")
    write(path, b"b", b"c")
    write(path, b"B", start=position)
    assert path.read_bytes() == b"a\nB\n"


@pytest.mark.parametrize(("there", "start"), [(b"", 99), (b"a\n", 99), (b"longer\nline\n", 4)])
def test_another_file_than_the_one_that_was_written_is_added_to(
    path: Path, there: bytes, start: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody took the file away, or gave the sink another folder: the engine goes on."""
    path.parent.mkdir()
    path.write_bytes(there)
    assert write(path, b"b", start=start) == len(there) + 2
    assert path.read_bytes() == there + b"b\n"
    assert f"is not the file that was written up to byte {start}" in caplog.text


def test_a_file_that_cannot_be_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(SinkError, match="choose another folder"):
        write(path, b"a")


def test_a_disk_that_loses_what_it_took_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(file_writer.os, "fsync", broken)
    with pytest.raises(SinkError, match="does not take what was written: Input/output error"):
        write(path, b"a")


def test_a_flow_that_goes_on_has_no_line_twice(path: Path, tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    items: list[object] = [("k", [b"a"]), TestingSource.ABORT(), ("k", [b"b"])]
    flow = Dataflow("test")
    op.output("out", op.input("in", flow, TestingSource(items, 1)), FileSink("file", path, RecordingEvents()))
    run_main(flow, epoch_interval=timedelta(days=1), recovery_config=recovery)
    assert path.exists()
    run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
    assert path.read_bytes() == b"a\nb\n"
