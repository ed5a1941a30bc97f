"""What a source partition hands to the dataflow: a decoded micro-batch with its watermark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from operators.batch import EventBatch
from operators.outcome import Counts
from operators.read_columns import ReadBatch
from rules.model import STREAMS

BEFORE_1973_MS = 10**11
"""A ``ts`` below this is legal but likelier to be in seconds than from the early seventies: it is counted."""


@dataclass(slots=True)
class SourceBatch:
    """A decoded micro-batch of one partition, with its watermark after it and the latest effective time so far.

    ``events``: by shard, in processing order; empty if the batch has none. ``archive``: the messages of the events, if
    they are to be kept. ``idle``: see ``Delivery``.
    """

    source: int
    watermark_ms: int
    end_ms: int
    events: list[EventBatch]
    dead_letters: list[bytes]
    counts: Counts
    archive: Sequence[bytes] = ()
    idle: bool = False


def counts_of(read: ReadBatch) -> Counts:
    """What the summary and the metrics count of a batch."""
    events = read.events
    counts: Counts = Counter()
    for code, count in enumerate(np.bincount(events.stream).tolist()):
        if count:
            counts["events", STREAMS[code]] = count
    early = int((events.ts_ms < BEFORE_1973_MS).sum())
    if early:
        counts[("before_1973",)] = early
    late = int((events.ts_ms < events.effective_ms).sum())
    if late:
        counts[("late",)] = late
    for letter in read.dead_letters:
        counts[("dead_letters", letter.reason)] += 1
    return counts
