"""What the files of models hold, as far as it can be said without the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from state.json_values import from_json
from state.pending_rows import END, FIRST, MARKS, open_count
from state.row_snapshots import Sections

PENDING = "learner.pending."
"""Before the names of the sections with the scored events that wait for labels."""

PENDING_KEYS = f"{PENDING}keys"
"""Keyed hashes of customer and event, uint64[n, 2]."""


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model as of a file. ``seen``: what counts for its warm-up; ``waiting``: events whose labels may come."""

    name: str
    seen: int
    learned: int
    waiting: int
    watermark_ms: int


def is_model(sections: Sections) -> bool:
    """Whether a file is of a model."""
    return "scoring" in sections


def kept_model(sections: Sections) -> KeptModel:
    """A model as of its newest file."""
    head = from_json(sections["scoring"])
    name = f"{PENDING}marks"
    waiting = open_count(np.frombuffer(sections[name], np.int64)) if name in sections else 0
    return KeptModel(head["name"], head["seen"], head["learned"], waiting, head["watermark_ms"])


def waiting_of(frames: Sequence[Sections], customer_hash: int) -> list[int]:
    """Effective times of a customer's events that wait for labels, by a model's files, the oldest first."""
    found: dict[int, int] = {}
    for sections in frames:
        if PENDING_KEYS not in sections:
            continue
        of = _Pending(sections)
        for number in of.labelled.tolist():
            found.pop(number, None)
        own = np.flatnonzero((of.keys[:, 0] == np.uint64(customer_hash)) & of.is_open)
        first = int(of.marks[END]) - len(of.times)
        found |= zip((first + own).tolist(), of.times[own].tolist(), strict=True)
        found = {number: t_ms for number, t_ms in found.items() if number >= of.marks[FIRST]}
    return list(found.values())


def model_misfits(sections: Sections) -> Iterator[str]:
    """What in a model's file does not fit together."""
    if not is_model(sections):
        return
    kept_model(sections)
    if PENDING_KEYS not in sections:
        return
    of = _Pending(sections)
    if (
        len(of.marks) != MARKS
        or not len(of.keys) == len(of.times) == len(of.is_open) <= of.marks[END] - of.marks[FIRST]
    ):
        yield "the events that wait for labels are not as many as they should be"
    rows, size = int(of.is_open.sum()), len(sections[f"{PENDING}features"])
    if size % (4 * rows) if rows else size:
        yield "the features that wait for labels are not as many as their events"


class _Pending:
    """The scored events in one file."""

    def __init__(self, sections: Sections) -> None:
        def column(name: str, kind: Any) -> Any:
            return np.frombuffer(sections[f"{PENDING}{name}"], kind)

        self.keys = column("keys", np.uint64).reshape(-1, 2)
        self.times, self.is_open = column("times", np.int64), column("open", np.bool_)
        self.labelled, self.marks = column("labelled", np.int64), column("marks", np.int64)
