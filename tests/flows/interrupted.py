"""Runs that end in the middle, in this process, and what their state says of how far they were."""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter
from pathlib import Path

import pytest

from flows import files_source
from flows.kernels import warm_up
from flows.runtime_database import read_remembered, read_snapshots
from flows.state_files import kept_shard
from operators.survey import messages_of
from state.state_folder import StateFolder
from tests.reference.engine import run_engine
from tests.reference.generate import Case


class InterruptedRunError(Exception):
    """Stands for whatever ends a process."""


def run_until(case: Case, folder: Path, batches: int, batch_bytes: int = 800) -> bool:
    """Run a case with its state in `folder/state` until its sources have given some batches; whether it was cut off."""
    warm_up()  # which reads files as well
    left = [batches]
    read = files_source._FilePartition.next_batch

    def next_batch(self):
        left[0] -= 1
        if left[0] < 0:
            raise InterruptedRunError
        return read(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_source._FilePartition, "next_batch", next_batch)
        patch.setattr(files_source, "BATCH_BYTES", batch_bytes)
        try:
            run_engine(case, folder, state=folder / "state", epoch_ms=0)
        except BaseException as error:
            if "InterruptedRun" not in repr(error) and "InterruptedRun" not in repr(error.__cause__):
                raise
            return True
    return False


def finish(case: Case, folder: Path, batch_bytes: int = 800) -> None:
    """Go on to the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_source, "BATCH_BYTES", batch_bytes)
        run_engine(case, folder, state=folder / "state", epoch_ms=0)


def lines_read(state: Path) -> dict[int, int]:
    """By partition, how many lines the state has taken in."""
    rows = read_snapshots(state)
    return {int(key): pickle.loads(data).lines for step, key, data in rows if step == "cem.read" and data is not None}


def bytes_written(state: Path) -> int:
    """How much of the decisions belongs to the state."""
    return read_remembered(state).positions.get("write_actions", 0)


def waiting(state: Path) -> Counter[bytes]:
    """The messages that wait."""
    found: Counter[bytes] = Counter()
    versions = read_remembered(state).shards
    for reader in StateFolder.inspect(state).shards():
        shard = kept_shard(reader, versions.get(reader.folder.name, (None,))[0])
        if shard is not None and "waiting.messages" in shard.sections[-1]:
            found.update(messages_of(shard.sections[-1]))
    return found


def as_of_somebody_else(case: Case, state: Path, customer: str) -> tuple[Case, str, str]:
    """The case as a run that has forgotten a customer should have it; two ids whose decisions do not count.

    Events that were decided are another customer's. Those that waited are forgotten before they could feed an
    aggregate over all customers: in their place are events of the same times that feed none. The ids sort as the
    customer's own does.
    """
    other, nobody = customer + "\x01", customer + "\x02"
    read, left = lines_read(state), waiting(state)
    partitions = []
    for number, lines in enumerate(case.partitions):
        changed = list(lines)
        for at in reversed(range(read.get(number, 0))):
            message = event_of(lines[at])
            if message is None or message.get("customer_id") != customer:
                continue
            if left[lines[at].rstrip(b"\r\n")]:
                left[lines[at].rstrip(b"\r\n")] -= 1
                ids = {"event_id": f"none-{number}-{at}", "customer_id": nobody}
                changed[at] = json.dumps({"stream": "click", "ts": message["ts"]} | ids).encode()
            else:
                changed[at] = renamed(lines[at], other)
        partitions.append(changed)
    return Case(case.rules, case.policy, partitions, case.options), other, nobody


def event_of(line: bytes) -> dict | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def renamed(line: bytes, customer: str) -> bytes:
    """A message as another customer's, byte for byte the same otherwise."""
    text = json.dumps(customer).encode()
    found, count = re.subn(rb'("customer_id"\s*:\s*)"(?:[^"\\]|\\.)*"', lambda m: m[1] + text, line)
    assert count == 1, line
    return found
