"""Servers for the tests: Apache Kafka, Redis, and ClickHouse's HTTP interface on the embedded engine.

Kafka and Redis are started once for all processes of a run, and stopped when the run ends in whatever way. Where one
cannot be started, its tests fail if the environment variable ``CI`` is set, and are skipped otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_clickhouse import ClickHouseFront
from live_kafka import KafkaCluster, KafkaServer, started_cluster
from live_redis import OwnRedis, RedisServer
from live_skips import give_up

from flows.services.control import Wanted, start
from flows.services.process import Process, ServiceError, this_process
from flows.services.record import Record

ClusterMaker = Callable[..., KafkaCluster]


def _run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Process]:
    """The folder and the process that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        return base.parent / "services", this_process(os.getppid())
    return base / "services", this_process()


def _shared(tmp_path_factory: pytest.TempPathFactory, wanted: Wanted) -> Record:
    folder, owner = _run(tmp_path_factory)
    return start(folder, wanted, owner=owner)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> KafkaServer:
    """A broker for all tests, which leave it running and take topics of their own (``new_topic``)."""
    folder, _ = _run(tmp_path_factory)
    try:
        record = _shared(tmp_path_factory, Wanted(("kafka",), kafka_port=0)).kafka
    except ServiceError as error:
        give_up("Kafka", error)
    assert record is not None
    return KafkaServer(record.bootstrap, record.kind, folder)


@pytest.fixture
def kafka_cluster(tmp_path: Path) -> Iterator[ClusterMaker]:
    """Starts brokers of the test's own: ``kafka_cluster(brokers=1, replication=1, properties={})``."""
    clusters: list[KafkaCluster] = []

    def make(brokers: int = 1, replication: int = 1, properties: dict[str, str] | None = None) -> KafkaCluster:
        try:
            folder = tmp_path / f"cluster-{len(clusters)}"
            clusters.append(started_cluster(folder, brokers, replication, properties or {}))
        except ServiceError as error:
            give_up("Kafka", error)
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> RedisServer:
    """A Redis server for all tests."""
    try:
        record = _shared(tmp_path_factory, Wanted(("redis",), redis_port=0)).redis
    except ServiceError as error:
        give_up("Redis", error)
    assert record is not None
    return RedisServer(record.url)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis server that the test may stop, kill and pause."""
    try:
        server = OwnRedis.started(tmp_path / "own-redis")
    except ServiceError as error:
        give_up("Redis", error)
    yield server
    server.stop()


@pytest.fixture
def clickhouse_front(tmp_path: Path) -> Iterator[ClickHouseFront]:
    """A ClickHouse server of the test's own, over HTTP, with faults to order."""
    front = ClickHouseFront(tmp_path / "clickhouse-front")
    yield front
    front.stop()
