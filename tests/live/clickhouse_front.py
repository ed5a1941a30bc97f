"""ClickHouse's HTTP interface on the embedded engine, with faults to order.

Speaks as much of it as clickhouse-connect uses. Run as a process of its own, as a process can hold one engine:
``python clickhouse_front.py FOLDER PORT`` prints ``{"port": ..., "control": ...}`` and ends with its standard input.
The second port takes `POST` with some of the fields of ``Faults`` as JSON, and tells ``Counts`` on `GET`.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import chdb
import lz4.frame
import zstandard


@dataclass(frozen=True)
class Faults:
    """What goes wrong; as built, nothing does.

    refuse        connections are refused, and those there are were cut
    delay_s       wait before each answer
    inserts_only  delay and status are for inserts alone
    status        answer every request with this HTTP status (500, 503, ...), and `code` as the exception's
    code          code of the exception in failed answers
    fail_every    every n-th insert fails; 0: none
    fail_after    a failing insert has taken effect before
    drop          a failing insert gets no answer: its connection is cut
    password      asked for, if any
    """

    refuse: bool = False
    delay_s: float = 0.0
    inserts_only: bool = True
    status: int = 0
    code: int = 241
    fail_every: int = 0
    fail_after: bool = False
    drop: bool = False
    password: str = ""


@dataclass
class Counts:
    """What was asked for since the start."""

    requests: int = 0
    inserts: int = 0
    inserts_failed: int = 0


def _unpacked_lz4(body: bytes) -> bytes:
    """All frames: the client makes one of each block of rows, while `lz4.frame.decompress` stops after the first."""
    parts = []
    while body:
        decompressor = lz4.frame.LZ4FrameDecompressor()
        parts.append(decompressor.decompress(body))
        body = decompressor.unused_data or b""
    return b"".join(parts)


DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": _unpacked_lz4,
    "zstd": lambda body: zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).read(),
}

# Parameters of the transport; every other one is a setting of the engine.
TRANSPORT = {
    "query", "database", "query_id", "session_id", "session_timeout", "session_check", "quota_key", "compress",
    "decompress", "wait_end_of_query", "client_protocol_version", "role", "user", "password", "buffer_size",
    "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close", "default_format",
}  # fmt: skip

INSERT = re.compile(
    rb"\s*(?P<into>INSERT\s+INTO\s.*?)(?P<settings>\sSETTINGS\s.*?)?\sFORMAT\s+(?P<format>\w+)[ \t]*(?:\r?\n|$)",
    re.IGNORECASE | re.DOTALL,
)
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
STATUS_OF_CODE = {"60": 404, "81": 404, "36": 404, "516": 403, "497": 403, "62": 400, "47": 400, "115": 404}


class Engine:
    """The embedded engine; each request has a session of its own, as with a server."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder)
        self._kept = chdb.connect(self._path)  # the engine lasts as long as one session does
        self.timezone = self._kept.query("SELECT timezone()", "TabSeparated").bytes().decode().strip()
        self._files = Path(tempfile.mkdtemp(prefix="clickhouse-front-"))

    def run(self, query: bytes, body: bytes, parameters: dict[str, str]) -> tuple[bytes, str, dict[str, str]]:
        """The answer, its format ("" for a statement without a result), and the summary."""
        session = chdb.connect(self._path)
        try:
            if database := parameters.get("database"):
                session.query(f"USE `{database}`", "TabSeparated")
            for name, value in parameters.items():
                if name not in TRANSPORT and not name.startswith("param_"):
                    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                    session.query(f"SET {name} = '{quoted}'", "TabSeparated")
            bound = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
            found = INSERT.match(query if query else body)
            if found:
                return self._insert(session, found, body if query else body[found.end() :])
            return self._query(session, query + body, bound)
        finally:
            session.close()

    def _insert(self, session: Any, found: re.Match[bytes], data: bytes) -> tuple[bytes, str, dict[str, str]]:
        file = self._files / f"{uuid4()}.data"
        file.write_bytes(data)
        try:
            into, settings = found["into"].decode(), (found["settings"] or b"").decode()
            statement = f"{into} FROM INFILE '{file}'{settings} FORMAT {found['format'].decode()}"
            result = session.query(statement, "TabSeparated")
            rows, size = str(result.rows_read()), str(result.bytes_read())
            return b"", "", {"read_rows": "0", "read_bytes": "0", "written_rows": rows, "written_bytes": size}
        finally:
            file.unlink()

    def _query(self, session: Any, query: bytes, bound: dict[str, str]) -> tuple[bytes, str, dict[str, str]]:
        named = FORMAT.search(query)
        result = session.query(query.decode(), "TabSeparatedWithNames", params=bound)
        body = result.bytes() or b""
        summary = {"read_rows": str(result.rows_read()), "read_bytes": str(result.bytes_read()), "written_rows": "0"}
        if named:
            return body, named[1].decode(), summary
        # With names, a statement that has a result shows itself even if it has no rows.
        return body.partition(b"\n")[2], "TabSeparated" if body else "", summary


