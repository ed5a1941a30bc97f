"""`cem replay`: event files through the dataflow to files of decisions, dead letters and counts."""

from __future__ import annotations

import gc
import json
import os
import pickle
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from bytewax.outputs import Sink
from bytewax.testing import cluster_main

from flows.board import Board
from flows.cluster import run_cluster, wait_for_listeners
from flows.dataflow import Outputs, build_dataflow
from flows.failures import Report, watched
from flows.files_source import FilesSource
from flows.heap import peak_rss_bytes, return_freed_memory
from flows.keeper import Keeper, message_reader
from flows.kernels import warm_up
from flows.lines import LineReader
from flows.rule_history import earlier_plans, rules_id
from flows.rule_report import change_report
from flows.state_folder import open_state, policy_digest, recovery_config, text_model_id
from operators.annotate import annotator_for
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder
from operators.exchange import shared_file
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from rules.model import STREAMS, RuleSet
from rules.plan import Plan
from rules.planner import make_plan
from rules.policy import Policy
from sinks.files import CountsSink, LinesSink, SinkError, open_for_writing, write_file
from state.hashing import Key
from state.sequencer import BEFORE_ALL_MS

DAY_MS = 86_400_000

GC_THRESHOLDS = (100_000, 50, 1_000)
"""State lives as long as its window and holds no cycles: with Python's own thresholds, looking for some took a quarter
of the time."""
SINK_FILES = {"write_actions": "actions.ndjson", "write_dead_letters": "dead_letters.ndjson"}
"""By step of the dataflow."""
ACTIONS, DEAD_LETTERS, SUMMARY = "actions.ndjson", "dead_letters.ndjson", "summary.json"


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """What to replay.

    ``until_ms``: go on to this time if the events end earlier; ``compact_after_ms``: give back memory whenever event
    time has gone on by this, if not before; ``key``: of the hashes of ids. ``state``: the folder to keep the state in,
    so that a run that was killed goes on; written every ``epoch_ms``. ``text_model``: of the sentiment of feedback, if
    not the one that is shipped. ``by_entity``: the stages of rules with ``per=`` are there even if these rules have
    none; ``ordered_in``: see ``Keeper``.
    """

    rules: RuleSet
    events: tuple[Path, ...]
    out: Path
    policy: Policy = field(default_factory=Policy.default)
    lateness_ms: int = 10_000
    dedup_ms: int = 3_600_000
    until_ms: int | None = None
    max_jump_ms: int = 366 * DAY_MS
    workers: int = 1
    compact_after_ms: int = DAY_MS
    state: Path | None = None
    epoch_ms: int = 1_000
    text_model: Path | None = None
    by_entity: bool = False
    ordered_in: Mapping[str, int] = field(default_factory=dict)
    key: Key = field(default_factory=lambda: (secrets.randbits(64), secrets.randbits(64)))


def replay(
    job: ReplayJob, progress: Callable[[Board], Any] | None = None, tell: Callable[[str], Any] | None = None
) -> dict[str, Any]:
    """Run a replay to its end and return the summary, which is in ``out/summary.json`` as well.

    ``progress`` is called once, with the board that shows how far the partitions are, before the flow starts; ``tell``
    then too, if the rules are others than those of the run that this one goes on from, with what that means.
    """
    warm_up()
    with _kept_state(job, tell) as (job, positions), tempfile.TemporaryDirectory(prefix="cem-replay-") as folder:
        _prepare(job, positions)
        scratch = Path(folder)
        board = Board(scratch / "board", len(job.events), job.workers, create=True)
        if progress is not None:
            progress(board)
        started = perf_counter()
        shared_bytes = 0
        if job.workers == 1:
            run_worker(job, scratch, [], 0)
        else:
            shared_bytes = _run_processes(job, scratch)
        seconds = perf_counter() - started
        if tell is not None and positions is not None and not board.events:
            tell("The run before had read all events: none were left for this one.")
        counts_file = scratch / "counts.json"
        counts = json.loads(counts_file.read_bytes()) if counts_file.exists() else {}
        summary = _summary(counts, seconds, board.rss_bytes + shared_bytes) | {"warnings": _warnings(job, counts)}
    write_file(job.out / SUMMARY, json.dumps(summary, ensure_ascii=False, indent=2).encode() + b"\n")
    return summary


