"""How far event time may go, by a clock that the tests turn."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flows.live.watermarks import EngineClock, Partition, ReaderClock
from operators.decode import PartitionClock
from operators.delivery import Delivery
from state.sequencer import BEFORE_ALL_MS

NOW = 1_760_000_000_000
LATENESS, IDLE = 500, 5_000


class Reader:
    """A reader's clock with its partitions, and the wall clock."""

    def __init__(self, partitions: int = 1, promised_ms: int = BEFORE_ALL_MS) -> None:
        self.clock = ReaderClock(LATENESS, IDLE, promised_ms)
        self.partitions = [Partition("t", number, PartitionClock()) for number in range(partitions)]
        self.now = NOW

    def event(self, ts_ms: int, partition: int = 0) -> None:
        """A message that is not the last one."""
        found = self.partitions[partition]
        found.clock.high_ms = max(ts_ms, found.clock.high_ms or 0)
        found.heard_ms, found.at_end = self.now, False

    def end(self, partition: int = 0) -> None:
        self.partitions[partition].heard_ms, self.partitions[partition].at_end = self.now, True

    def gone(self, partition: int = 0) -> None:
        """Its broker does not answer any more."""
        self.partitions[partition].reachable = False

    def after(self, ms: int = 0, others: int | None = None, *, trust_ends: bool = True, known: bool = True) -> int:
        """What is promised some time later."""
        self.now += ms
        return self.clock.advance(self.partitions, self.now, others, trust_ends=trust_ends, known=known)


def test_behind_it_goes_by_the_events() -> None:
    reader = Reader()
    reader.event(1_000_000)
    assert reader.after() == 1_000_000 - LATENESS
    reader.event(900_000)
    assert reader.after(10) == 1_000_000 - LATENESS
    reader.event(2_000_000)
    assert reader.after(10) == 2_000_000 - LATENESS


def test_at_the_end_it_follows_the_wall_clock() -> None:
    reader = Reader()
    reader.event(1_000)
    reader.end()
    assert reader.after() == NOW - LATENESS
    assert reader.after(60_000) == NOW + 60_000 - LATENESS
    assert not reader.clock.idle
    reader.event(NOW + 60_000)
    assert reader.after(100) == NOW + 60_000 - LATENESS


def test_at_the_end_events_may_be_ahead_of_the_wall_clock() -> None:
    reader = Reader()
    reader.event(NOW + 30_000)
    reader.end()
    assert reader.after() == NOW + 30_000 - LATENESS


def test_the_lowest_partition_counts() -> None:
    reader = Reader(2)
    reader.event(5_000, 0)
    assert reader.after() == BEFORE_ALL_MS
    reader.event(3_000, 1)
    assert reader.after() == 3_000 - LATENESS
    reader.end(0)
    assert reader.after() == 3_000 - LATENESS
    reader.end(1)
    assert reader.after() == NOW - LATENESS


def test_a_silent_partition_is_left_out_after_idle() -> None:
    reader = Reader(2)
    reader.event(10_000, 0)
    reader.event(5_000, 1)
    reader.gone(1)
    assert reader.after(IDLE - 1) == 5_000 - LATENESS
    reader.event(90_000, 0)
    assert reader.after(1) == 90_000 - LATENESS


def test_a_partition_whose_broker_answers_is_waited_for_however_long_it_takes() -> None:
    reader = Reader(2)
    reader.event(10_000, 0)
    reader.event(5_000, 1)
    assert reader.after(10 * IDLE) == 5_000 - LATENESS
    reader.gone(1)
    assert reader.after(IDLE - 1) == 5_000 - LATENESS
    assert reader.after(1) == 10_000 - LATENESS


def test_silence_while_nobody_asked_does_not_count() -> None:
    reader = Reader(2)
    reader.event(10_000, 0)
    reader.event(5_000, 1)
    reader.after()
    reader.gone(1)
    reader.clock.forgive(reader.now + 10 * IDLE)
    assert reader.after(11 * IDLE - 1) == 5_000 - LATENESS
    assert reader.after(1) == 10_000 - LATENESS


def test_a_partition_that_was_never_heard_of_is_waited_for_as_long() -> None:
    reader = Reader(2)
    assert reader.after(10 * IDLE) == BEFORE_ALL_MS
    reader.event(10_000, 0)
    reader.gone(1)
    assert reader.after(IDLE - 1) == BEFORE_ALL_MS
    reader.event(20_000, 0)
    assert reader.after(1) == 20_000 - LATENESS


