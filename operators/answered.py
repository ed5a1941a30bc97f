"""Ordered events that wait for what other stages say of them: entities' values, and scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from operators.batch import EventBatch
from operators.delivery import Delivery, EntityAnswer, EntityValues
from operators.ordering import OrderedBuffer
from operators.outcome import Entities
from operators.tables import PlanTables
from state.cells import address, get, put
from state.compiled import compiled
from state.log import Words
from state.sequencer import Frontier

Answered = tuple[EventBatch, Words, Entities]
"""Events in processing order, their sequence numbers, and the values that the other stages gave of them."""

Choose = Callable[[EventBatch], Words]
"""Gives the rows of some events that are of interest, ascending."""


class AnsweredEvents:
    """Events of one shard of customers, held back until everybody who answers has passed them.

    ``senders``: the ordering stage and those who answer, by the number of their source. ``choose``: what is kept of
    the events, if not all; answers to others are ignored.
    """

    def __init__(self, tables: PlanTables, senders: int, end_ms: int, choose: Choose | None = None) -> None:
        self.frontier = Frontier(senders)
        self.end_ms = end_ms
        self.other_bytes = 0
        self._tables, self._numbers, self._choose = tables, tables.entity_numbers, choose
        self._buffer = OrderedBuffer(tables.objects)
        self._times: list[Words] = []  # of all events that wait, chosen or not
        self._sequences = np.empty(0, np.int64)  # of those that wait
        self._answers: list[EntityValues] = []
        self._received = self._passed = 0

    @property
    def waits(self) -> bool:
        """Whether something is held back."""
        return bool(self._times or self._answers)

    def take(self, item: Delivery | EntityAnswer) -> None:
        """Note what one sender says."""
        if isinstance(item, Delivery):
            if item.events is not None and len(item.events):
                self._add(item.events)
        else:
            self._answers += item.values
            self.other_bytes += item.used_bytes
        self.frontier.advance(item.source, item.watermark_ms)
        self.end_ms = max(self.end_ms, item.end_ms)

    def _add(self, events: EventBatch) -> None:
        first, self._received = self._received, self._received + len(events)
        self._times.append(events.effective_ms.copy())  # a view would keep the whole batch
        if self._choose is None:
            sequences = np.arange(first, self._received)
        else:
            rows = self._choose(events)
            if not len(rows):
                return
            sequences, events = first + rows, events.take(rows)
        self._buffer.add(events)
        # one sender's deliveries follow one another in processing order
        self._sequences = np.concatenate([self._sequences, sequences])

    def ready(self) -> Answered | None:
        """The events that all have passed; null if there are none."""
        waiting: list[Words] = []
        for times in self._times:
            count = int(np.searchsorted(times, self.frontier.ms))
            self._passed += count
            if count < len(times):
                waiting.append(times[count:])
        self._times = waiting
        events = self._buffer.take(self.frontier.ms)
        count = 0 if events is None else len(events)
        sequences, self._sequences = self._sequences[:count], self._sequences[count:]
        values = self._values(sequences)
        return None if events is None else (events, sequences, values)

    def _values(self, sequences: Words) -> Entities:
        """Of the events of these numbers; where nobody gave one it is that of an aggregate over nothing."""
        tables = self._tables.entities_over_nothing(len(sequences))
        waiting: list[EntityValues] = []
        for answer in self._answers:
            ready = int(np.searchsorted(answer.sequences, self._passed))
            own = np.ascontiguousarray(answer.sequences)
            width, column = answer.kinds.shape[1], self._numbers[answer.name, 0]
            for table, given in zip(tables, (answer.kinds, answer.integers, answer.doubles), strict=True):
                values = np.ascontiguousarray(given)
                _fill(
                    address(sequences), len(sequences), address(table), table.shape[1], column, address(own), ready,
                    address(values), width,
                )  # fmt: skip
            if ready < len(answer.sequences):
                waiting.append(
                    EntityValues(
                        answer.name, own[ready:], answer.kinds[ready:], answer.integers[ready:], answer.doubles[ready:]
                    )
                )
        self._answers = waiting
        return tables


@compiled
def _fill(
    sequences: int, count: int, table: int, columns: int, column: int, given: int, ready: int, values: int, width: int
) -> None:
    """Put rows of ``values``, for events with the numbers ``given``, into the rows of a table for ``sequences``.

    All but sizes are addresses of cells of 8 bytes; both numbers ascend.
    """
    at = 0
    for i in range(ready):
        number = get(given, i)
        while at < count and get(sequences, at) < number:
            at += 1
        if at == count:
            return
        if get(sequences, at) == number:
            for k in range(width):
                put(table, at * columns + column + k, get(values, i * width + k))
