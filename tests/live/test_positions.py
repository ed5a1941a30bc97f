"""Where readers go on, and how partitions are dealt among them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.live.positions import SNAPSHOT, Position, Positions, merged, reader_of
from state.sequencer import BEFORE_ALL_MS

Row = tuple[str, int, int, int | None]


def left(run: int, promised_ms: int, *rows: Row) -> tuple[str, int, int, tuple[Row, ...]]:
    return SNAPSHOT, run, promised_ms, rows


def test_nothing_was_left_before_the_first_run() -> None:
    assert merged([]) == Positions(0, BEFORE_ALL_MS, {})
    assert merged([None, 5, "text", ("other", 1, 2, ()), (SNAPSHOT, 1)]) == Positions()


def test_what_the_readers_of_a_run_left_is_put_together() -> None:
    found = merged([left(1, 70, ("a", 0, 5, 100)), ("other", 1, 2, ()), left(1, 50, ("a", 1, 9, None), ("b", 0, 0, 7))])
    partitions = {("a", 0): Position(5, 100), ("a", 1): Position(9, None), ("b", 0): Position(0, 7)}
    assert found == Positions(1, 50, partitions)


def test_ids_of_topics_stay_with_their_positions() -> None:
    found = merged([(SNAPSHOT, 1, 70, (("a", 0, 5, 100, "id"), ("a", 1, 6, 90, None)))])
    assert found.partitions == {("a", 0): Position(5, 100, "id"), ("a", 1): Position(6, 90, None)}


def test_the_latest_run_counts() -> None:
    """A run of one reader leaves what the second of two left before it where it is."""
    two = [left(1, 70, ("a", 0, 5, 100)), left(1, 50, ("a", 1, 9, 90), ("b", 0, 3, 7))]
    one = left(2, 200, ("a", 0, 50, 300), ("a", 1, 60, 310))
    for snapshots in ([one, two[1]], [two[1], one]):
        found = merged(snapshots)
        assert (found.run, found.promised_ms) == (2, 200)
        assert found.partitions == {("a", 0): Position(50, 300), ("a", 1): Position(60, 310), ("b", 0): Position(3, 7)}


def test_all_is_kept_by_exactly_one_of_any_number_of_readers() -> None:
    keys = [(topic, number) for topic in ("bank.txn", "bank.click", "x") for number in range(7)]
    positions = Positions(3, 5, {key: Position(i, i) for i, key in enumerate(keys)})
    for readers in range(1, 17):
        kept = [positions.dealt_to(reader, readers) for reader in range(readers)]
        assert sum(map(len, kept)) == len(keys)
        assert {key: at for part in kept for key, at in part.items()} == positions.partitions


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.sets(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 8)), min_size=1),
)
def test_no_position_is_lost_whatever_the_numbers_of_readers(runs: list[int], keys: set[tuple[str, int]]) -> None:
    """As the runtime keeps it: by the reader's number, those of more readers than there are now as they were."""
    kept: dict[int, object] = {}
    truth: dict[tuple[str, int], Position] = {}
    for step, readers in enumerate(runs):
        before = merged(kept.values())
        assert before.run == step
        for reader in range(readers):
            mine = before.dealt_to(reader, readers)
            for key in keys:
                if reader_of(key, readers) == reader:
                    assert mine.get(key) == truth.get(key)
                    mine[key] = truth[key] = Position(step * 10 + reader, step)
            rows = [(*key, at.next_offset, at.high_ms) for key, at in mine.items()]
            kept[reader] = left(before.run + 1, step, *rows)
    assert merged(kept.values()).partitions == truth


@pytest.mark.parametrize("readers", range(1, 17))
def test_a_topic_is_dealt_evenly(readers: int) -> None:
    for topic in ("bank.txn", "bank.click"):
        dealt = Counter(reader_of((topic, number), readers) for number in range(3 * readers + 1))
        assert sorted(dealt.values()) == [3] * (readers - 1) + [4]


def test_topics_of_one_partition_do_not_all_go_to_one_reader() -> None:
    topics = [f"bank.{stream}" for stream in ("profile", "ticket", "label", "click", "txn", "feedback")]
    assert len({reader_of((topic, 0), 4) for topic in topics}) > 1


def test_who_reads_a_partition_stays_when_partitions_are_added() -> None:
    """Across versions as well: a position is kept by whom the partition is dealt to."""
    assert [reader_of(("bank.txn", number), 3) for number in range(6)] == [2, 0, 1, 2, 0, 1]
    assert [reader_of(("bank.click", number), 4) for number in range(4)] == [1, 2, 3, 0]
