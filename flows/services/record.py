"""`services.json`: which servers a folder has, where they listen, and which processes they are."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from flows.services.process import HOST, Process, ServiceError, is_alive

RECORD = "services.json"


class Server(msgspec.Struct):
    """One server; `process` is None when it was stopped."""

    name: str
    port: int
    process: Process | None = None

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return is_alive(self.process)


class KafkaRecord(msgspec.Struct):
    """The brokers; `kind` says whose program they are, `properties` are settings beyond the usual ones."""

    kind: Literal["kafka", "tansu"]
    bootstrap: str
    brokers: list[Server]
    controller_port: int = 0
    replication: int = 1
    properties: dict[str, str] = {}


class RedisRecord(msgspec.Struct):
    """The Redis server and the address that clients take."""

    url: str
    server: Server


class Record(msgspec.Struct):
    """What `services.json` holds."""

    kafka: KafkaRecord | None = None
    redis: RedisRecord | None = None

    def servers(self) -> list[Server]:
        """All of them, in the order in which they are started."""
        return [*(self.kafka.brokers if self.kafka else []), *([self.redis.server] if self.redis else [])]


def read_record(folder: Path) -> Record:
    """The folder's servers; none if it has no record.

    Raises
    ------
    ServiceError
        The record cannot be read.
    """
    path = folder / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return Record()
    except (OSError, msgspec.MsgspecError) as error:
        raise ServiceError(f"{path}: {error}. Remove the file if no server of it runs any more.") from error


def write_record(folder: Path, record: Record) -> None:
    """Replaces the record in one step."""
    path = folder / RECORD
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    os.replace(part, path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One start or stop at a time in a folder, which is made if missing; others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
