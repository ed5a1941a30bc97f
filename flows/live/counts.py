"""The end of the dataflow's counters: the metrics of the process where they arise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from flows.live.meters import EMITTED, Meters
from operators.dead_letters import FUTURE_TS

_LOG = logging.getLogger(__name__)

BEFORE_1973 = ("before_1973",)
REMINDER_SECONDS = 60.0


class SecondsWarning:
    """Says that producers send seconds for milliseconds: at once, and then once a minute while they do."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._untold, self._told_at = 0, -REMINDER_SECONDS

    def add(self, events: int) -> None:
        """So many more events came."""
        self._untold += events
        now = self._clock()
        if now - self._told_at >= REMINDER_SECONDS:
            _LOG.warning(
                "%d events have a ts before 1973: ts is in milliseconds since 1970, not in seconds; no window reaches "
                "back to them",
                self._untold,
            )
            self._untold, self._told_at = 0, now


class _MetersPartition(StatelessSinkPartition[Any]):
    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._seconds = SecondsWarning()

    def write_batch(self, items: list[Any]) -> None:
        for _, counts in items:
            for path, n in counts.items():
                count_into(self._meters, path, n)
            if counts.get(BEFORE_1973):
                self._seconds.add(counts[BEFORE_1973])


def count_into(meters: Meters, path: tuple[str, ...], n: int) -> None:
    """Add a count to the metric that it belongs to; some are for summaries only."""
    match path:
        case ("events", stream):
            meters.events(stream, n)
        case ("dead_letters", reason):
            meters.dead_letters(reason, n)
            if reason == FUTURE_TS:
                meters.rejected_clock_skew(n)
        case ("duplicates",):
            meters.duplicates(n)
        case ("late",):
            meters.late(n)
        case ("before_1973",):
            meters.times_in_seconds(n)
        case ("decisions", rule, outcome):
            meters.decisions(rule, outcome or EMITTED, n)
        case ("models", model, what):
            meters.model_rows(model, what, n)
        case _:
            pass


class MetersSink(DynamicSink[Any]):
    """Takes counters on the worker that made them. After a crash what is done again is counted again."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _MetersPartition:
        """The worker's own end."""
        return _MetersPartition(self._meters)
