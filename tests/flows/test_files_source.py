"""Partitions of very different event time are read side by side, so that little is held in memory."""

import pytest

from flows import files_source
from flows.board import Board
from flows.files_source import MAX_BATCHES_AHEAD, FilesSource
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder
from operators.read_columns import ColumnReader
from rules.plan import ColumnLayout
from state.sequencer import AFTER_ALL_MS

LATENESS_MS = 10


@pytest.fixture
def partitions(tmp_path, monkeypatch):
    """Makes partitions of files with events of these times, one in a batch."""
    monkeypatch.setattr(files_source, "BATCH_BYTES", 1)

    def make(*files):
        paths = []
        for number, times in enumerate(files):
            lines = [
                f'{{"stream":"click","event_id":"e{i}","customer_id":"C","ts":{ts}}}\n' for i, ts in enumerate(times)
            ]
            paths.append(tmp_path / f"part-{number}")
            paths[-1].write_text("".join(lines), encoding="utf-8")
        board = Board(tmp_path / "board", len(files), 1, create=True)
        decoder = Decoder({}, lateness_ms=LATENESS_MS, max_jump_ms=0, annotate=None)
        reader = ColumnReader({}, decoder, Columniser(ColumnLayout(), ColumnMasks([]), (1, 2)))
        source = FilesSource(paths, reader, LATENESS_MS, board)
        return [source.build_part("read", part, None) for part in source.list_parts()]

    return make


def batches(partition):
    """What a partition gives until it waits or has ended."""
    found = []
    try:
        while got := partition.next_batch():
            found += got
    except StopIteration:
        pass
    return found


def test_a_partition_waits_for_the_slowest(partitions):
    early, late = partitions(range(100, 200), range(5000, 5100))
    assert len(batches(late)) == MAX_BATCHES_AHEAD
    assert batches(late) == []
    assert len(early.next_batch()) == 1
    assert batches(late) == []
    assert [batch.watermark_ms for batch in batches(early)[-2:]] == [199 - LATENESS_MS, AFTER_ALL_MS]
    rest = batches(late)
    assert len(rest) == 100 - MAX_BATCHES_AHEAD + 1  # and the one that says that it has ended
    assert rest[-1].end_ms == 5099


def test_one_of_several_can_always_go_on(partitions):
    """Also where a file is empty, or all its events are of one time."""
    parts = partitions(range(0, 3000, 30), [7] * 50, [], range(10**6, 10**6 + 50), range(10**6, 10**6 + 50))
    left, events = set(parts), 0
    while left:
        moved = False
        for part in list(left):
            try:
                got = part.next_batch()
            except StopIteration:
                left.remove(part)
                got = [None]
            moved |= bool(got)
            events += sum(len(part) for batch in got if batch for part in batch.events)
        assert moved
    assert events == 250
