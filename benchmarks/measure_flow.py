"""Measured runs of the dataflow in this process: latency at a fixed pace, and the time until the first decision."""

from __future__ import annotations

import gc
import json
import os
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main

from benchmarks.event_times import START_MS
from benchmarks.measure_engine import DAY_MS, policy_of, rules_of
from benchmarks.paced import PacedReader, PacedSource, restamped, split_tail, ts_of
from benchmarks.process import Figures
from flows.board import Board
from flows.dataflow import Outputs, build_dataflow
from flows.files_source import FilesSource
from flows.keeper import Keeper, message_reader
from flows.kernels import warm_up
from operators.annotate import default_annotator
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from rules.planner import make_plan
from state.sequencer import BEFORE_ALL_MS

_GC_THRESHOLDS = (100_000, 50, 1_000)
"""As in a replay."""

_KEY = (1, 2)
"""Of the hashes of ids: any will do where nobody chooses ids to collide."""

_HISTOGRAM_POINTS = 400


class _Collected(StatelessSinkPartition[Any]):
    def __init__(self, log: list[tuple[float, Any]]) -> None:
        self._log = log

    def write_batch(self, items: list[Any]) -> None:
        now = perf_counter()
        self._log.extend((now, item[1]) for item in items)


class CollectingSink(DynamicSink[Any]):
    """Keeps what is written with the time of writing."""

    def __init__(self) -> None:
        self.log: list[tuple[float, Any]] = []

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Collected:
        return _Collected(self.log)


def run_paced(
    task: Figures, history: Path, lines: Sequence[bytes], per_second: float
) -> tuple[PacedReader, list[tuple[float, Any]]]:
    """Run the dataflow over the history and then the paced lines; the reader, and decisions by time of writing."""
    plan = make_plan(rules_of(task))
    lateness_ms: int = task.get("lateness_ms", 0)
    decoder = Decoder(plan.fields, lateness_ms=lateness_ms, max_jump_ms=366 * DAY_MS, annotate=default_annotator())
    columns = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), _KEY))
    warm_up()
    with tempfile.TemporaryDirectory(prefix="cem-bench-") as name:
        board = Board(Path(name) / "board", 1, 1, create=True)
        files = FilesSource([history], columns, lateness_ms, board)
        source, decisions = PacedSource(files, lines, per_second), CollectingSink()
        flow = build_dataflow(
            source, PlanTables(plan), policy_of(task), decoder.values,
            partitions=1, dedup_ms=3_600_000, key=_KEY, until_ms=BEFORE_ALL_MS,
            keeper=Keeper(None, message_reader(plan, _KEY)),
            outputs=Outputs({"write_actions": decisions}, {"write_dead_letters": CollectingSink()}, CollectingSink()),
        )  # fmt: skip
        gc.set_threshold(*_GC_THRESHOLDS)
        cluster_main(flow, [], 0)  # type: ignore[no-untyped-call]
    assert source.reader is not None
    return source.reader, decisions.log


def latency(task: Figures) -> Figures:
    """Milliseconds from reading a message to handing its decision to the sink, at ``per_second`` events a second.

    With lateness 0 an event is decided when time has passed it: when a later one is read. ``latency`` is measured from
    reading the message that made the decision due, ``latency_of_event`` from reading the event that it is about,
    ``latency_of_schedule`` from when the clock said that the former was to be read: it holds the waits before reading.
    """
    per_second: float = task["per_second"]
    before, tail = split_tail(Path(task["events"][0]), task["paced_events"])
    # The history ends with an event at ten in the morning, so that date rules and held decisions are done with.
    ends_ms = max(ts_of(line) for line in before[-1000:])
    first_ts_ms = ends_ms + (START_MS + 10 * 3_600_000 - ends_ms) % DAY_MS
    before += restamped(tail[:1], first_ts_ms, per_second)[0]
    tail, first_ts_ms = tail[1:], first_ts_ms + 1000
    lines, times_ms = restamped(tail, first_ts_ms, per_second)
    with tempfile.NamedTemporaryFile(prefix="cem-bench-", suffix=".ndjson") as history:
        history.write(b"\n".join(before) + b"\n")
        history.flush()
        started = perf_counter()
        reader, log = run_paced(task, Path(history.name), lines, per_second)
    indices = {json.loads(line)["event_id"]: i for i, line in enumerate(lines)}
    due_ms: list[float] = []
    event_ms: list[float] = []
    schedule_ms: list[float] = []
    for written, batch in log:
        for line in batch:
            decision = json.loads(line)
            after = bisect_right(times_ms, decision["ts"])
            if decision["ts"] < first_ts_ms or after >= len(times_ms):
                continue
            due_ms.append((written - reader.read_at(after)) * 1000)
            schedule_ms.append((written - reader.due_at(after)) * 1000)
            index = indices.get(decision["anchor_event_id"])
            if index is not None and times_ms[index] == decision["ts"]:
                event_ms.append((written - reader.read_at(index)) * 1000)
    paced_seconds = reader.reads[-1][1] - reader.reads[0][1]
    return {
        "seconds": paced_seconds,
        "events": len(lines),
        "history_events": len(before),
        "history_seconds": reader.reads[0][1] - started,
        "max_behind_ms": reader.max_behind_seconds * 1000,
        "latency": distribution(due_ms),
        "latency_of_event": distribution(event_ms),
        "latency_of_schedule": distribution(schedule_ms),
    }


def distribution(values: list[float]) -> Figures:
    """Number, median, 99th percentile and maximum, and evenly spaced quantiles for a plot."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no decision was made while the events were paced: nothing to measure")

    def quantile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    points = min(len(ordered), _HISTOGRAM_POINTS)
    return {
        "count": len(ordered),
        "p50": quantile(0.5),
        "p99": quantile(0.99),
        "max": round(ordered[-1], 3),
        "quantiles": [quantile((i + 0.5) / points) for i in range(points)],
    }


def startup(task: Figures) -> Figures:
    """Seconds from the start of the process to the first decision handed to the sink, for a small file."""
    _, log = run_paced(task | {"lateness_ms": 10_000}, Path(task["events"][0]), [], 1.0)
    first = min(written for written, _ in log)
    return {"seconds": first - task["started"], "events": 0, "numba_cache": os.environ.get("NUMBA_CACHE_DIR", "")}