def test_what_comes_late_from_a_partition_that_was_left_out_holds_nothing_back() -> None:
    reader = Reader(2)
    reader.event(10_000, 0)
    reader.event(5_000, 1)
    reader.gone(1)
    reader.after(IDLE)
    reader.event(90_000, 0)
    promised = reader.after()
    reader.event(6_000, 1)
    assert reader.after() == promised
    reader.event(100_000, 0)
    assert reader.after(10) == promised  # it is counted again, and behind
    reader.event(95_000, 1)
    assert reader.after(10) == 95_000 - LATENESS


def test_event_time_stands_still_while_nobody_can_read() -> None:
    reader = Reader()
    reader.event(1_000)
    reader.end()
    stands = reader.after(1_000)
    reader.partitions[0].reachable = False
    assert reader.after(IDLE - 1) == stands
    assert not reader.clock.idle
    assert reader.after(3_600_000) == stands
    assert reader.clock.idle
    reader.partitions[0].reachable = True
    assert reader.after() == reader.now - LATENESS


def test_a_partition_without_its_broker_is_waited_for_from_when_it_went() -> None:
    reader = Reader(2)
    reader.end(0)
    reader.end(1)
    reader.after(3_600_000)
    stands = reader.after()
    reader.partitions[1].reachable = False
    assert reader.after(IDLE - 1) == stands
    assert reader.after(1) == reader.now - LATENESS


def test_ends_are_not_trusted_after_a_stall() -> None:
    reader = Reader()
    reader.event(NOW)
    reader.end()
    stands = reader.after(2_000)
    assert reader.after(60_000, trust_ends=False) == stands
    reader.event(NOW + 10_000)
    assert reader.after(10, trust_ends=False) == NOW + 10_000 - LATENESS
    reader.end()
    assert reader.after() == reader.now - LATENESS


def test_a_paused_partition_is_waited_for_even_if_it_was_at_its_end() -> None:
    reader = Reader()
    reader.event(NOW - 60_000)
    reader.end()
    reader.partitions[0].paused = True
    assert reader.after(10 * IDLE) == NOW - 60_000 - LATENESS
    reader.partitions[0].paused = False
    assert reader.after() == reader.now - LATENESS


def test_nothing_is_promised_before_the_partitions_are_known() -> None:
    reader = Reader(0, promised_ms=7_000)
    assert reader.after(others=NOW, known=False) == 7_000
    assert not reader.clock.idle
    assert reader.after(60_000, others=NOW, known=False) == 7_000
    assert reader.after(others=NOW) == NOW


def test_a_reader_without_anything_to_say_follows_the_others() -> None:
    reader = Reader(0)
    assert reader.after(others=None) == BEFORE_ALL_MS
    assert reader.after(others=5_000) == 5_000
    assert reader.clock.idle
    assert reader.after(others=4_000) == 5_000
    silent = Reader()
    silent.event(1_000)
    assert silent.after(others=NOW) == 1_000 - LATENESS
    silent.gone()
    assert silent.after(IDLE, others=NOW) == NOW


def test_a_run_goes_on_from_what_was_promised() -> None:
    reader = Reader(promised_ms=50_000)
    assert reader.after() == 50_000
    reader.event(10_000)
    assert reader.after() == 50_000


def test_a_wall_clock_that_goes_back_takes_nothing_back() -> None:
    reader = Reader()
    reader.end()
    promised = reader.after()
    assert reader.after(-3_600_000) == promised
    assert reader.after(3_600_000 + 5) == promised + 5


steps = st.lists(
    st.tuples(
        st.sampled_from(["event", "end", "away", "back", "pause", "go on", "nothing"]), st.integers(0, 2),
        st.integers(-60_000, 60_000), st.integers(-2_000, 8_000), st.none() | st.integers(NOW - 90_000, NOW + 90_000),
        st.booleans(), st.booleans(),
    ),
    max_size=25,
)  # fmt: skip


