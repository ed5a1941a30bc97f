"""Redis as the tests use it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import redis

from flows.services.control import Wanted, start, stop
from flows.services.process import send, this_process
from flows.services.record import read_record

ONLY = Wanted(("redis",))


@dataclass(frozen=True)
class RedisServer:
    """A running server, with whatever other tests have left in it."""

    url: str

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)


@dataclass(frozen=True)
class OwnRedis(RedisServer):
    """A server of the test's own; data stay over a stop, and over a kill but for the last second."""

    folder: Path

    @classmethod
    def started(cls, folder: Path) -> OwnRedis:
        record = start(folder, Wanted(("redis",), redis_port=0), owner=this_process()).redis
        assert record is not None
        return cls(record.url, folder)

    def start(self) -> None:
        """Starts it again at the same address."""
        start(self.folder, ONLY)

    def stop(self) -> None:
        stop(self.folder)

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        self.stop()

    def pause(self) -> None:
        """It keeps its connections and says nothing."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        record = read_record(self.folder).redis
        assert record is not None
        send(record.server.process, number)
