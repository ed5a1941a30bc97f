"""The end of the dataflow's counters: the metrics of the process where they arise."""

from __future__ import annotations

from typing import Any

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from flows.live.meters import EMITTED, Meters
from operators.dead_letters import FUTURE_TS


class _MetersPartition(StatelessSinkPartition[Any]):
    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def write_batch(self, items: list[Any]) -> None:
        for _, counts in items:
            for path, n in counts.items():
                count_into(self._meters, path, n)


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
        case ("decisions", rule, outcome):
            meters.decisions(rule, outcome or EMITTED, n)
        case _:
            pass


class MetersSink(DynamicSink[Any]):
    """Takes counters on the worker that made them. After a crash what is done again is counted again."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _MetersPartition:
        """The worker's own end."""
        return _MetersPartition(self._meters)
