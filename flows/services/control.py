"""Starts and stops the servers of a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flows.services import kafka, kafka_package, redis_server, tansu
from flows.services.process import Process, ServiceError, end, free_port, is_free, send, wait_ready, wait_until
from flows.services.record import KafkaRecord, Record, RedisRecord, Server, locked, read_record, write_record

KAFKA_PORT, REDIS_PORT = 9092, 6379
ANY = 0
_PORT_GRACE_S = 3.0
Name = Literal["kafka", "redis"]
_PORT_OPTIONS: dict[Name, str] = {"kafka": "--port", "redis": "--redis-port"}
BOTH: tuple[Name, ...] = ("kafka", "redis")


@dataclass(frozen=True)
class Wanted:
    """What is to run. None: as it ran before in this folder, else as usual; a port of 0: any free one.

    kafka_port   of the first broker, the others follow
    replication  copies of topics that are created without a number of their own, and of Kafka's own topics
    kind         ``kafka``, or ``tansu`` for the broker without Java, by default whichever the machine can run
    properties   settings of Kafka's brokers beyond the usual ones
    """

    only: tuple[Name, ...] = BOTH
    brokers: int | None = None
    kafka_port: int | None = None
    redis_port: int | None = None
    replication: int | None = None
    kind: Literal["kafka", "tansu"] | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


def start(folder: Path, wanted: Wanted | None = None, *, owner: Process | None = None) -> Record:
    """Starts what does not run yet, with the data it had, and returns when everything answers.

    With an `owner`, the servers are stopped when that process ends, however it ends.

    Raises
    ------
    ServiceError
        A server cannot be fetched or started.
    """
    wanted = wanted or Wanted()
    with locked(folder):
        record = read_record(folder)
        if "kafka" in wanted.only:
            record.kafka = _plan_kafka(record.kafka, wanted)
        if "redis" in wanted.only:
            record.redis = _plan_redis(record.redis, wanted)
        _check_ports(record, wanted.only)
        if owner is not None and not all(server.alive for server in record.servers()):
            _start_guard(folder, owner)
        if "redis" in wanted.only:
            _start_redis(folder, record)
        if "kafka" in wanted.only:
            assert record.kafka is not None
            _start_brokers(folder, record, range(1, len(record.kafka.brokers) + 1))
        return record


def start_brokers(folder: Path, *numbers: int) -> None:
    """Starts these brokers (numbers from 1) of a folder that had them before, with their data.

    Raises
    ------
    ServiceError
        One does not start.
    """
    with locked(folder):
        record = read_record(folder)
        _start_brokers(folder, record, numbers)


def stop(folder: Path, only: tuple[Name, ...] = BOTH) -> list[str]:
    """Stops the servers; their data stay. Returns the names of those that ran.

    Raises
    ------
    ServiceError
        One runs on even after SIGKILL.
    """
    if not folder.is_dir():
        return []
    with locked(folder):
        record = read_record(folder)
        stopped = []
        # Backwards: a broker says goodbye to the controller, which is the first.
        for server in reversed(record.servers()):
            if ("redis" if server.name == "redis" else "kafka") in only:
                stopped += [server.name] if server.alive else []
                _stop(record, server)
        write_record(folder, record)
        return stopped[::-1]


def stop_brokers(folder: Path, *numbers: int, kill: bool = False) -> None:
    """Stops these brokers (numbers from 1), with SIGKILL at once if `kill`; returns when they are gone."""
    with locked(folder):
        record = read_record(folder)
        assert record.kafka is not None
        for number in numbers:
            server = record.kafka.brokers[number - 1]
            if kill:
                send(server.process, signal.SIGKILL)
            _stop(record, server)
        write_record(folder, record)


def _stop(record: Record, server: Server) -> None:
    kind = record.kafka.kind if record.kafka and server in record.kafka.brokers else None
    end(server.process, kafka.STOP_GRACE_S[kind] if kind else redis_server.STOP_GRACE_S)
    server.process = None


def _plan_kafka(before: KafkaRecord | None, wanted: Wanted) -> KafkaRecord:
    count = wanted.brokers or (len(before.brokers) if before else 1)
    if before and any(broker.alive for broker in before.brokers):
        if count != len(before.brokers):
            raise ServiceError(f"{len(before.brokers)} broker(s) run already; stop them before starting {count}")
        return before
    kind = wanted.kind or (before.kind if before else None)
    lacks = kafka_package.missing() if kind is None else None
    kind = kind or ("tansu" if lacks else "kafka")
    if kind == "tansu" and count > 1:
        raise ServiceError(f"several brokers need Apache Kafka, but {lacks or 'tansu was asked for'}")
    if wanted.kafka_port is not None or before is None or len(before.brokers) != count:
        ports = _ports(KAFKA_PORT if wanted.kafka_port is None else wanted.kafka_port, count)
    else:
        ports = [broker.port for broker in before.brokers]
    brokers = [Server(f"kafka-{number}", port) for number, port in enumerate(ports, start=1)]
    return KafkaRecord(
        kind=kind,
        bootstrap=",".join(broker.address for broker in brokers),
        brokers=brokers,
        controller_port=free_port() if kind == "kafka" else 0,
        replication=min(count, wanted.replication or (before.replication if before else 1)),
        properties={**(before.properties if before else {}), **wanted.properties},
    )


def _plan_redis(before: RedisRecord | None, wanted: Wanted) -> RedisRecord:
    if before and before.server.alive:
        return before
    if wanted.redis_port is not None or before is None:
        (port,) = _ports(REDIS_PORT if wanted.redis_port is None else wanted.redis_port, 1)
    else:
        port = before.server.port
    server = Server("redis", port)
    return RedisRecord(f"redis://{server.address}/0", server)


def _ports(first: int, count: int) -> list[int]:
    return [free_port() for _ in range(count)] if first == ANY else list(range(first, first + count))


def _check_ports(record: Record, only: tuple[Name, ...]) -> None:
    """Names every port that is taken, before anything is started."""
    names = [name for name in BOTH if name in only]
    wanted = {
        "kafka": record.kafka.brokers if record.kafka else [],
        "redis": [record.redis.server] if record.redis else [],
    }
    wait_until(lambda: all(map(_is_free, [server for name in names for server in wanted[name]])), _PORT_GRACE_S)
    taken = {name: found for name in names if (found := [one for one in wanted[name] if not _is_free(one)])}
    if not taken:
        return
    places = [f"port {server.port} ({server.name})" for servers in taken.values() for server in servers]
    options = " ".join(f"{_PORT_OPTIONS[name]} 0" for name in taken)
    raise ServiceError(
        f"{', '.join(places)}: in use by another program; nothing was started. Choose other ports with "
        f'{" and ".join(_PORT_OPTIONS[name] for name in taken)} (0: any free one): make services ARGS="{options}"'
    )


def _is_free(server: Server) -> bool:
    return server.alive or is_free(server.port)


def _check_port(server: Server) -> None:
    # The sockets of a process with many threads that was killed are closed a moment after it counts as gone.
    if not wait_until(lambda: is_free(server.port), _PORT_GRACE_S):
        raise ServiceError(f"{server.name}: port {server.port} is in use by another program")


def _start_brokers(folder: Path, record: Record, numbers: range | tuple[int, ...]) -> None:
    planned = record.kafka
    assert planned is not None
    started = []
    for number in numbers:
        broker = planned.brokers[number - 1]
        if not broker.alive:
            _check_port(broker)
            apache = planned.kind == "kafka"
            broker.process = (
                kafka.start_broker(folder, planned, number) if apache else tansu.start_tansu(folder, planned)
            )
            started.append(broker)
            write_record(folder, record)  # at once: what is not in the record cannot be stopped
    for broker in started:
        assert broker.process is not None
        log = folder / f"{broker.name}.log"
        wait_ready(broker.name, broker.process, log, lambda: kafka.is_ready(planned), kafka.READY_TIMEOUT_S)


def _start_redis(folder: Path, record: Record) -> None:
    planned = record.redis
    assert planned is not None
    if not planned.server.alive:
        _check_port(planned.server)
        planned.server.process = redis_server.start_redis(folder, planned)
        write_record(folder, record)
        log = folder / "redis.log"
        ready = redis_server.READY_TIMEOUT_S
        wait_ready("redis", planned.server.process, log, lambda: redis_server.is_ready(planned), ready)


def _start_guard(folder: Path, owner: Process) -> None:
    command = [sys.executable, "-m", "flows.services.guard", str(owner.pid), owner.started, str(folder.absolute())]
    root = Path(__file__).parents[2]
    with (folder / "guard.log").open("ab") as log:
        subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
