"""Whether this process works and may be sent load, told over HTTP beside its metrics.

`/healthz` is for who restarts processes, `/readyz` for who waits until one does its work, `/metrics` for Prometheus.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import Any

from flows.cluster import ClusterError
from flows.live.meters import Meters

STALL_SECONDS = 60.0
"""The loop turns every few milliseconds; an epoch that waits for a slow disk takes seconds."""

START_SECONDS = 600.0
"""Reading the state of many customers back takes minutes, during which the loop does not turn."""

_REQUEST_SECONDS = 5.0


class Health:
    """What is known of this process's health; may be used from any thread.

    Parameters
    ----------
    expected
        Names of the conditions that must be reported with `ready` before the process is.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        expected: Iterable[str] = (),
        clock: Callable[[], float] = monotonic,
        stall_seconds: float = STALL_SECONDS,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._clock, self._stall_seconds, self._start_seconds = clock, stall_seconds, start_seconds
        self._lock = threading.Lock()
        self._turned_at, self._has_turned = clock(), False
        self._missing = dict.fromkeys(expected, "not reported yet")
        self._waiting: dict[str, None] = {}

    def loop_turned(self) -> None:
        """The flow's loop is alive; cheap enough for every batch."""
        self._turned_at, self._has_turned = self._clock(), True

    def waiting(self, sink: str, waiting: bool) -> None:
        """Whether the flow waits for a sink that is away: it stands then, and is not dead."""
        with self._lock:
            if waiting:
                self._waiting[sink] = None
            elif sink in self._waiting:
                del self._waiting[sink]
                self._turned_at = self._clock()  # the loop begins to turn only now

    def ready(self, name: str, ready: bool, why: str = "") -> None:
        """Whether a condition holds, such as ``assigned``; ``why`` is for the reader of `/readyz` if it does not."""
        with self._lock:
            if ready:
                self._missing.pop(name, None)
            else:
                self._missing[name] = why or "no"

    def is_alive(self) -> bool:
        """Whether the loop turned of late, or stands for a good reason."""
        with self._lock:
            limit_seconds = self._stall_seconds if self._has_turned else self._start_seconds
            return bool(self._waiting) or self._clock() - self._turned_at <= limit_seconds

    def missing(self) -> dict[str, str]:
        """What keeps the process from being ready, and why; empty if it is."""
        with self._lock:
            return {**self._missing, **dict.fromkeys(self._waiting, "away: waiting for it")}

    def stalled_seconds(self) -> float:
        """For how long the loop has not turned."""
        return self._clock() - self._turned_at


class HealthServerError(ClusterError):
    """The address cannot be listened on; the message says which, why, and what to do."""


class HealthServer:
    """Answers on ``host`` and ``port`` (0: any free one) in a thread, until it is closed.

    Raises
    ------
    HealthServerError
        The address is in use or is none of this machine's.
    """

    def __init__(self, host: str, port: int, meters: Meters, health: Health) -> None:
        handler = type("Handler", (_Handler,), {"meters": meters, "health": health})
        try:
            self._server = _Server((host, port), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            remedy = "choose another `http.port` or `http.host`"
            raise HealthServerError(
                f"cannot listen on {host}:{port} for metrics and health: {reason}; {remedy}"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> HealthServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(socketserver.ThreadingTCPServer):
    """Not the HTTP server of the library, which asks the name service for the host's name at its start."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    meters: Meters
    health: Health
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self.meters.ready(not self.health.missing())
            body, content_type = self.meters.render(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, body, content_type)
        elif path == "/healthz":
            alive = self.health.is_alive()
            self._answer_json(alive, {"alive": alive, "seconds_since_turn": round(self.health.stalled_seconds(), 1)})
        elif path == "/readyz":
            missing = self.health.missing()
            self._answer_json(not missing, {"ready": not missing, "missing": missing})
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"/metrics /healthz /readyz\n", "text/plain; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _answer_json(self, good: bool, answer: dict[str, Any]) -> None:
        body = json.dumps(answer, ensure_ascii=False).encode() + b"\n"
        self._answer(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, body, "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds: nothing is logged of them."""