def _run_processes(job: ReplayJob, scratch: Path) -> int:
    """The bytes of memory that the processes shared."""
    shared = shared_file(job.workers)
    try:
        (scratch / "job.pickle").write_bytes(pickle.dumps((job, shared)))
        run_cluster(scratch, job.workers, files=[] if shared is None else [shared])
        return 0 if shared is None else 512 * os.fstat(shared).st_blocks
    finally:
        if shared is not None:
            os.close(shared)


def run_alone(job: ReplayJob) -> None:
    """Run a replay in this process, without a summary."""
    _prepare(job, None)
    with tempfile.TemporaryDirectory(prefix="cem-replay-") as folder:
        Board(Path(folder) / "board", len(job.events), 1, create=True)
        run_worker(job, Path(folder), [], 0)


@contextmanager
def _kept_state(
    job: ReplayJob, tell: Callable[[str], Any] | None
) -> Iterator[tuple[ReplayJob, Mapping[str, int] | None]]:
    """Hold the state's folder: the job as it goes on from there, and how far the sinks are; null for from the start."""
    if job.state is None:
        yield job, None
        return
    with open_state(job.state, job.rules, policy_digest(job.policy), _about(job)) as state:
        if tell is not None:
            for line in change_report(state.change, state.other_policy):
                tell(line)
        job = replace(job, key=state.key, by_entity=state.by_entity, ordered_in=state.ordered_in)
        yield job, state.positions if state.resumed else None


def _about(job: ReplayJob) -> dict[str, str]:
    """What a run must have in common with the one that it goes on from: a text for each, by the option's name."""
    return {
        "--events": json.dumps([os.path.abspath(path) for path in job.events]), "--out": os.path.abspath(job.out),
        "--lateness": f"{job.lateness_ms}ms", "--dedup": f"{job.dedup_ms}ms", "--until": str(job.until_ms),
        "--max-jump": f"{job.max_jump_ms}ms", "--text-model": text_model_id(job.text_model),
    }  # fmt: skip


def _prepare(job: ReplayJob, positions: Mapping[str, int] | None) -> None:
    """Find out what will not do before anything is read, and begin with empty files (or go on with those there)."""
    for path in job.events:
        LineReader(path).close()
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{job.out}: cannot be created: {error.strerror}; choose another folder with --out") from error
    outputs = [job.out / name for name in (ACTIONS, DEAD_LETTERS, SUMMARY)]
    for output in outputs:
        if output.exists() and any(output.samefile(path) for path in job.events):
            raise SinkError(f"{output}: is to be read and would be overwritten; choose another folder with --out")
    if positions is not None:  # what a sink wrote before its first snapshot was written for nothing
        outputs = [job.out / name for step, name in SINK_FILES.items() if step not in positions]
    for output in outputs:  # the sinks are built only when something is written
        open_for_writing(output).close()