@given(steps)
def test_a_promise_never_goes_back_and_never_passes_who_counts(found: list[tuple]) -> None:  # type: ignore[type-arg]
    reader = Reader(3)
    promises = [BEFORE_ALL_MS]
    for what, number, offset, ms, others, trust_ends, known in found:
        partition = reader.partitions[number]
        match what:
            case "event":
                reader.event(NOW + offset, number)
            case "end":
                reader.end(number)
            case "away" | "back":
                partition.reachable = what == "back"
            case "pause" | "go on":
                partition.paused = what == "pause"
        promised = reader.after(ms, others, trust_ends=trust_ends, known=known)
        if promised > promises[-1]:
            assert known
            waiting = [p for p in reader.partitions if p.paused or (not p.at_end and p.heard_ms == reader.now)]
            for one in waiting:
                assert one.clock.high_ms is not None
                assert promised <= one.clock.high_ms - LATENESS
        promises.append(promised)
    assert all(before <= after for before, after in pairwise(promises))


# --- what waits --------------------------------------------------------------------------------------


def test_messages_wait_until_the_others_have_come_as_far() -> None:
    partition = Partition("t", 0, PartitionClock())
    for high_ms, messages in ((10_000, 5), (11_000, 7), (11_000, 1), (12_000, 100)):
        partition.clock.high_ms = high_ms
        partition.note_read(messages)
    assert partition.waiting(BEFORE_ALL_MS, LATENESS) == 113
    assert partition.waiting(9_499, LATENESS) == 113
    assert partition.waiting(9_500, LATENESS) == 108
    assert partition.waiting(10_500, LATENESS) == 100
    assert partition.waiting(11_500, LATENESS) == 0
    partition.note_read(3)
    assert partition.waiting(11_500, LATENESS) == 0


def test_a_partition_never_waits_for_itself() -> None:
    reader = Reader()
    partition, waiting = reader.partitions[0], []
    for ts_ms in range(0, 100_000, 100):  # each within the lateness of the one before
        reader.event(ts_ms)
        partition.note_read(10_000)
        waiting.append(partition.waiting(reader.after(), LATENESS))
    assert max(waiting) == 0


def test_dead_letters_alone_do_not_wait() -> None:
    partition = Partition("t", 0, PartitionClock())
    partition.note_read(1_000)
    assert partition.waiting(BEFORE_ALL_MS, LATENESS) == 0


# --- the watermarks of all readers -------------------------------------------------------------------


def told(source: int, watermark_ms: int, idle: bool = False) -> list[Delivery]:
    return [Delivery(source, watermark_ms, 0, None, idle=idle)]


def test_the_engine_is_where_its_last_reader_is() -> None:
    engine = EngineClock(3)
    assert engine.ms == BEFORE_ALL_MS
    for source, watermark_ms in ((0, 50), (1, 40), (2, 60), (1, 45), (1, 44)):
        engine.received(told(source, watermark_ms))
    assert engine.ms == 45


def test_idle_readers_are_not_followed() -> None:
    engine = EngineClock(3)
    assert EngineClock(1).of_others_ms(0) is None
    for source, watermark_ms, idle in ((0, 50, False), (1, 40, True), (2, 60, False)):
        engine.received(told(source, watermark_ms, idle))
    assert engine.of_others_ms(0) == 60
    assert engine.of_others_ms(2) == 50
    assert engine.of_others_ms(1) == 50
    engine.received(told(2, 60, idle=True))
    assert engine.of_others_ms(0) is None
    assert engine.of_others_ms(1) == 50
    engine.received(told(1, 40))
    assert engine.of_others_ms(0) == 40


def test_old_news_of_another_shard_changes_nothing() -> None:
    engine = EngineClock(2)
    engine.received(told(1, 40, idle=True))
    engine.received(told(1, 30))
    assert engine.of_others_ms(0) is None


def test_several_readers_go_on_together() -> None:
    busy, quiet, engine = Reader(), Reader(), EngineClock(2)
    quiet.event(1_000)
    quiet.after()
    quiet.gone()
    quiet.now += IDLE
    for ts_ms in (10_000, 20_000, 30_000):
        busy.event(ts_ms)
        engine.received(told(0, busy.after(10, engine.of_others_ms(0)), busy.clock.idle))
        engine.received(told(1, quiet.after(10, engine.of_others_ms(1)), quiet.clock.idle))
        assert engine.ms == ts_ms - LATENESS
    quiet.event(25_000)
    busy.event(40_000)
    engine.received(told(0, busy.after(10, engine.of_others_ms(0)), busy.clock.idle))
    engine.received(told(1, quiet.after(10, engine.of_others_ms(1)), quiet.clock.idle))
    assert engine.ms == 30_000 - LATENESS
