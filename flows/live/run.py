"""One process of a live run: from its reader to its sinks."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from bytewax.testing import cluster_main

from flows.cluster import wait_for_listeners
from flows.dataflow import build_dataflow
from flows.failures import Report, watched
from flows.keeper import Keeper, message_reader
from flows.live.chores import Chores
from flows.live.consumer import is_loopback
from flows.live.health import Health
from flows.live.job import LiveJob
from flows.live.left_parts import left_parts
from flows.live.meters import Meters
from flows.live.observing import Observing
from flows.live.outputs import Targets
from flows.live.positions import merged
from flows.live.reader import KafkaReader
from flows.live.source import KafkaSource
from flows.live.watermarks import EngineClock
from flows.replay import GC_THRESHOLDS
from flows.rule_history import earlier_plans, rules_id
from flows.runtime_database import read_remembered
from flows.state_folder import recovery_config
from operators.annotate import annotator_for
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from rules.planner import make_plan
from sinks.contract import SinkEvents
from state.sequencer import BEFORE_ALL_MS


def wall_clock_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000


def run_process(
    job: LiveJob, addresses: Sequence[str], index: int, *, meters: Meters, health: Health, events: SinkEvents,
    stop: threading.Event, report: Report | None = None, now_ms: Callable[[], int] = wall_clock_ms,
) -> None:  # fmt: skip
    """Run until ``stop`` is set; what was read by then is decided and written, and the state kept.

    ``addresses`` are those of all processes, empty for a single one; ``report`` is told of what our code raises before
    the runtime gets it.
    """
    plan = make_plan(job.rules, keeps_profiles=True)
    settings = job.settings
    decoder = Decoder(
        plan.fields,
        lateness_ms=settings.lateness_ms,
        max_jump_ms=settings.max_jump_ms,
        annotate=annotator_for(plan.fields, settings.text_model),
    )
    columns = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), job.key))
    tables = PlanTables(plan, settings.compact_after_ms, rules_id(job.rules), earlier_plans(job.state))
    left = left_parts(job.state, job.workers) if index == 0 else {}
    targets = Targets(job, index, meters, events, left)
    tables.views = None if targets.views is None else targets.views.pace
    targets.prepare()
    chores = Chores(job.state, tables, meters, targets.audit())
    engine = EngineClock(job.workers)
    observing = Observing(engine, meters, health, chores)
    positions = merged(read_remembered(job.state).others)

    def make_reader() -> KafkaReader:
        return KafkaReader(index, job.readers(), columns, positions, engine, observing, stop, now_ms)

    keeper = Keeper(job.state, message_reader(plan, job.key, settings.text_model), job.ordered_in)
    flow = build_dataflow(
        watched(KafkaSource(index, make_reader, left.get("read", ())), report, "build_part", "next_batch", "snapshot"),
        tables,
        job.policy,
        decoder.values,
        partitions=job.workers,
        dedup_ms=settings.dedup_ms,
        until_ms=BEFORE_ALL_MS,
        key=job.key,
        keeper=keeper,
        outputs=targets.outputs(report),
        by_entity=job.by_entity,
        dealt_anew=True,
        report=report,
        observer=observing,
    )
    if all(map(is_loopback, addresses)):
        wait_for_listeners(addresses[:index])
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        cluster_main(  # type: ignore[no-untyped-call]
            flow, list(addresses), index, epoch_interval=timedelta(milliseconds=settings.epoch_ms),
            recovery_config=recovery_config(job.state),
        )  # fmt: skip
    finally:
        keeper.close()
        targets.close()
