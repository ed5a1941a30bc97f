"""Synthetic traffic: what arrives is what was acknowledged, in order, at the rate asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from flows.live.bank_process import BankProcess, BankProcessError
from flows.live.producing import Producing, TrafficError
from flows.live.recording import RecordingError
from flows.live.traffic import TrafficJob, TrafficReport, run_traffic
from flows.replay import ReplayJob, replay
from operators.event_schema import REQUIRED
from rules.load import load_rules
from rules.policy import Policy

STREAMS = ("profile", "ticket", "label", "click", "txn", "feedback")
TOPICS = {stream: [f"bank.{stream}"] for stream in STREAMS}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of librdkafka's own mock broker, with the topics on it."""
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    address = next(iter(owner.list_topics(timeout=10).brokers.values()))
    for topics in TOPICS.values():
        owner.list_topics(topics[0], timeout=10)
    yield f"{address.host}:{address.port}"
    owner.flush(0)


def messages(bootstrap: str, topics: list[str]) -> list[tuple[str, int, bytes, bytes]]:
    """(topic, partition, key, value) of everything, each partition in its order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.partition.eof": True})
    known = consumer.list_topics(timeout=10).topics
    places = [TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in known[t].partitions]
    consumer.assign(places)
    found, ends = [], 0
    while ends < len(places):
        message = consumer.poll(10)
        assert message is not None, "a partition does not end"
        error = message.error()
        if error is None:
            found.append((message.topic(), message.partition(), message.key(), message.value()))
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error
            ends += 1
    consumer.close()
    return found


def sent(job: TrafficJob) -> TrafficReport:
    return run_traffic(job, threading.Event(), lambda _: None)


def test_what_arrives_is_what_was_recorded(broker: str, tmp_path: Path) -> None:
    before = time.time_ns() // 1_000_000
    report = sent(TrafficJob(broker, TOPICS, customers=300, rate=4000, for_ms=1000, record=tmp_path / "record"))
    after = time.time_ns() // 1_000_000
    assert (report.sent, report.acknowledged, report.failed) == (4000, 4000, 0)
    recorded = {path.stem: path.read_bytes().splitlines() for path in (tmp_path / "record").iterdir()}
    arrived: dict[str, list[bytes]] = defaultdict(list)
    ids: dict[str, set[str]] = defaultdict(set)
    last: dict[str, int] = {}
    partition_of: dict[tuple[str, bytes], int] = {}
    for topic, partition, key, value in messages(broker, [topic for topics in TOPICS.values() for topic in topics]):
        stream = topic.removeprefix("bank.")
        event: dict[str, Any] = json.loads(value)
        assert "stream" not in event
        assert key.decode() == event["customer_id"]
        assert partition_of.setdefault((topic, key), partition) == partition
        assert all(event[field.name] is not None for field in REQUIRED[stream])
        assert before - 10 <= event["ts"] <= after + 100
        assert event["event_id"] not in ids[stream]
        ids[stream].add(event["event_id"])
        place = f"{topic}-{partition}"
        assert event["ts"] >= last.get(place, 0) - 100
        last[place] = event["ts"]
        arrived[place].append(json.dumps({"stream": stream} | event, ensure_ascii=False).encode())
    assert {place: [json.loads(line) for line in lines] for place, lines in arrived.items()} == {
        place: [json.loads(line) for line in lines] for place, lines in recorded.items()
    }
    assert len(arrived) > len(STREAMS) / 2  # several streams and partitions, or this shows nothing


def test_a_customers_events_have_times_of_their_own(broker: str, tmp_path: Path) -> None:
    sent(TrafficJob(broker, TOPICS, customers=200, rate=4000, for_ms=1500, record=tmp_path / "record"))
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for path in (tmp_path / "record").glob("bank.click-*.ndjson"):
        for line in path.read_bytes().splitlines():
            event = json.loads(line)
            times[event["customer_id"], event["session_id"]].append(event["ts"])
    assert any(len(of_session) > 3 for of_session in times.values())
    assert all(a < b for of_session in times.values() for a, b in pairwise(of_session))


def test_a_backlog_reaches_into_the_past(broker: str, tmp_path: Path) -> None:
    before = time.time_ns() // 1_000_000
    report = sent(
        TrafficJob(broker, TOPICS, customers=500, backlog=20_000, backlog_span_ms=600_000, record=tmp_path / "record")
    )
    assert report.acknowledged == 20_000
    times = [
        json.loads(line)["ts"] for path in (tmp_path / "record").iterdir() for line in path.read_bytes().splitlines()
    ]
    assert len(times) == 20_000
    assert 0 <= min(times) - (before - 600_000) < 20_000
    assert abs(max(times) - before) < 20_000
    times.sort()
    assert abs(times[10_000] - (before - 300_000)) < 20_000  # evenly over the span


def test_a_recording_can_be_replayed(broker: str, tmp_path: Path) -> None:
    sent(TrafficJob(broker, TOPICS, customers=300, rate=3000, for_ms=1000, record=tmp_path / "record"))
    rules, _ = load_rules([ROOT / "rules/packs/demo.yaml"])
    assert rules is not None
    files = tuple(sorted((tmp_path / "record").iterdir()))
    summary = replay(ReplayJob(rules, files, tmp_path / "out", Policy.default(), 500))
    assert sum(summary["events"].values()) == 3000
    assert (summary["dead_letters"], summary["duplicates"], summary["late"]) == ({}, 0, 0)


def test_two_runs_have_different_ids(broker: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        sent(TrafficJob(broker, TOPICS, customers=100, rate=1000, for_ms=300, record=tmp_path / name))
    ids = [
        {json.loads(line)["event_id"] for path in (tmp_path / name).iterdir() for line in path.open()}
        for name in ("one", "two")
    ]
    assert len(ids[0]) == len(ids[1]) == 300
    assert not ids[0] & ids[1]


def test_a_stream_without_a_topic_is_left_out(broker: str) -> None:
    report = sent(TrafficJob(broker, {"click": ["bank.click"]}, customers=100, rate=2000, for_ms=500))
    assert 0 < report.acknowledged == report.sent < 1000
    assert {topic for topic, *_ in messages(broker, [t[0] for t in TOPICS.values()])} == {"bank.click"}


def test_it_stops_when_told(broker: str) -> None:
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    report = run_traffic(TrafficJob(broker, TOPICS, customers=100, rate=500), stop, lambda _: None)
    assert report.acknowledged == report.sent < 1500


def test_it_stops_while_the_bank_is_being_made(broker: str) -> None:
    stop = threading.Event()
    stop.set()
    report = run_traffic(TrafficJob(broker, TOPICS, customers=50_000, rate=500), stop, lambda _: None)
    assert (report.sent, report.seconds) == (0, 0.0)


def test_the_end_of_the_bank_is_told() -> None:
    with BankProcess(100, 1, "test-") as bank:
        assert bank.next_block(threading.Event())
        bank.process.kill()
        bank.process.join()
        with pytest.raises(BankProcessError, match="ended with exit code -9"):
            list(iter(lambda: bank.next_block(threading.Event()), None))  # what came before it is still handed out


def test_a_missing_topic_is_named(broker: str) -> None:
    with pytest.raises(TrafficError, match=r"has no topic bank\.else; create it, or have it created with --partitions"):
        sent(TrafficJob(broker, TOPICS | {"click": ["bank.else"]}, customers=10, rate=10, for_ms=10))


def test_a_recording_is_not_overwritten(broker: str, tmp_path: Path) -> None:
    (tmp_path / "bank.click-0.ndjson").touch()
    with pytest.raises(RecordingError, match="holds event files of another run"):
        sent(TrafficJob(broker, TOPICS, customers=10, rate=10, for_ms=10, record=tmp_path))


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text("version: 1\nrules: []\n")
    path = tmp_path / "live.yaml"
    lines = [
        "rules: [rules.yaml]", "state: state", "source:", f"  bootstrap: {broker}", "  topics:",
        *(f"    {stream}: [bank.{stream}]" for stream in STREAMS), "sinks: {files: out}",
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return path


def command(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "simulate", *map(str, arguments)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_the_command_reports(settings: Path) -> None:
    run = command("--config", settings, "--rate", "1000", "--for", "500ms", "--customers", "100")
    _, told = run.communicate(timeout=60)
    assert run.returncode == 0, told
    assert "500 of 500 events acknowledged" in told
    assert "acknowledged after p50 " in told


def test_brokers_that_are_away_are_told_of_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.live.producing._START_SECONDS", 1.0)
    said: list[str] = []
    producing = Producing("127.0.0.1:1", {}, TOPICS, None, said.append)
    try:
        with pytest.raises(TrafficError, match=r"no broker at 127\.0\.0\.1:1 answers: .*; correct source\.bootstrap"):
            producing.check_topics(1, threading.Event())
    finally:
        producing.close()
    assert len(said) == 1
    assert said[0].startswith("no broker at 127.0.0.1:1 answers (source.bootstrap); trying again: ")
    assert capfd.readouterr().err == ""


def test_sigterm_ends_the_command_in_order(settings: Path, broker: str) -> None:
    run = command("--config", settings, "--rate", "200", "--customers", "100")
    deadline = time.monotonic() + 60
    while not messages(broker, ["bank.profile"]) and time.monotonic() < deadline:
        pass
    run.terminate()
    _, told = run.communicate(timeout=60)
    assert run.returncode == 0, told
    count = int(told.split(" of ")[0].rsplit("\n", 1)[-1].replace(",", ""))
    assert len(messages(broker, [t[0] for t in TOPICS.values()])) == count > 0


def test_wrong_usage_and_wrong_settings(tmp_path: Path) -> None:
    neither = command()
    assert "give either --out" in neither.communicate(timeout=60)[1]
    assert neither.returncode == 2
    missing = command("--config", tmp_path / "none.yaml")
    assert "none.yaml" in missing.communicate(timeout=60)[1]
    assert missing.returncode == 1
