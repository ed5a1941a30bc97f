"""Apache Kafka brokers in KRaft mode: the first is the controller too, the others are brokers alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from flows.services.kafka_package import class_path, java
from flows.services.process import HOST, Process, ServiceError, is_open, spawn
from flows.services.record import KafkaRecord

READY_TIMEOUT_S = 90.0
STOP_GRACE_S = 20.0
_CLUSTER_ID = "Y2VtLWxvY2FsLWthZmthMQ"  # 16 bytes in base64, as Kafka wants them
_FORMATTED = "meta.properties"

# A laptop's broker: few threads, one partition of each internal topic. Nothing is deleted for its age, because the
# times of simulated events may lie far back.
_COMMON = {
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.retention.ms": "-1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "min.insync.replicas": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",  # a mistyped topic is an error, as on the brokers of a bank
    # A broker that is gone is noticed within seconds.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
}


def start_broker(folder: Path, kafka: KafkaRecord, number: int) -> Process:
    """Starts the broker of that node number (from 1) with its data in ``folder/kafka-N``; does not wait for it.

    Raises
    ------
    ServiceError
        Kafka cannot be fetched, or its data folder not be prepared.
    """
    command = java()
    if command is None:
        raise ServiceError("no Java that Kafka runs on")
    classes = class_path()
    home = folder / f"kafka-{number}"
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "server.properties"
    lines = [f"{name}={value}\n" for name, value in _properties(home, kafka, number).items()]
    settings.write_text("".join(lines), encoding="utf-8")
    if not (home / "data" / _FORMATTED).exists():
        _format(command, classes, settings)
    memory = ["-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError"]
    log_level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    times = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
    run = [command, *memory, log_level, *times, "-cp", classes, "kafka.Kafka", str(settings)]
    return spawn(run, folder / f"kafka-{number}.log")


def is_ready(kafka: KafkaRecord) -> bool:
    """Whether every broker is known to the cluster, and the first one answers."""
    if not all(is_open(broker.port) for broker in kafka.brokers):
        return False  # asking a closed port would only start the client's back-off
    from confluent_kafka import KafkaException  # late, as stopping a server does not need it
    from confluent_kafka.admin import AdminClient

    try:
        cluster = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0}).list_topics(timeout=2)
    except KafkaException:
        return False
    return len(cluster.brokers) >= len(kafka.brokers)


def _properties(home: Path, kafka: KafkaRecord, number: int) -> dict[str, str]:
    address, controller = kafka.brokers[number - 1].address, f"{HOST}:{kafka.controller_port}"
    controls = number == 1
    replication = str(kafka.replication)
    return {
        **_COMMON,
        "process.roles": "broker,controller" if controls else "broker",
        "node.id": str(number),
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{address}" + (f",CONTROLLER://{controller}" if controls else ""),
        "advertised.listeners": f"PLAINTEXT://{address}",
        "log.dirs": str((home / "data").absolute()),
        "default.replication.factor": replication,
        "offsets.topic.replication.factor": replication,
        "transaction.state.log.replication.factor": replication,
        "share.coordinator.state.topic.replication.factor": replication,
        **kafka.properties,
    }


def _format(command: str, classes: str, settings: Path) -> None:
    # -XX:TieredStopAtLevel=1: a program of a second gains nothing from the optimising compiler.
    tool = [command, "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classes]
    tool += ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _CLUSTER_ID, "-c", str(settings)]
    done = subprocess.run(tool, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=os.environ, check=False)
    if done.returncode:
        raise ServiceError(f"Kafka's data folder {settings.parent} cannot be prepared:\n{done.stdout}{done.stderr}")
