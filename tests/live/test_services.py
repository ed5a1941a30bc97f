"""Kafka and Redis of this machine: started once, stopped, started again with their data."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from live_kafka import KafkaCluster, KafkaServer
from live_redis import OwnRedis, RedisServer
from live_skips import give_up

from flows.services import packages
from flows.services.__main__ import main
from flows.services.control import Wanted, start, stop
from flows.services.kafka_package import missing
from flows.services.process import (
    Process,
    ServiceError,
    end,
    is_alive,
    spawn,
    this_process,
    wait_ready,
    wait_until,
)
from flows.services.record import RECORD, KafkaRecord, Record, RedisRecord, Server, read_record, write_record

ROOT = Path(__file__).resolve().parents[2]


def test_messages_come_back_in_their_order(kafka: KafkaServer) -> None:
    topic = kafka.new_topic(partitions=2)
    values = [str(number).encode() for number in range(1000)]
    assert kafka.produce(topic, values, keys=[b"a", b"b"] * 500, headers=[("h", b"1")]) == 1000
    messages = kafka.consume_all(topic)
    assert [m.value() for m in messages if m.key() == b"a"] == values[::2]
    assert [m.value() for m in messages if m.key() == b"b"] == values[1::2]
    assert {tuple(m.headers() or ()) for m in messages} == {(("h", b"1"),)}


def test_a_topic_that_nobody_created_is_not_there(kafka: KafkaServer) -> None:
    if kafka.kind != "kafka":
        pytest.skip("only Apache Kafka")
    with pytest.raises(AssertionError, match=r"not available|Unknown topic|timed out"):
        kafka.produce("nobody.created.this", [b"x"], **{"message.timeout.ms": "1500"})
    assert "nobody.created.this" not in kafka.topics()


def test_topics_grow_and_go(kafka: KafkaServer) -> None:
    topic = kafka.new_topic(partitions=1)
    kafka.add_partitions(topic, 3)
    assert kafka.partitions(topic) == [0, 1, 2]
    kafka.delete_topic(topic)
    assert topic not in kafka.topics()


def test_stopped_and_started_again_with_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(".services")  # as it is called by hand: from the folder above
    arguments = ["--dir", str(folder)]
    if main(["start", *arguments, "--port", "0", "--redis-port", "0"]):
        give_up("Kafka or Redis", ServiceError(capsys.readouterr().err))
    try:
        first = read_record(folder)
        assert json.loads((folder / RECORD).read_text(encoding="utf-8"))["kafka"]["kind"] in ("kafka", "tansu")
        assert first.kafka is not None
        assert first.redis is not None
        server = KafkaServer(first.kafka.bootstrap, first.kafka.kind, folder)
        server.produce(server.create_topic("kept"), [b"1", b"2"])
        RedisServer(first.redis.url).client().set("kept", "yes")

        assert main(["start", *arguments]) == 0
        assert read_record(folder) == first

        assert main(["stop", *arguments]) == 0
        assert "stopped: kafka-1, redis" in capsys.readouterr().out
        assert not first.kafka.brokers[0].alive  # its port may be another test's by now
        assert not first.redis.server.alive
        assert main(["status", *arguments]) == 0
        assert capsys.readouterr().out.count("stopped") == 2

        assert main(["start", *arguments]) == 0
        again = read_record(folder)
        assert [server.address for server in again.servers()] == [server.address for server in first.servers()]
        assert RedisServer(first.redis.url).client().get("kept") == "yes"
        if first.kafka.kind == "kafka":
            assert [message.value() for message in server.consume_all("kept")] == [b"1", b"2"]
    finally:
        stop(folder)


@pytest.mark.skipif(missing() is not None and not os.environ.get("CI"), reason=f"Kafka: {missing()}")
def test_a_partition_finds_a_new_leader(kafka_cluster: Callable[..., KafkaCluster]) -> None:
    quickly = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
    cluster = kafka_cluster(brokers=2, replication=2, properties=quickly)
    topic = cluster.new_topic(replicas=[[1, 2], [2, 1]])
    assert [cluster.leader(topic, partition) for partition in (0, 1)] == [1, 2]
    partition = 1
    cluster.produce(topic, [b"before"], partition=partition)
    cluster.kill(2)
    assert wait_until(lambda: cluster.leader(topic, partition) == 1, 30)
    cluster.produce(topic, [b"between"], partition=partition)
    cluster.start(2)
    assert wait_until(lambda: cluster.replicas_in_sync(topic, partition) == [1, 2], 30)
    assert [message.value() for message in cluster.consume_all(topic)] == [b"before", b"between"]


def test_the_broker_without_java(tmp_path: Path) -> None:
    folder = tmp_path / "services"
    try:
        record = start(folder, Wanted(("kafka",), kafka_port=0, kind="tansu"), owner=this_process()).kafka
    except ServiceError as error:
        give_up("tansu", error)
    assert record is not None
    assert record.kind == "tansu"
    server = KafkaServer(record.bootstrap, record.kind, folder)
    topic = server.create_topic("t", partitions=2)
    server.produce(topic, [b"0", b"1"], partition=1)
    assert [(message.partition(), message.value()) for message in server.consume_all(topic)] == [(1, b"0"), (1, b"1")]
    stop(folder)
    assert not record.brokers[0].alive  # its port may be another test's by now


def test_without_java_or_maven_it_is_the_broker_without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.services.kafka_package.java", lambda: None)
    with pytest.raises(ServiceError, match="several brokers need Apache Kafka, but no Java 17 or newer"):
        start(tmp_path, Wanted(("kafka",), brokers=2, kafka_port=0))
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert missing() == "no Java 17 or newer"


def test_redis_from_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.services.redis_server.shutil.which", lambda _: None)
    try:
        record = start(tmp_path, Wanted(("redis",), redis_port=0), owner=this_process()).redis
    except ServiceError as error:
        give_up("Redis", error)
    assert record is not None
    assert str(RedisServer(record.url).client().info()["redis_version"]).startswith("6.2.")
    stop(tmp_path)


def test_redis_goes_and_comes_back(own_redis: OwnRedis) -> None:
    own_redis.client().set("a", "1")
    own_redis.stop()
    with pytest.raises(redis.ConnectionError):
        own_redis.client().ping()
    own_redis.start()
    assert own_redis.client().get("a") == "1"
    own_redis.kill()
    with pytest.raises(redis.ConnectionError):
        own_redis.client().ping()


def test_servers_end_with_the_process_that_wanted_them(tmp_path: Path, redis_server: RedisServer) -> None:
    folder = tmp_path / "services"
    program = f"""