def run_worker(
    job: ReplayJob, scratch: Path, addresses: Sequence[str], index: int, report: Report | None = None
) -> None:
    """Run one process of the replay; ``addresses`` are those of all processes, empty for a single one.

    ``report`` is told of what our code raises before the runtime gets it.
    """
    # who has opted out has to be known to rules that only come later
    plan = make_plan(job.rules, keeps_profiles=job.state is not None)
    board = Board(scratch / "board", len(job.events), job.workers)
    decoder = Decoder(
        plan.fields,
        lateness_ms=job.lateness_ms,
        max_jump_ms=job.max_jump_ms,
        annotate=annotator_for(plan.fields, job.text_model),
    )
    reader = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), job.key))
    source = FilesSource(job.events, reader, job.lateness_ms, board)

    def sink(sink: Sink[Any]) -> Sink[Any]:
        return watched(sink, report, "build_part", "write_batch", "snapshot", "close")

    keeper = Keeper(job.state, message_reader(plan, job.key, job.text_model), job.ordered_in)
    flow = build_dataflow(
        watched(source, report, "build_part", "next_batch"),
        _tables(job, plan),
        job.policy,
        decoder.values,
        by_entity=job.by_entity,
        partitions=len(job.events),
        dedup_ms=job.dedup_ms,
        key=job.key,
        keeper=keeper,
        until_ms=BEFORE_ALL_MS if job.until_ms is None else job.until_ms,
        outputs=Outputs(
            {"write_actions": sink(LinesSink(job.out / ACTIONS, durable=job.state is not None))},
            {"write_dead_letters": sink(LinesSink(job.out / DEAD_LETTERS, durable=job.state is not None))},
            sink(CountsSink(scratch / "counts.json")),
        ),
        report=report,
    )
    return_freed_memory()
    wait_for_listeners(addresses[:index])
    thresholds = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        cluster_main(  # type: ignore[no-untyped-call]
            flow, list(addresses), index, epoch_interval=timedelta(milliseconds=job.epoch_ms),
            recovery_config=None if job.state is None else recovery_config(job.state),
        )  # fmt: skip
    finally:
        gc.set_threshold(*thresholds)
        keeper.close()
    board.note_memory(index, peak_rss_bytes())


def _tables(job: ReplayJob, plan: Plan) -> PlanTables:
    if job.state is None:
        return PlanTables(plan, job.compact_after_ms)
    return PlanTables(plan, job.compact_after_ms, rules_id(job.rules), earlier_plans(job.state))


def _warnings(job: ReplayJob, counts: dict[str, Any]) -> list[str]:
    """What is legal and yet likely to be a mistake."""
    warnings = []
    early = counts.get("before_1973", 0)
    if early:
        warnings.append(f"{early:,} events have a ts before 1973: ts is in milliseconds since 1970, not in seconds")
    files = Counter(path.resolve() for path in job.events)
    warnings += [
        f"{path}: given {n} times as an event file: its events are duplicates" for path, n in files.items() if n > 1
    ]
    return warnings + list(_cold_models(job, counts))


def _cold_models(job: ReplayJob, counts: dict[str, Any]) -> Iterator[str]:
    """Of the models that gave no score, why."""
    for model in job.rules.models:
        done = counts.get("models", {}).get(model.name, {})
        if done.get("scored") or not done.get("events"):
            continue
        what, came = ("labels", done.get("labels", 0)) if model.labels else ("events", done["events"])
        if model.mode == "frozen":
            why = "it is frozen and has learned nothing"
        elif came < model.warm_up:
            why = f"of the {model.warm_up:,} {what} of its warm-up {came:,} came"
        else:
            why = f"it learned from {done.get('learned', 0):,} {what} only"
        yield f"model {model.name}: all of its scores were null: {why}"


def _summary(counts: dict[str, Any], seconds: float, rss_bytes: int) -> dict[str, Any]:
    events = {stream: counts.get("events", {}).get(stream, 0) for stream in STREAMS}
    memory = counts.get("memory", {})
    customers = memory.get("customers", 0)
    return {
        "events": {stream: n for stream, n in events.items() if n},
        "dead_letters": counts.get("dead_letters", {}),
        "duplicates": counts.get("duplicates", 0),
        "late": counts.get("late", 0),
        "decisions": counts.get("decisions", {}),
        **({"models": counts["models"]} if "models" in counts else {}),
        "pending": counts.get("pending", 0),
        "armed": counts.get("armed", 0),
        "events_per_second": round(sum(events.values()) / seconds) if seconds else 0,
        "peak_rss_bytes": rss_bytes,
        "customers": customers,
        "bytes_per_customer": round(memory.get("bytes", 0) / customers) if customers else 0,
    }
