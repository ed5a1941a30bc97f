"""Measured runs with recovery state: what it costs, what it writes, and how soon a run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.measure_engine import policy_of, rules_of
from benchmarks.process import Figures, memory_bytes
from flows import files_source
from flows.keeper import KeptShard, Snapshot
from flows.replay import ReplayJob, replay
from operators.deciding import DecidingShard
from operators.outcome import Outcome
from state.state_folder import StateFolder

_KEY = (1, 2)


def speed(task: Figures) -> Figures:
    """A replay; with state if ``state`` names a folder, which is emptied.

    ``processor_seconds`` are this process's, all of its threads together: they tell less of what else the machine does.
    """
    state = task.get("state")
    if state:
        shutil.rmtree(state, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="cem-bench-") as out:
        started, processor = perf_counter(), process_time()
        summary = replay(_job(task, Path(out)))
        seconds, processor = perf_counter() - started, process_time() - processor
    return {
        "seconds": seconds,
        "events": sum(summary["events"].values()),
        "rate": summary["events_per_second"],
        "processor_seconds": processor,
        "peak_rss_bytes": memory_bytes("VmHWM"),
    }


def _job(task: Figures, out: Path) -> ReplayJob:
    state = task.get("state")
    return ReplayJob(
        rules_of(task), tuple(map(Path, task["events"])), out, policy_of(task), workers=task.get("workers", 1),
        state=Path(state) if state else None, epoch_ms=task.get("epoch_ms", 1_000), key=_KEY,
    )  # fmt: skip


def killed(task: Figures) -> Figures:
    """A replay of which each batch is an epoch, killed in an epoch when ``killed_at_bytes`` of its file were read.

    Batches have 32 MiB up to ``history_bytes``, then ``batch_bytes``. It answers by its signal.
    """
    read, snapshot = files_source._FilePartition.next_batch, KeptShard.snapshot
    bytes_read = 0

    def next_batch(self: Any) -> Any:
        nonlocal bytes_read
        bytes_read = self._reader.bytes_read
        left = task["history_bytes"] - bytes_read
        files_source.BATCH_BYTES = max(task["batch_bytes"], min(left, 32 << 20))
        return read(self)

    def watched(self: KeptShard) -> Snapshot:
        if bytes_read >= task["killed_at_bytes"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return snapshot(self)

    files_source._FilePartition.next_batch = next_batch  # type: ignore[method-assign]
    KeptShard.snapshot = watched  # type: ignore[method-assign]
    replay(_job(task | {"epoch_ms": 0}, Path(task["out"])))
    raise RuntimeError("the replay ended before it was to be killed")


def written(state: Path, last: int) -> list[tuple[int, int, int]]:
    """Of the last epochs that no base was written in: customers touched, bytes written, bytes of them for rows."""
    touched: defaultdict[int, int] = defaultdict(int)
    sizes: defaultdict[int, int] = defaultdict(int)
    rows: defaultdict[int, int] = defaultdict(int)
    bases = set()
    for shard in StateFolder.inspect(state).shards():
        for info in shard.files():
            sizes[info.version] += info.bytes
            if info.is_base:
                bases.add(info.version)
            if "customers.places" in info.sections:
                touched[info.version] += info.sections["rows.hashes"] // 8
                rows[info.version] += info.sections["rows.fixed"] + info.sections["rows.pool"]
    whole = [version for version in sorted(sizes)[:-1] if version not in bases]
    return [(touched[version], sizes[version], rows[version]) for version in whole[-last:]]


def restart(task: Figures) -> Figures:
    """Seconds from the start of the process until the first events are decided by a run that goes on."""
    step = DecidingShard.step
    files_source.BATCH_BYTES = task["batch_bytes"]

    def watched(self: DecidingShard, items: Sequence[Any]) -> Outcome | None:
        outcome = step(self, items)
        if outcome is not None:
            raise _DecidedError
        return outcome

    DecidingShard.step = watched  # type: ignore[method-assign]
    try:
        replay(_job(task, Path(task["out"])))
    except BaseException as error:
        if _DecidedError not in map(type, _causes(error)):
            raise
    seconds = perf_counter() - task["started"]
    return {"seconds": seconds, "events": 0, "peak_rss_bytes": memory_bytes("VmHWM")}


class _DecidedError(Exception):
    """Ends a run when it has done what was to be measured."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
