"""The process of ``clickhouse_front.py`` as the tests use it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

FRONT = Path(__file__).with_name("clickhouse_front.py")
DATABASE = "default"


class ClickHouseFront:
    """A ClickHouse server over HTTP: stopped and started again, it has the same address and its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._control = 0
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **settings: Any) -> Client:
        """A client of the real library, by HTTP."""
        return clickhouse_connect.get_client(
            **{"host": "127.0.0.1", "port": self.port, "connect_timeout": 5, "query_retries": 0, **settings}
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The result of a query that no fault concerns but `refuse`."""
        client = self.client()
        try:
            return [tuple(row) for row in client.query(query).result_rows]
        finally:
            client.close()

    def fault(self, **changes: Any) -> None:
        """Fields of ``clickhouse_front.Faults``; others stay as they are."""
        self._ask(json.dumps(changes).encode())

    def heal(self) -> None:
        """No fault any more."""
        self.fault(refuse=False, delay_s=0.0, inserts_only=True, status=0, fail_every=0, fail_after=False, drop=False,
                   password="")  # fmt: skip

    def counts(self) -> dict[str, int]:
        """``requests``, ``inserts`` and ``inserts_failed`` since the start."""
        counts: dict[str, int] = self._ask(None)
        return counts

    def start(self) -> None:
        command = [sys.executable, str(FRONT), str(self._folder), str(self.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the front did not start"
        ports = json.loads(line)
        self.port, self._control = ports["port"], ports["control"]

    def stop(self) -> None:
        """It ends in good order."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(30)
            self._done()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._done()

    def _done(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._process = None

    def _ask(self, body: bytes | None) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}", body, timeout=30) as answer:
            return json.load(answer)