import sys
import threading
from pathlib import Path
from flows.services.control import Wanted, start
from flows.services.process import this_process
start(Path({str(folder)!r}), Wanted(("redis",), redis_port=0), owner=this_process())
print("up", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        record = read_record(folder).redis
        assert record is not None
        assert record.server.alive
        owner.kill()
    try:
        assert wait_until(lambda: not record.server.alive, 15)
    finally:
        stop(folder)


def test_a_process_that_was_given_the_number_of_a_server_is_left_alone(tmp_path: Path) -> None:
    stranger = spawn(["sleep", "60"], tmp_path / "log")
    try:
        server = Server("redis", 1, Process(stranger.pid, "some other time"))
        write_record(tmp_path, Record(redis=RedisRecord("redis://127.0.0.1:1/0", server)))
        assert stop(tmp_path) == []
        assert is_alive(stranger)
    finally:
        end(stranger, 5)
    assert not is_alive(stranger)


def test_a_server_that_does_not_end_is_killed(tmp_path: Path) -> None:
    deaf = spawn(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], tmp_path / "log")
    assert wait_until(lambda: (tmp_path / "log").read_text(encoding="utf-8") == "up\n", 10)
    end(deaf, 0.2)
    assert not is_alive(deaf)


def test_a_paused_server_ends_in_good_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    paused = spawn(["sh", "-c", "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.1; done"], log)
    assert wait_until(lambda: log.read_text(encoding="utf-8") == "up\n", 10)
    os.kill(paused.pid, signal.SIGSTOP)
    end(paused, 10)
    assert log.read_text(encoding="utf-8") == "up\nbye\n"


