"""Measured runs of the engine: decoding alone, and the whole replay."""

from __future__ import annotations

import gc
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from benchmarks.process import Figures, answer, memory_bytes, start
from flows.files_source import BATCH_BYTES
from flows.lines import LineReader, RawBatch
from flows.loading import load
from flows.replay import ACTIONS, ReplayJob, replay
from operators.annotate import default_annotator
from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from rules.model import RuleSet
from rules.plan import Plan
from rules.planner import make_plan
from rules.policy import Policy, load_policy

DAY_MS = 86_400_000


Read = Callable[[RawBatch, PartitionClock], int]


def decode(task: Figures) -> Figures:
    """The limit: reading lines and decoding them, with the fields that the rules read.

    ``into``: ``events``, typed decoding to a struct for each event, or ``columns``, what the engine works with.
    """
    read_batch = _reader(make_plan(rules_of(task)), task.get("into", "events"))

    def read(paths: list[str]) -> int:
        events = 0
        for path in paths:
            clock = PartitionClock()
            with LineReader(path) as reader:
                while (raw := reader.read_batch(BATCH_BYTES)) is not None:
                    events += read_batch(raw, clock)
        return events

    if task.get("warm"):
        read([task["warm"]])
    gc.collect()
    started = perf_counter()
    events = read(task["events"])
    seconds = perf_counter() - started
    return {"seconds": seconds, "events": events, "peak_rss_bytes": memory_bytes("VmHWM")}


def _reader(plan: Plan, into: str) -> Read:
    """What decodes a batch and tells the number of its events."""
    decoder = Decoder(plan.fields, lateness_ms=10_000, max_jump_ms=366 * DAY_MS, annotate=default_annotator())
    if into == "events":
        return lambda raw, clock: len(decoder.decode(raw.lines, raw.file, raw.first_line, clock).events)
    columns = ColumnReader(plan.fields, decoder, Columniser(plan.layout, ColumnMasks(plan.matchers), (1, 2)))
    return lambda raw, clock: len(columns.read(raw.lines, raw.file, raw.first_line, clock).events)


def engine(task: Figures) -> Figures:
    """A replay. ``base_rss_bytes`` is the memory once everything is loaded and a few events have gone through.

    ``workers`` processes; with one, a small replay before the measured one loads what is loaded at first use.
    ``steady``: also the rate without the time that starting and stopping take, which a timed small replay (of the files
    ``small``, or ``warm``) tells; null if that is half of the time or more.
    """
    rules, policy = rules_of(task), policy_of(task)
    workers: int = task.get("workers", 1)
    with tempfile.TemporaryDirectory(prefix="cem-bench-") as name:
        folder = Path(name)
        if task.get("warm") and workers == 1:
            replay(ReplayJob(rules, (Path(task["warm"]),), folder / "warm", policy))
        small = _timed_small_replay(task, rules, policy, folder) if task.get("steady") else (0, 0.0)
        gc.collect()
        base_bytes = memory_bytes()
        out = folder / "out"
        started = perf_counter()
        summary = replay(ReplayJob(rules, tuple(map(Path, task["events"])), out, policy, workers=workers))
        seconds = perf_counter() - started
        peak_bytes = memory_bytes("VmHWM") if workers == 1 else summary["peak_rss_bytes"]
        result_hash, decisions = hash_of_lines(out / ACTIONS) if task.get("hash", True) else (None, None)
    events = sum(summary["events"].values())
    return {
        "steady_rate": (events - small[0]) / (seconds - small[1]) if 0 < small[1] < seconds / 2 else None,
        "seconds": seconds,
        "events": events,
        "decisions": decisions,
        "result_hash": result_hash,
        "peak_rss_bytes": peak_bytes,
        "base_rss_bytes": base_bytes,
        "summary": {key: value for key, value in summary.items() if key != "decisions"},
    }


def apart(task: Figures) -> Figures:
    """Two engines that know nothing of each other, each with half of the files, at the same time.

    What two processes could be at best on this machine: nothing is sent, and nobody waits.
    """
    runs = [start(task | {"task": "engine", "events": task["events"][half::2]}) for half in range(2)]
    found = [answer(run, *run.communicate()) for run in runs]
    events, seconds = sum(run["events"] for run in found), max(run["seconds"] for run in found)
    rates = [run["steady_rate"] for run in found]
    slowest = None if None in rates else max(run["events"] / run["steady_rate"] for run in found)
    return {
        "seconds": seconds,
        "events": events,
        "steady_rate": events / slowest if slowest else None,
        "peak_rss_bytes": sum(run["peak_rss_bytes"] for run in found),
    }


def _timed_small_replay(task: Figures, rules: RuleSet, policy: Policy, folder: Path) -> tuple[int, float]:
    """Events and seconds of the small replay: the time is that of starting and stopping, above all with processes.

    The better of two, as what is too long here would be taken off the measured run.
    """
    files = tuple(map(Path, task.get("small", [task["warm"]])))
    job = ReplayJob(rules, files, folder / "small", policy, workers=task.get("workers", 1))
    seconds = []
    for _ in range(2):
        started = perf_counter()
        summary = replay(job)
        seconds.append(perf_counter() - started)
    return sum(summary["events"].values()), min(seconds)


def rules_of(task: Figures) -> RuleSet:
    """The rules of the task's files together, with the shipped models that they read."""
    loaded = load([Path(path) for path in task["rules"]])
    if loaded.rules is None:
        raise ValueError("\n".join(map(str, loaded.problems)))
    return loaded.rules


def policy_of(task: Figures) -> Policy:
    """The task's policy, or one that holds nothing back."""
    if not task.get("policy"):
        return Policy.default()
    policy, problems = load_policy(Path(task["policy"]))
    if policy is None:
        raise ValueError("\n".join(map(str, problems)))
    return policy


def hash_of_lines(path: Path) -> tuple[str, int]:
    """A digest of a file's sorted lines, and how many there are: the order of writing does not matter."""
    lines = sorted(path.read_bytes().splitlines())
    digest = hashlib.blake2b(digest_size=8)
    for line in lines:
        digest.update(line + b"\n")
    return digest.hexdigest(), len(lines)
