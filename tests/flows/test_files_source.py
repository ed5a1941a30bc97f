"""Partitions of different event time are kept together, so that what waits in memory is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import files_source
from flows.board import Board
from flows.files_source import MAX_BATCHES_AHEAD, FilesSource
from flows.replay import ReplayJob, replay
from operators.decode import Decoder
from operators.match import MaskBuilder
from rules.load import load_rules

RULES = """
version: 1
rules:
  - {id: n, trigger: click, let: {n: count(click)}, then: [{tag: {name: "{n}"}}]}
"""


def write_events(path: Path, first_ts: int, n: int) -> Path:
    lines = [
        f'{{"stream":"click","event_id":"{path.stem}-{i}","customer_id":"C{i % 7}","ts":{first_ts + i}}}\n'
        for i in range(n)
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_source, "BATCH_BYTES", 300)


def partitions(tmp_path: Path, paths: list[Path]):
    board = Board(tmp_path / "board", len(paths), 1, create=True)
    decoder = Decoder({}, lateness_ms=10, max_jump_ms=0, annotate=None)
    source = FilesSource(paths, decoder, MaskBuilder([]), 10, board)
    return [source.build_part("", name, None) for name in source.list_parts()]


def read_while_it_gives(partition) -> int:
    batches = 0
    while partition.next_batch():
        batches += 1
    return batches


def read_to_the_end(partition) -> int:
    batches = 0
    try:
        while True:
            assert partition.next_batch(), "it waits though it is not ahead"
            batches += 1
    except StopIteration:
        return batches


def test_a_partition_that_is_ahead_waits_and_goes_on_when_the_others_have_come(tmp_path: Path) -> None:
    paths = [write_events(tmp_path / "early.ndjson", 0, 300), write_events(tmp_path / "late.ndjson", 10**9, 300)]
    early, late = partitions(tmp_path, paths)
    assert read_while_it_gives(late) == MAX_BATCHES_AHEAD
    assert late.next_batch() == []
    assert read_to_the_end(early) > MAX_BATCHES_AHEAD
    read_to_the_end(late)


def test_partitions_of_one_time_do_not_wait_for_each_other(tmp_path: Path) -> None:
    paths = [write_events(tmp_path / "a.ndjson", 0, 100), write_events(tmp_path / "b.ndjson", 0, 100)]
    a, b = partitions(tmp_path, paths)
    assert a.next_batch()
    for _ in range(MAX_BATCHES_AHEAD - 1):
        assert b.next_batch()


@pytest.mark.parametrize("workers", [1, 2])
def test_files_one_after_the_other_in_time_are_replayed_to_the_end(tmp_path: Path, workers: int) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    rule_set, _ = load_rules([tmp_path / "rules.yaml"])
    assert rule_set is not None
    paths = tuple(
        write_events(tmp_path / f"{name}.ndjson", at, 400) for name, at in (("c", 10**9), ("a", 0), ("b", 10**6))
    )
    summary = replay(ReplayJob(rule_set, paths, tmp_path / "out", workers=workers, max_jump_ms=0))
    assert summary["decisions"] == {"n": {"emitted": 1200}}
    assert summary["late"] == 0
