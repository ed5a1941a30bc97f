"""A reader on a broker: nothing is lost, nothing comes twice, and event time is promised for what is read only."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from live_kafka import KafkaServer
from live_reader import LATENESS, Reading, event, now_ms

from flows.lines import SourceError
from flows.live import consumer as consumer_module
from flows.live import reader as reader_module
from flows.live.positions import SNAPSHOT
from state.sequencer import BEFORE_ALL_MS

Read = Callable[..., Reading]


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "LOOK_SECONDS", 0.5)
    monkeypatch.setitem(consumer_module._OURS, "session.timeout.ms", 1_500)


@pytest.fixture
def read(request: pytest.FixtureRequest) -> Iterator[Read]:
    """Starts readers on the shared broker, or on ``bootstrap``; closes them."""
    made: list[Reading] = []

    def make(*args: Any, bootstrap: str | None = None, **settings: Any) -> Reading:
        address = bootstrap or request.getfixturevalue("kafka").bootstrap
        made.append(Reading(address, *args, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def place_of(topic: str, number: int, reading: Reading) -> Any:
    return next((row[2:] for row in reading.snapshot()[3] if row[:2] == (topic, number)), None)


def ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def test_a_run_goes_on_exactly_where_its_snapshot_says(
    kafka: KafkaServer, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "MAX_MESSAGES", 7)
    topic = kafka.new_topic("click", partitions=3)
    for number in range(3):
        kafka.produce(topic, [event(i) for i in ids(f"{number}-", 20)], partition=number)
    first = read({topic: "click"})
    first.until(lambda: len(first.ids) >= 25)
    snapshot = first.snapshot()
    first.close()
    assert len(first.ids) < 60
    second = read({topic: "click"}, [snapshot])
    second.until(lambda: len(second.ids) >= 60 - len(first.ids))
    second.turns(10)
    assert sorted(first.ids + second.ids) == sorted(i for number in range(3) for i in ids(f"{number}-", 20))
    kafka.produce(topic, [event("last")], partition=1)
    second.until(lambda: "last" in second.ids)
    assert place_of(topic, 1, second)[0] == 21
    assert second.snapshot()[:2] == (SNAPSHOT, 2)


def test_topics_give_streams_and_mistakes_are_dead_letters(kafka: KafkaServer, read: Read) -> None:
    click, txn = kafka.new_topic("click"), kafka.new_topic("txn")
    kafka.produce(txn, [event("t1", amount=1, direction="in"), event("t2", direction="in")])
    kafka.produce(click, [event("c1"), None, b"\xff", event("c2", stream="txn"), b"[]"])
    kafka.produce(click, [event("c3", ts=now_ms() + 60_000)])
    cover = {"specversion": "1.0", "id": "1", "source": "/", "type": "bank.txn"}
    data = json.loads(event("t3", amount=2, direction="out"))
    kafka.produce(click, [json.dumps(cover | {"data": data}).encode()])
    kafka.produce(click, [event("t4", amount=3, direction="out")], headers=[("ce_type", b"bank.txn")])
    one = read({click: "click", txn: "txn"}, max_ahead_ms=30_000)
    one.until(lambda: len(one.ids) >= 5 and len(one.letters) >= 5)
    one.turns(5)
    streams = dict(zip(one.ids, one.streams, strict=True))
    assert streams == {"c1": "click", "c2": "click", "t1": "txn", "t3": "txn", "t4": "txn"}
    found = {letter["source"]: (letter["reason"], letter["field"], letter["raw"]) for letter in one.letters}
    assert {place: (reason, field) for place, (reason, field, _) in found.items()} == {
        f"{txn}/0/1": ("missing_field", "amount"), f"{click}/0/1": ("not_json", None),
        f"{click}/0/2": ("not_json", None), f"{click}/0/4": ("not_object", None), f"{click}/0/5": ("future_ts", "ts"),
    }  # fmt: skip
    assert found[f"{click}/0/1"][2] == ""
    assert found[f"{click}/0/2"][2] == "/w=="
    assert "stream" not in found[f"{txn}/0/1"][2]
    assert sorted(json.loads(line)["event_id"] for line in one.archive) == sorted(streams)


def test_at_the_end_event_time_follows_the_clock(kafka: KafkaServer, read: Read) -> None:
    topic = kafka.new_topic("click")
    kafka.produce(topic, [event("old", ts=1_000_000)])
    one = read({topic: "click"})
    one.until(lambda: one.watermarks and one.watermarks[-1] > 1_000_000)
    one.until(lambda: one.watermarks[-1] >= now_ms() - LATENESS - 200)
    assert one.meter.lags[topic, 0] == 0
    kafka.produce(topic, [event("late", ts=2_000_000), event("new")])
    one.until(lambda: len(one.ids) == 3)
    effective = dict(zip(one.ids, one.effective_ms, strict=True))
    assert effective["old"] == 1_000_000
    assert effective["late"] >= one.watermarks[0]
    assert one.watermarks == sorted(one.watermarks)


def test_partitions_and_topics_that_are_added_are_read_whole(kafka: KafkaServer, read: Read) -> None:
    topic, later = kafka.new_topic("click"), f"later.{now_ms()}"
    kafka.produce(topic, [event("a")])
    one = read({topic: "click", later: "click"}, start_latest=True)
    one.until(lambda: one.meter.missing == [later])
    one.until(lambda: one.next_offset(topic) is not None)
    assert one.ids == []  # it came before the first run
    kafka.produce(topic, [event("b")])
    one.until(lambda: one.ids == ["b"])
    kafka.add_partitions(topic, 3)
    kafka.produce(topic, [event("c")], partition=2)
    one.until(lambda: "c" in one.ids)
    kafka.create_topic(later)
    kafka.produce(later, [event("d")])
    one.until(lambda: "d" in one.ids)
    one.until(lambda: one.meter.missing == [])
    assert sorted(one.ids) == ["b", "c", "d"]
    assert {row[:2] for row in one.snapshot()[3]} == {(topic, 0), (topic, 1), (topic, 2), (later, 0)}


def test_each_reader_reads_its_own_partitions(kafka: KafkaServer, read: Read) -> None:
    topic = kafka.new_topic("click", partitions=4)
    for number in range(4):
        kafka.produce(topic, [event(i) for i in ids(f"{number}-", 5)], partition=number)
    both = [read({topic: "click"}, number=number, readers=2) for number in range(2)]
    for one in both:
        one.until(lambda one=one: len(one.ids) == 10)
        one.turns(5)
    assert sorted(both[0].ids + both[1].ids) == sorted(i for number in range(4) for i in ids(f"{number}-", 5))
    left = [one.snapshot() for one in both]
    for one in both:
        one.close()
    for number in range(4):
        kafka.produce(topic, [event(f"{number}-new")], partition=number)
    alone = read({topic: "click"}, left)
    alone.until(lambda: len(alone.ids) == 4)
    alone.turns(5)
    assert sorted(alone.ids) == [f"{number}-new" for number in range(4)]


# --- lost offsets ------------------------------------------------------------------------------------


def delete_before(kafka: KafkaServer, topic: str, offset: int) -> None:
    for done in kafka.admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        done.result(30)


@pytest.mark.parametrize("at", [3, 1_000])
@pytest.mark.parametrize("policy", ["error", "earliest", "latest"])
def test_lost_offsets(kafka: KafkaServer, read: Read, policy: str, at: int) -> None:
    """Messages were deleted before they were read, or the topic was made anew."""
    topic = kafka.new_topic("click")
    kafka.produce(topic, [event(i) for i in ids("e", 10)])
    delete_before(kafka, topic, 6)
    one = read({topic: "click"}, [(SNAPSHOT, 4, 1_000, ((topic, 0, at, 900),))], on_lost_offset=policy)
    if policy == "error":
        with pytest.raises(SourceError) as raised:
            one.until(lambda: one.ids)
        message = str(raised.value)
        assert message.startswith(f"{topic}/0: the messages from offset {at} on are gone")
        assert "source.on_lost_offset" in message
        assert place_of(topic, 0, one)[:2] == (at, 900)  # nothing was passed over
        return
    expected = ids("e", 10)[6:] if policy == "earliest" else []
    one.until(lambda: one.next_offset(topic) == 10)
    kafka.produce(topic, [event("new")])
    one.until(lambda: "new" in one.ids)
    assert one.ids == [*expected, "new"]


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("policy", ["error", "earliest"])
def test_a_topic_made_anew_that_is_longer_than_it_was_read(
    kafka: KafkaServer, read: Read, policy: str, running: bool
) -> None:
    """Its offsets go on, its messages do not: those before where the old one was read would be passed over."""
    topic = kafka.new_topic("click", partitions=2)
    kafka.produce(topic, [event(i) for i in ids("old", 3)], partition=0)
    one = read({topic: "click"}, on_lost_offset=policy)
    one.until(lambda: len(one.ids) == 3)
    snapshot = one.snapshot()
    if not running:
        one.close()
    kafka.delete_topic(topic)
    kafka.create_topic(topic, partitions=2)
    kafka.produce(topic, [event(i) for i in ids("new", 5)], partition=0)
    if not running:
        one = read({topic: "click"}, [snapshot], on_lost_offset=policy)
    if policy == "error":
        with pytest.raises(SourceError, match=f"{topic}/[01]: the messages from offset"):
            one.until(lambda: False)
        assert place_of(topic, 0, one)[2] == snapshot[3][0][4]  # it is told again
        return
    one.until(lambda: place_of(topic, 0, one)[2] != snapshot[3][0][4] and place_of(topic, 0, one)[0] == 5)
    assert set(ids("new", 5)) <= set(one.ids)


# --- pauses ------------------------------------------------------------------------------------------


def test_a_partition_far_ahead_of_the_others_waits_for_them(
    kafka: KafkaServer, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "MAX_WAITING", 50)
    monkeypatch.setattr(reader_module, "MAX_MESSAGES", 10)
    topic = kafka.new_topic("click")
    kafka.produce(topic, [event(f"{i:03}", ts=1_000_000 + 1_000 * i) for i in range(300)])
    one = read({topic: "click"}, readers=2, number=0)
    other = 1
    if not one.positions.dealt_to(0, 2) and not _is_dealt(topic, 0, 2):
        one.close()
        one, other = read({topic: "click"}, readers=2, number=1), 0
    one.told(other, 900_000)
    one.until(lambda: len(one.ids) > 50)
    one.turns(30)
    assert len(one.ids) == 60
    one.told(other, 1_010_000)
    one.turns(30)
    assert len(one.ids) == 60  # more than half still waits
    one.told(other, 1_045_000)
    one.until(lambda: len(one.ids) > 60)
    one.turns(30)
    assert len(one.ids) < 130
    one.told(other, 9_000_000)
    one.until(lambda: len(one.ids) >= 300)
    one.until(lambda: one.watermarks[-1] >= now_ms() - 2_000)  # the end counts again
    assert one.ids == [f"{i:03}" for i in range(300)]


def _is_dealt(topic: str, reader: int, readers: int) -> bool:
    from flows.live.positions import reader_of

    return reader_of((topic, 0), readers) == reader


@pytest.mark.parametrize("step_ms", [0, 1])
def test_a_partition_does_not_wait_for_itself(
    kafka: KafkaServer, read: Read, monkeypatch: pytest.MonkeyPatch, step_ms: int
) -> None:
    """Within the lateness there may be any number of messages."""
    monkeypatch.setattr(reader_module, "MAX_WAITING", 50)
    monkeypatch.setattr(reader_module, "MAX_MESSAGES", 10)
    topic = kafka.new_topic("click")
    kafka.produce(topic, [event(f"{i:03}", ts=1_000_000 + step_ms * i) for i in range(300)])
    one = read({topic: "click"}, lateness_ms=60_000)
    one.until(lambda: len(one.ids) == 300)


# --- brokers that do not answer, and the group ----------------------------------------------------------


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_positions_and_event_time_stay_while_no_broker_answers(read: Read) -> None:
    rows = (("bank.click", 0, 17, 5_000, "x"), ("bank.click", 1, 4, None, None), ("bank.gone", 0, 9, 70, "y"))
    one = read({"bank.click": "click"}, [(SNAPSHOT, 4, 7_000, rows)], bootstrap=closed_port(), idle_ms=0)
    one.told(0, 7_000)
    one.until(lambda: one.meter.unreachable)
    one.turns(20)
    assert set(one.watermarks) <= {7_000}
    assert one.snapshot() == (SNAPSHOT, 5, 7_000, rows)


def test_nothing_is_promised_before_the_brokers_have_said_what_there_is(read: Read) -> None:
    """Else what the others promise would make all that is still to be read late."""
    one = read({"bank.click": "click"}, bootstrap=closed_port(), readers=2)
    one.told(1, now_ms())
    one.turns(20)
    assert set(one.watermarks) <= {BEFORE_ALL_MS}


def test_a_reader_without_partitions_follows_the_others(kafka: KafkaServer, read: Read) -> None:
    topic = kafka.new_topic("click")
    number = 0 if not _is_dealt(topic, 0, 2) else 1
    one = read({topic: "click"}, number=number, readers=2)
    one.told(1 - number, 123_456)
    one.until(lambda: one.watermarks and one.watermarks[-1] == 123_456)
    one.turns(10)
    assert one.watermarks[-1] == 123_456
    one.told(1 - number, 223_456)
    one.until(lambda: one.watermarks[-1] == 223_456)


def test_event_time_stands_still_when_the_broker_goes(read: Read) -> None:
    owner: list[Producer] = [Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})]
    address = next(iter(owner[0].list_topics(timeout=10).brokers.values()))
    owner[0].list_topics("click", timeout=10)
    one = read({"click": "click"}, bootstrap=f"{address.host}:{address.port}")
    one.until(lambda: one.watermarks and one.watermarks[-1] >= now_ms() - LATENESS - 300)
    owner.clear()
    one.until(lambda: one.meter.unreachable, "the broker is still there")
    one.until(lambda: not any(partition.reachable for partition in one.reader._partitions.values()))
    stood = one.reader._clock.promised_ms
    before = now_ms()
    one.until(lambda: now_ms() > before + 600)
    assert one.reader._clock.promised_ms == stood
    assert stood <= before - LATENESS
    assert len(one.snapshot()[3]) == len(one.meter.unreachable or ())
    began = time.monotonic()
    one.close()
    assert time.monotonic() - began < 10


def test_a_stall_is_no_end(kafka: KafkaServer, read: Read) -> None:
    """After a pause in reading, such as of a sink that was away, what came meanwhile is not late."""
    topic = kafka.new_topic("click")
    one = read({topic: "click"})
    one.until(lambda: one.watermarks and one.watermarks[-1] >= now_ms() - LATENESS - 300)
    stood = one.watermarks[-1]
    kafka.produce(topic, [event("e", ts=stood + 10)])
    one.ahead_ms = 60_000  # a minute without a turn
    one.until(lambda: one.ids)
    assert one.effective_ms == [stood + 10]
    one.until(lambda: one.watermarks[-1] > stood + 50_000)


def test_the_group_has_what_a_snapshot_before_says(kafka: KafkaServer, read: Read) -> None:
    topic, group = kafka.new_topic("click"), f"group.{now_ms()}"
    kafka.produce(topic, [event(i) for i in ids("a", 5)])
    one = read({topic: "click"}, group=group)
    one.until(lambda: len(one.ids) == 5)
    one.snapshot()
    kafka.produce(topic, [event(i) for i in ids("b", 3)])
    one.until(lambda: len(one.ids) == 8)
    assert kafka.committed(group, topic) == {}
    one.snapshot()
    one.until(lambda: kafka.committed(group, topic) == {0: 5})
    one.close()
    assert kafka.committed(group, topic) == {0: 8}


def test_a_reader_that_is_told_to_stop_gives_no_more(kafka: KafkaServer, read: Read) -> None:
    topic = kafka.new_topic("click")
    kafka.produce(topic, [event("e")])
    one = read({topic: "click"})
    one.until(lambda: one.ids)
    one.stop.set()
    with pytest.raises(StopIteration):
        one.turn()
    assert place_of(topic, 0, one)[0] == 1
