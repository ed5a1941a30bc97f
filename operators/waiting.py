"""Events that wait in a buffer, as they lie in a file: the messages, read anew by whoever goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from operators.batch import EventBatch
from state.log import Words
from state.texts import Texts

ReadMessages = Callable[[Sequence[bytes], Words], EventBatch]
"""Reads messages (every one an event) whose effective times are known."""


def waiting_sections(runs: Sequence[EventBatch]) -> dict[str, Any]:
    """Runs of events as sections of a file.

    The columns are left out: other rules, or another version of this program, would want others.
    """
    raw = [run.raw.compact() for run in runs]
    return {
        "waiting.runs": np.array([len(run) for run in runs], np.int64),
        "waiting.effective_ms": _joined([run.effective_ms for run in runs], np.int64),
        "waiting.lengths": _joined([texts.lengths for texts in raw], np.int32),
        "waiting.messages": _joined([texts.buffer for texts in raw], np.uint8),
    }


def waiting_runs(sections: Mapping[str, Any], read: ReadMessages) -> list[EventBatch]:
    """The runs again."""
    effective_ms = np.frombuffer(sections["waiting.effective_ms"], np.int64)
    lengths = np.frombuffer(sections["waiting.lengths"], np.int32)
    messages = Texts.consecutive(np.frombuffer(sections["waiting.messages"], np.uint8).copy(), lengths)
    runs, at = [], 0
    for count in np.frombuffer(sections["waiting.runs"], np.int64).tolist():
        lines = [messages.bytes_at(i) for i in range(at, at + count)]
        runs.append(read(lines, effective_ms[at : at + count].copy()))
        at += count
    return runs


def _joined(arrays: Sequence[Any], kind: Any) -> Any:
    return np.concatenate([np.empty(0, kind), *arrays])
