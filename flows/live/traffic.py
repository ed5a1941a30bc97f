"""Synthetic traffic on Kafka: the simulated bank's events in their order, stamped with the time of sending."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time_ns

from flows.live.bank_process import BankProcess
from flows.live.producing import Producing
from flows.live.recording import Recording
from flows.live.stamps import Stamps
from flows.simulate.endless import Block

SLICE_SECONDS = 0.010
_SLICE_EVENTS = 1000
"""At most so many at once, so that what was sent before is acknowledged meanwhile."""
_REPORT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TrafficJob:
    """What to send, where to, how fast and for how long.

    Attributes
    ----------
    topics
        By stream; where a stream has several, each of its events goes to one by its customer.
    rate
        Events a second, or None: only the backlog.
    for_ms
        How long at that rate; None is for ever.
    backlog, backlog_span_ms
        So many events are sent first, as fast as possible, with times spread over the span that ends now.
    record
        Folder for the events as they were acknowledged.
    partitions
        Create missing topics with so many partitions; None: they have to be there.
    """

    bootstrap: str
    topics: Mapping[str, Sequence[str]]
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    customers: int = 10_000
    seed: int = 1
    rate: float | None = None
    for_ms: int | None = None
    backlog: int = 0
    backlog_span_ms: int = 3_600_000
    record: Path | None = None
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """How it went; latencies in milliseconds, from the hand-over (at most 10 ms after the stamp) to the brokers'
    acknowledgement.

    ``behind_seconds``: by how much the sending was behind its schedule at most, and at the end.
    """

    sent: int
    acknowledged: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    most_ms: float
    behind_seconds: float
    behind_at_the_end_seconds: float

    @property
    def rate(self) -> float:
        """Acknowledged events a second."""
        return self.acknowledged / self.seconds if self.seconds else 0.0


def run_traffic(job: TrafficJob, stop: threading.Event, say: Callable[[str], None]) -> TrafficReport:
    """Send until the job is done or ``stop`` is set; what was sent by then is waited for.

    Raises
    ------
    TrafficError
        The brokers cannot be reached at the start, a topic is missing, or the client cannot go on.
    RecordingError, BankProcessError
    """
    recording = Recording(job.record) if job.record else None
    prefix = f"{time_ns() // 1_000_000:x}-"
    try:
        with BankProcess(job.customers, job.seed, prefix) as bank:
            producing = Producing(job.bootstrap, job.options, job.topics, recording, say)
            try:
                producing.check_topics(job.partitions, stop)
                traffic = _Traffic(job, bank, producing, stop, say)
                with contextlib.suppress(_StoppedError):
                    traffic.run()
                left = producing.finish()
                if left:
                    say(f"{left:,} events were not acknowledged before the end")
                return traffic.report()
            finally:
                producing.close()
    finally:
        if recording is not None:
            recording.close()


class _StoppedError(Exception):
    """Told to stop while the bank was still making events."""


class _Events:
    """The bank's events, so many at a time."""

    def __init__(self, bank: BankProcess, stop: threading.Event) -> None:
        self._bank = bank
        self._stop = stop
        self._block = Block(b"", [], [], [])
        self._at = 0

    def take(self, most: int) -> Block:
        """At least one event, at most ``most``."""
        if self._at == len(self._block):
            block = self._bank.next_block(self._stop)
            if block is None:
                raise _StoppedError
            self._block, self._at = block, 0
        part = slice(self._at, self._at + most)
        block = self._block
        some = Block(block.streams[part], block.customers[part], block.heads[part], block.tails[part])
        self._at += len(some)
        return some


class _Traffic:
    def __init__(
        self, job: TrafficJob, bank: BankProcess, producing: Producing, stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._job = job
        self._events = _Events(bank, stop)
        self._producing = producing
        self._stop = stop
        self._say = say
        self._stamps = Stamps()
        self._sent = 0
        self._most_behind = self._behind = 0.0
        self._began = 0.0

    def run(self) -> None:
        job = self._job
        first = self._events.take(1)  # the bank's first day takes a while, and is not what is measured
        self._began = monotonic()
        if job.backlog:
            self._send(first, _now_ms() - job.backlog_span_ms, _now_ms() - job.backlog_span_ms)
            self._send_backlog(job.backlog - 1, job.backlog_span_ms)
        if job.rate is not None:
            self._send_at_rate(job.rate, None if job.for_ms is None else round(job.rate * job.for_ms / 1000))

    def report(self) -> TrafficReport:
        acknowledged = self._producing.latencies
        return TrafficReport(
            self._sent, acknowledged.count, self._producing.failed, monotonic() - self._began if self._began else 0.0,
            acknowledged.percentile(0.5), acknowledged.percentile(0.99), acknowledged.percentile(1.0),
            self._most_behind, self._behind,
        )  # fmt: skip

    def _send(self, block: Block, after_ms: float, until_ms: float) -> None:
        self._producing.wait_for_room(len(block), self._stop)
        if self._stop.is_set():
            return
        stamps = self._stamps.spread(block.customers, after_ms, until_ms)
        self._sent += self._producing.produce(block, stamps)

    def _send_backlog(self, events: int, span_ms: int) -> None:
        start_ms = _now_ms() - span_ms
        told = monotonic()
        done = 0
        while done < events and not self._stop.is_set():
            block = self._events.take(min(_SLICE_EVENTS, events - done))
            self._send(block, start_ms + span_ms * done / events, start_ms + span_ms * (done + len(block)) / events)
            done += len(block)
            if monotonic() - told >= _REPORT_SECONDS:
                told = monotonic()
                self._say(f"{done:,} events of the backlog sent")

    def _send_at_rate(self, rate: float, events: int | None) -> None:
        began = told = monotonic()
        stamped_ms = _now_ms()
        done = 0
        while (events is None or done < events) and not self._stop.is_set():
            elapsed = monotonic() - began
            due = int(elapsed * rate) + 1  # the first one now
            if events is not None:
                due = min(due, events)
            if due > done:
                block = self._events.take(min(due - done, _SLICE_EVENTS))
                now_ms = _now_ms()
                # Never before the slice in which they were due: what comes late is stamped with now all the same.
                self._send(block, max(min(stamped_ms, now_ms), now_ms - SLICE_SECONDS * 1000), now_ms)
                stamped_ms = now_ms
                done += len(block)
                self._behind = max(0.0, monotonic() - began - done / rate - SLICE_SECONDS)
                self._most_behind = max(self._most_behind, self._behind)
            self._producing.poll(0.0 if due > done else began + (int(elapsed / SLICE_SECONDS) + 1) * SLICE_SECONDS)
            if monotonic() - told >= _REPORT_SECONDS:
                told = monotonic()
                self._tell(done, told - began)

    def _tell(self, done: int, elapsed: float) -> None:
        half, most = (self._producing.latencies.percentile(part) for part in (0.5, 0.99))
        self._say(
            f"{done:,} events sent, {done / elapsed:,.0f}/s, {self._behind:.1f} s behind; "
            f"acknowledged after p50 {half:g} ms, p99 {most:g} ms"
        )


def _now_ms() -> float:
    return time_ns() / 1e6
