"""Measured runs, small ones: the same decisions every time, and figures where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.event_times import Population
from benchmarks.measure_engine import decode, engine, hash_of_lines
from benchmarks.measure_flow import distribution, latency
from benchmarks.paced import PacedReader, restamped, ts_of
from benchmarks.population import write_population
from benchmarks.process import MeasureError, measure
from benchmarks.rule_sets import POLICY, write_rules
from flows.lines import LineReader


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("bench")
    events = write_population(folder / "events", Population(150, jitter_ms=0), 2)
    return {
        "rules": [str(write_rules(folder / "rules.yaml", 30))],
        "policy": str(POLICY),
        "events": [str(path) for path in events.paths],
    }


def test_two_runs_decide_the_same_and_other_rules_otherwise(task: dict[str, object], tmp_path: Path) -> None:
    first, again = engine(task), engine(task)
    assert first["result_hash"] == again["result_hash"]
    assert first["events"] == 3000
    assert first["decisions"] > 20
    fewer = engine(task | {"rules": [str(write_rules(tmp_path / "ten.yaml", 10))]})
    assert 0 < fewer["decisions"] < first["decisions"]
    assert fewer["result_hash"] != first["result_hash"]


def test_decoding_alone_reads_the_same_events(task: dict[str, object]) -> None:
    for into in ("events", "columns"):
        assert decode(task | {"into": into})["events"] == 3000


def test_a_process_of_its_own_gives_figures(task: dict[str, object]) -> None:
    figures = measure(task | {"task": "decode"})
    assert figures["events"] == 3000
    assert figures["seconds"] > 0


def test_a_process_that_fails_says_why(task: dict[str, object]) -> None:
    with pytest.raises(MeasureError, match="no such file"):
        measure(task | {"task": "decode", "events": ["nowhere.ndjson"]})


def test_latency_is_measured_after_the_history(task: dict[str, object], tmp_path: Path) -> None:
    events = write_population(tmp_path / "events", Population(150, jitter_ms=0), 1)
    figures = latency(
        task | {"events": [str(events.paths[0])], "per_second": 5_000, "paced_events": 1_501, "policy": None}
    )
    assert figures["events"] == 1_500
    assert figures["history_events"] == 1_500
    assert figures["seconds"] == pytest.approx(0.3, rel=0.5)
    assert figures["latency"]["count"] >= figures["latency_of_event"]["count"] > 0
    assert 0 < figures["latency"]["p50"] <= figures["latency"]["p99"] <= figures["latency"]["max"]


def test_the_paced_reader_goes_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "history.ndjson"
    path.write_bytes(b"a\nb\n")
    now = [100.0]
    reader = PacedReader(LineReader(path), [b"0", b"1", b"2", b"3"], 10, clock=lambda: now[0])
    first = reader.read_batch()
    assert first is not None
    assert first.lines == [b"a", b"b"]
    settling = reader.read_batch()
    assert settling is not None
    assert settling.lines == []
    assert not reader.is_due()
    now[0] = 101.15
    assert reader.is_due()
    batch = reader.read_batch()
    assert batch is not None
    assert batch.lines == [b"0", b"1"]
    assert not reader.is_due()
    now[0] = 105.0
    rest = reader.read_batch()
    assert rest is not None
    assert rest.lines == [b"2", b"3"]
    assert [reader.read_at(i) for i in range(4)] == [101.15, 101.15, 105.0, 105.0]
    assert reader.due_at(2) == pytest.approx(101.2)
    assert reader.is_due()
    assert reader.read_batch() is None


def test_restamped_lines_follow_each_other_at_the_rate() -> None:
    lines, times = restamped([b'{"ts":5,"a":1}', b'{"ts":9,"a":"\\"ts\\":3"}', b'{"ts":1}'], 1000, 500)
    assert times == [1000, 1002, 1004]
    assert [ts_of(line) for line in lines] == times
    assert lines[1] == b'{"ts":1002,"a":"\\"ts\\":3"}'


def test_a_distribution_has_its_quantiles() -> None:
    found = distribution([float(n) for n in range(1000, 0, -1)])
    assert (found["count"], found["p50"], found["p99"], found["max"]) == (1000, 501.0, 991.0, 1000.0)
    with pytest.raises(ValueError, match="no decision"):
        distribution([])


def test_the_order_of_writing_changes_no_hash(tmp_path: Path) -> None:
    lines = [
        b'{"rule_id":"r","customer_id":"C1","anchor_event_id":"e1","ts":1}',
        b'{"rule_id":"r","customer_id":"C1","anchor_event_id":"e2","ts":2}',
    ]
    for name, order in (("a", lines), ("b", lines[::-1]), ("c", lines[:1])):
        (tmp_path / name).write_bytes(b"\n".join(order) + b"\n")
    assert hash_of_lines(tmp_path / "a") == hash_of_lines(tmp_path / "b") != hash_of_lines(tmp_path / "c")
