"""A ClickHouse server over HTTP whose faults can be ordered: the front of the live tests, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from benchmarks.process import ROOT
from sinks.clickhouse import open_embedded

_FRONT = ROOT / "tests" / "live" / "clickhouse_front.py"
_HEALTHY = {"refuse": False, "delay_s": 0.0, "status": 0, "fail_every": 0, "fail_after": False, "drop": False}


class ClickHouse:
    """The server; stopped and started again it has its address and its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._control = self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, str(_FRONT), str(self._folder), str(self._port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        ports = json.loads(self._process.stdout.readline())
        self._port, self._control = ports["port"], ports["control"]

    def fault(self, **changes: Any) -> None:
        """Order a fault, by the fields of the front's ``Faults``."""
        self._ask(json.dumps(changes).encode())

    def inserts_failed(self) -> int:
        """How many inserts failed as ordered since the start."""
        return int(self._ask(None)["inserts_failed"])

    def _ask(self, body: bytes | None) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}", body, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def heal(self) -> None:
        """No fault any more."""
        self.fault(**_HEALTHY)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(gently=False)

    def close(self) -> None:
        """Stop it in order."""
        self._end(gently=True)

    def _end(self, *, gently: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        if not gently:
            process.kill()
        process.stdin.close()
        process.wait(30)
        process.stdout.close()

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the real library."""
        client = clickhouse_connect.get_client(host="127.0.0.1", port=self._port, connect_timeout=5)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def embedded(folder: Path) -> Iterator[Client]:
    """The engine inside this process, on a folder that no other has open."""
    client = open_embedded(folder)
    try:
        yield client
    finally:
        client.close()
