"""The runtime's side of writers: who gets what, and when it is flushed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main, run_main

from sinks.contract import WriterSink, dead_letter, line_id


class ListWriter:
    """Keeps what it is given, and when it was flushed."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def write(self, lines: Sequence[bytes]) -> None:
        self.calls.append(list(lines))

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        self.calls.append("close")
        raise RuntimeError("a close that fails harms nobody")


Item = tuple[str, list[bytes]]


def flow(items: list[Item], sink: WriterSink, batch: int = 1) -> Dataflow:
    flow = Dataflow("test")
    op.output("out", op.input("in", flow, TestingSource(items, batch)), sink)
    return flow


@pytest.fixture
def recovery(tmp_path: Path) -> RecoveryConfig:
    init_db_dir(tmp_path, 1)
    return RecoveryConfig(str(tmp_path))


def test_every_epoch_is_flushed_before_it_counts(recovery: RecoveryConfig) -> None:
    writer = ListWriter()
    items = [("0", [b"a", b"b"]), ("0", [b"c"])]
    sink = WriterSink({"kafka-0": lambda: writer}, int)
    run_main(flow(items, sink), epoch_interval=timedelta(0), recovery_config=recovery)
    written = [call for call in writer.calls if isinstance(call, list)]
    assert written == [[b"a", b"b"], [b"c"]]
    assert writer.calls[writer.calls.index([b"a", b"b"]) + 1] == "flush"
    assert writer.calls[-2:] == ["flush", "close"]


def test_a_failing_flush_stops_the_flow(recovery: RecoveryConfig) -> None:
    class Failing(ListWriter):
        def flush(self) -> None:
            raise RuntimeError("not safe")

    with pytest.raises(RuntimeError):
        run_main(flow([("0", [b"a"])], WriterSink({"x": Failing}, int)), recovery_config=recovery)


def test_keys_go_to_their_parts(recovery: RecoveryConfig) -> None:
    writers = {f"kafka-{number:02d}": ListWriter() for number in range(3)}
    sink = WriterSink({name: (lambda writer=writer: writer) for name, writer in writers.items()}, int)  # type: ignore[misc]
    items = [(str(number), [str(number).encode()]) for number in range(7)]
    cluster_main(flow(items, sink), [], 0, recovery_config=recovery, worker_count_per_proc=2)
    found = [
        sorted(line for call in writer.calls if isinstance(call, list) for line in call) for writer in writers.values()
    ]
    assert found == [[b"0", b"3", b"6"], [b"1", b"4"], [b"2", b"5"]]


def test_what_tells_lines_apart() -> None:
    assert line_id(b'{"action_id": "a1", "event_id": "e1"}') == "a1"
    assert line_id(b'{"event_id": "e1"}') == "e1"
    assert line_id(dead_letter(b"x", "t/0/1", "not_json")) == "t/0/1"
    assert line_id(b"[1]") == "3 bytes"
    assert line_id(b"\xff") == "1 bytes"