def test_a_server_that_ends_at_once_leaves_its_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn(["sh", "-c", "echo no such thing; exit 3"], log)
    with pytest.raises(ServiceError, match=r"it ended at once(.|\n)*no such thing"):
        wait_ready("it", process, log, lambda: False, 10)


def test_all_ports_in_use_are_named_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as one, socket.socket() as other:
        for taken in one, other:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        kafka_port, redis_port = one.getsockname()[1], other.getsockname()[1]
        with pytest.raises(ServiceError) as raised:
            start(tmp_path, Wanted(kafka_port=kafka_port, redis_port=redis_port, kind="tansu"))
        assert f"port {kafka_port} (kafka-1), port {redis_port} (redis): in use" in str(raised.value)
        assert 'make services ARGS="--port 0 --redis-port 0"' in str(raised.value)
        with pytest.raises(ServiceError, match=r'ARGS="--redis-port 0"'):
            start(tmp_path, Wanted(kafka_port=0, redis_port=redis_port, kind="tansu"))
    assert stop(tmp_path) == []


def test_other_ports_than_the_usual_ones_are_told_as_the_settings_take_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = this_process()
    kafka = KafkaRecord("tansu", "127.0.0.1:17092", [Server("kafka-1", 17092, here)])
    redis_record = RedisRecord("redis://127.0.0.1:16379/0", Server("redis", 16379, here))
    monkeypatch.setattr("flows.services.__main__.start", lambda *_: Record(kafka, redis_record))
    main(["start", "--dir", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["export CEM_KAFKA=127.0.0.1:17092", "export CEM_REDIS=redis://127.0.0.1:16379/0"]
    usual = KafkaRecord("tansu", "127.0.0.1:9092", [Server("kafka-1", 9092, here)])
    monkeypatch.setattr("flows.services.__main__.start", lambda *_: Record(usual))
    main(["start", "--dir", str(tmp_path)])
    assert "export" not in capsys.readouterr().out


def test_a_port_that_is_being_given_up_is_waited_for(tmp_path: Path) -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    closing = threading.Timer(0.3, taken.close)
    closing.start()
    try:
        record = start(tmp_path, Wanted(("redis",), redis_port=port))
        assert record.redis is not None
        assert record.redis.server.port == port
    except ServiceError as error:
        if "in use" in str(error):
            raise
        give_up("Redis", error)
    finally:
        closing.join()
        stop(tmp_path)


def test_packages_are_fetched_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def broken(folder: Path) -> None:
        (folder / "half").write_bytes(b"")
        raise ServiceError("no network")

    def whole(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_bytes(b"")

    with pytest.raises(ServiceError, match="no network"):
        packages.fetched("thing-1", "nowhere", broken)
    assert packages.cached_package("thing-1") is None
    for _ in range(2):
        assert [path.name for path in packages.fetched("thing-1", "nowhere", whole).iterdir()] == ["file"]
    assert len(calls) == 1
    assert sorted(path.name for path in packages.cache_folder().iterdir()) == ["thing-1", "thing-1.lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ServiceError, match="Set XDG_CACHE_HOME"):
        packages.fetched("thing-1", "nowhere", lambda _: None)


@pytest.mark.parametrize(("in_ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_server_fails_in_ci_only(
    monkeypatch: pytest.MonkeyPatch, in_ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", in_ci)
    with pytest.raises(outcome, match="Kafka cannot be started: no Java"):
        give_up("Kafka", ServiceError("no Java"))
