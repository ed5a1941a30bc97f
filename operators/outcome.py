"""What goes into deciding and comes out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.batch import EventBatch
from state.log import Words

ReadValues = Callable[[bytes], tuple[Any, ...]]
"""Reads the fields that the rules look at from a raw event."""

Entities = tuple[Words, Words, NDArray[np.float64]]
"""Values of entities' features at some events: kinds, integers and doubles, each [n, features]."""

Counts = Counter[tuple[str, ...]]
"""Numbers for the summary by their path in it."""


@dataclass(slots=True)
class Outcome:
    """What a step has to write: decisions as lines of JSON in the order of decision, and counts for the summary.

    ``views``: of customers, as lines of JSON; see ``operators.views``.
    """

    lines: list[bytes] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)
    views: list[bytes] = field(default_factory=list)


class Anchor:
    """An event of a step that Python looks at; its fields are read when they are asked for."""

    __slots__ = ("_events", "_read_values", "_values", "effective_ms", "index", "row", "stream", "ts_ms")

    def __init__(
        self,
        events: EventBatch,
        read_values: ReadValues,
        index: int,
        row: int,
        effective_ms: int,
        ts_ms: int,
        stream: int,
    ) -> None:
        self._events, self._read_values = events, read_values
        self._values: tuple[Any, ...] | None = None
        self.index, self.row = index, row
        self.effective_ms, self.ts_ms, self.stream = effective_ms, ts_ms, stream

    @property
    def event_id(self) -> str:
        """The event's id."""
        return self._events.event_id.bytes_at(self.index).decode()

    @property
    def values(self) -> tuple[Any, ...]:
        """Its fields that the rules read."""
        if self._values is None:
            self._values = self._read_values(self._events.raw.bytes_at(self.index))
        return self._values
