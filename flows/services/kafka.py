"""Apache Kafka brokers in KRaft mode: the first is the controller too, the others are brokers alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from flows.services.kafka_package import JAVA_MIN, VERSION, class_path, java
from flows.services.packages import fetched, run_tool
from flows.services.process import HOST, Process, ServiceError, end, free_port, is_open, spawn, wait_ready
from flows.services.record import KafkaRecord, Server

READY_TIMEOUT_S = 90.0
STOP_GRACE_S = {"kafka": 20.0, "tansu": 0.5}  # tansu has nothing to save, and would wait for its connections
_CLUSTER_ID = "Y2VtLWxvY2FsLWthZmthMQ"  # 16 bytes in base64, as Kafka wants them
_FORMATTED = "meta.properties"
_ARCHIVE = "classes.jsa"
_ARCHIVING = "-XX:ArchiveClassesAtExit"

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
    machine_java = java()
    if machine_java is None:
        raise ServiceError(f"no Java that Kafka runs on: it needs {JAVA_MIN} or newer")
    try:
        archive = fetched(f"kafka-{VERSION}-java-{machine_java.version}", "the files of Kafka", _archive_classes)
        options = [f"-XX:SharedArchiveFile={archive / _ARCHIVE}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    except ServiceError:
        options = []  # starts in twice the time
    return _spawn(folder, kafka, number, machine_java.command, options)


def _spawn(folder: Path, kafka: KafkaRecord, number: int, command: str, options: list[str]) -> Process:
    classes = class_path()
    home = folder.absolute() / f"kafka-{number}"
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "server.properties"
    lines = [f"{name}={value}\n" for name, value in _properties(home, kafka, number).items()]
    settings.write_text("".join(lines), encoding="utf-8")
    if not (home / "data" / _FORMATTED).exists():
        _format([command, *(o for o in options if not o.startswith(_ARCHIVING)), "-cp", classes], settings)
    memory = ["-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError"]
    log_level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    times = ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
    run = [command, *options, *memory, log_level, *times, "-cp", classes, "kafka.Kafka", str(settings)]
    return spawn(run, folder / f"kafka-{number}.log")


def is_ready(kafka: KafkaRecord) -> bool:
    """Whether every broker that runs takes connections and is known to the cluster."""
    running = {number: broker for number, broker in enumerate(kafka.brokers, start=1) if broker.alive}
    if not all(is_open(broker.port) for broker in running.values()):
        return False  # asking a closed port would only start the client's back-off
    from confluent_kafka import KafkaException  # late, as stopping a server does not need it
    from confluent_kafka.admin import AdminClient

    try:
        cluster = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0}).list_topics(timeout=2)
    except KafkaException:
        return False
    return kafka.kind == "tansu" or running.keys() <= cluster.brokers.keys()


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
        "log.dirs": str(home / "data"),
        "default.replication.factor": replication,
        "offsets.topic.replication.factor": replication,
        "transaction.state.log.replication.factor": replication,
        "share.coordinator.state.topic.replication.factor": replication,
        **kafka.properties,
    }


def _format(java_command: list[str], settings: Path) -> None:
    # -XX:TieredStopAtLevel=1: a program of a second gains nothing from the optimising compiler.
    tool = [*java_command, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _CLUSTER_ID]
    tool[1:1] = ["-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    run_tool([*tool, "-c", str(settings)], settings.parent)


def _archive_classes(folder: Path) -> None:
    """Runs a broker once, so that Java keeps its classes in the form in which it loads them fastest."""
    machine_java = java()
    assert machine_java is not None
    broker = Server("kafka-1", free_port())
    kafka = KafkaRecord("kafka", broker.address, [broker], controller_port=free_port())
    with tempfile.TemporaryDirectory() as data:
        options = [f"{_ARCHIVING}={folder / _ARCHIVE}"]
        broker.process = _spawn(Path(data), kafka, 1, machine_java.command, options)
        try:
            log = Path(data) / "kafka-1.log"
            wait_ready("kafka", broker.process, log, lambda: is_ready(kafka), READY_TIMEOUT_S)
        finally:
            end(broker.process, 60)
    if not (folder / _ARCHIVE).exists():
        raise ServiceError("Java wrote no archive of classes")
