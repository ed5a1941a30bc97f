"""What sinks tell, kept for tests; and lines to write."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from sinks.contract import SinkStopped


class RecordingEvents:
    """Keeps what it is told; never waits.

    ``mend`` is called at the ``mend_at``-th failure in a row; from the ``stop_at``-th on the process is told to stop.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.attempts: list[int] = []
        self.recoveries = 0
        self.rows = 0
        self.times_ms: list[int] = []
        self.mend: Callable[[], None] = lambda: None
        self.mend_at = 3
        self.stop_at: int | None = None

    def failed(self, sink: str, error: str, attempt: int) -> None:
        self.failures.append(error)
        self.attempts.append(attempt)
        if self.stop_at is not None and attempt >= self.stop_at:
            raise SinkStopped(sink)
        if attempt == self.mend_at:
            self.mend()

    def recovered(self, sink: str) -> None:
        self.recoveries += 1

    def written(self, sink: str, rows: int) -> None:
        self.rows += rows

    def delivered(self, sink: str, times_ms: Sequence[int]) -> None:
        self.times_ms.extend(times_ms)


class Refusals:
    """Takes what a target refuses."""

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, str]] = []

    def __call__(self, line: bytes, reason: str) -> None:
        self.lines.append((line, reason))


def decision(number: int, customer: str = "C1", **other: object) -> bytes:
    """A decision's line; ``number`` is in its id and time."""
    record = {
        "action_id": f"a{number:06d}", "kind": "ticket", "rule_id": "r-1", "rule_version": 2, "class": "service",
        "priority": 50, "customer_id": customer, "ts": 1_760_000_000_000 + number, "anchor_event_id": "e1",
        "holding_id": None, "decision": "emitted", "reason": None, "would_be": None, "open_ticket_id": None,
        "late": False, "features": {"n": 3}, "payload": {"queue": "客户经理"}, **other,
    }  # fmt: skip
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def event(number: int, customer: str = "C1") -> bytes:
    """An event's line with its stream."""
    record = {
        "stream": "click",
        "event_id": f"a{number:06d}",
        "customer_id": customer,
        "ts": 1_760_000_000_000 + number,
    }
    return json.dumps({**record, "query": "提前还款"}, ensure_ascii=False).encode()
