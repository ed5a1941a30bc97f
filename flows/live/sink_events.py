"""What the process does when a sink fails: wait, try again, and say so once in a while."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from flows.live.health import Health
from flows.live.meters import Meters
from sinks.contract import SinkStopped

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0
REMINDER_SECONDS = 30.0
ERROR_CHARS = 300

_logger = logging.getLogger(__name__)


class Stop(Protocol):
    """An event that says that the process shall end, such as `threading.Event`."""

    def wait(self, timeout: float) -> bool:
        """Wait at most so long, in seconds; whether the process shall end."""


@dataclass(slots=True)
class _Absence:
    since: float
    said_at: float
    attempts: int = 0


class LiveSinkEvents:
    """The process's side of the sinks' contract (`sinks.contract.SinkEvents`); may be used from any thread.

    Between attempts it waits 0.1 s, doubling up to 5 s, less up to a half of it by chance, so that many workers do not
    knock on a sink at the same time.

    Parameters
    ----------
    stop
        Set when the process shall end; ends the waiting at once.
    clock, now_ms, jitter
        Seconds that only go forward; the wall clock in milliseconds; a number from 0 to 1. For tests.
    """

    def __init__(
        self,
        meters: Meters,
        health: Health,
        stop: Stop,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._meters, self._health, self._stop = meters, health, stop
        self._clock, self._now_ms, self._jitter = clock, now_ms, jitter
        self._lock = threading.Lock()
        self._away: dict[str, _Absence] = {}

    def failed(self, sink: str, error: str, attempt: int) -> None:
        """Count and tell of a failed attempt, and wait until it is time for the next.

        Raises
        ------
        SinkStopped
            The process has been told to stop.
        """
        self._tell(sink, error)
        self._meters.sink_failed(sink)
        self._meters.sink_waiting(sink, True)
        self._health.waiting(sink, True)
        doublings = min(max(attempt, 1) - 1, 10)
        wait_seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**doublings) * (1 - self._jitter() / 2)
        if self._stop.wait(wait_seconds):
            raise SinkStopped(f"{sink} is away, and the process has been told to stop")

    def _tell(self, sink: str, error: str) -> None:
        now = self._clock()
        reason = " ".join(error.split())[:ERROR_CHARS]
        with self._lock:
            absence = self._away.get(sink)
            first = absence is None
            if absence is None:
                absence = self._away[sink] = _Absence(now, now)
            absence.attempts += 1
            remind = now - absence.said_at >= REMINDER_SECONDS
            if remind:
                absence.said_at = now
            away_seconds, attempts = round(now - absence.since, 1), absence.attempts
        if first:
            _logger.warning("%s is away; trying again until it is back", sink, extra={"sink": sink, "error": reason})
        elif remind:
            fields = {"sink": sink, "error": reason, "away_seconds": away_seconds, "attempts": attempts}
            _logger.warning("%s is still away", sink, extra=fields)

    def recovered(self, sink: str) -> None:
        """The sink is back: tell for how long it was away."""
        with self._lock:
            absence = self._away.pop(sink, None)
        self._meters.sink_waiting(sink, False)
        self._health.waiting(sink, False)
        if absence is not None:
            away_seconds = round(self._clock() - absence.since, 1)
            fields = {"sink": sink, "away_seconds": away_seconds, "attempts": absence.attempts}
            _logger.info("%s is back after %.1f s", sink, away_seconds, extra=fields)

    def written(self, sink: str, rows: int) -> None:
        """So many more rows are safe at the sink."""
        self._meters.sink_written(sink, rows)

    def delivered(self, sink: str, times_ms: Sequence[int]) -> None:
        """Decisions with these `ts` are safe at the sink now."""
        now_ms = self._now_ms()
        self._meters.delivered(sink, [max(0, now_ms - ts_ms) / 1000 for ts_ms in times_ms])