class Front:
    """The server at its port, which can be closed and opened again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.engine = Engine(folder)
        self.faults = Faults()
        self.counts = Counts()
        self.lock = threading.Lock()
        self.port = port
        self._server: _Server | None = None
        self.open()

    def open(self) -> None:
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), _handler(_Request, self))
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_connections()
            self._server = None

    def set(self, changes: dict[str, Any]) -> None:
        self.faults = replace(self.faults, **changes)
        if self.faults.refuse:
            self.close()
        else:
            self.open()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self._connections: set[Any] = set()
        super().__init__(*args)

    def get_request(self) -> Any:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that end in the middle are what this is for."""


def _handler(base: type[_Handler], front: Front) -> type[_Handler]:
    return type(base.__name__, (base,), {"front": front})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Control(_Handler):
    def do_GET(self) -> None:
        self.answer(200, json.dumps(asdict(self.front.counts)).encode())

    def do_POST(self) -> None:
        changes = json.loads(self.body())
        unknown = changes.keys() - {field.name for field in fields(Faults)}
        if unknown:
            self.answer(400, f"unknown: {sorted(unknown)}".encode())
        else:
            self.front.set(changes)
            self.answer(200, json.dumps(asdict(self.front.faults)).encode())


class _Request(_Handler):
    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self.answer(200, b"Ok.\n")
        else:
            self.do_POST()

    def do_POST(self) -> None:
        body = self.body()
        front = self.front
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        query = parameters.get("query", "").encode()
        decoder = DECODERS.get(self.headers.get("Content-Encoding", "").lower())
        if decoder is None:
            self.fail(400, "Code: 36. DB::Exception: Unknown compression method (BAD_ARGUMENTS)")
            return
        body = decoder(body)
        insert = INSERT.match(query or body) is not None
        with front.lock:
            front.counts.requests += 1
            front.counts.inserts += insert
            faults, number = front.faults, front.counts.inserts
        concerned = insert or not faults.inserts_only
        if faults.delay_s and concerned:
            time.sleep(faults.delay_s)
        if faults.password and faults.password != self.password(parameters):
            self.fail(403, "Code: 516. DB::Exception: default: Authentication failed (AUTHENTICATION_FAILED)")
            return
        failing = insert and faults.fail_every > 0 and number % faults.fail_every == 0
        if (faults.status and concerned) or (failing and not faults.fail_after):
            self.ordered_failure(faults, insert)
            return
        try:
            result, format_name, summary = front.engine.run(query, body, parameters)
        except Exception as error:
            text = str(error)
            text = text[max(text.find("Code: "), 0) :]
            code = re.match(r"Code: (\d+)", text)
            self.fail(STATUS_OF_CODE.get(code[1], 500) if code else 500, text)
            return
        if failing:
            self.ordered_failure(faults, insert)
            return
        headers = {"X-ClickHouse-Summary": json.dumps(summary), **self.common_headers(parameters)}
        if format_name:
            headers["X-ClickHouse-Format"] = format_name
        self.answer(200, result, headers)

    def password(self, parameters: dict[str, str]) -> str:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            return base64.b64decode(token).decode().partition(":")[2]
        return str(self.headers.get("X-ClickHouse-Key") or parameters.get("password", ""))

    def ordered_failure(self, faults: Faults, insert: bool) -> None:
        with self.front.lock:
            self.front.counts.inserts_failed += insert
        if faults.drop:
            self.close_connection = True
            self.connection.shutdown(2)
        else:
            self.fail(faults.status or 500, f"Code: {faults.code}. DB::Exception: as ordered by the test (FAULT)")

    def fail(self, status: int, text: str) -> None:
        code = re.match(r"Code: (\d+)", text)
        headers = {"X-ClickHouse-Exception-Code": code[1]} if code else {}
        self.answer(status, f"{text}\n".encode(), {**headers, **self.common_headers({})})

    def common_headers(self, parameters: dict[str, str]) -> dict[str, str]:
        return {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-ClickHouse-Server-Display-Name": "clickhouse-front",
            "X-ClickHouse-Query-Id": parameters.get("query_id") or str(uuid4()),
            "X-ClickHouse-Timezone": self.front.engine.timezone,
        }


def main(folder: str, port: str) -> None:
    """Serves until the standard input ends, which it does with the process that holds its other end."""
    front = Front(Path(folder), int(port))
    control = _Server(("127.0.0.1", 0), _handler(_Control, front))
    threading.Thread(target=control.serve_forever, daemon=True).start()
    print(json.dumps({"port": front.port, "control": control.server_address[1]}), flush=True)
    sys.stdin.read()
    front.close()
    shutil.rmtree(front.engine._files, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
