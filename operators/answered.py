"""Ordered events that wait for what other stages say of them: entities' values, and scores."""

from __future__ import annotations

import numpy as np

from operators.batch import EventBatch
from operators.delivery import Delivery, EntityAnswer, EntityValues
from operators.ordering import OrderedBuffer
from operators.outcome import Entities
from operators.tables import PlanTables
from state.sequencer import Frontier

Answered = tuple[EventBatch, Entities]
"""Events in processing order, and the values that the other stages gave of them."""


class AnsweredEvents:
    """Events of one shard of customers, held back until everybody who answers has passed them.

    ``senders``: the ordering stage and those who answer, by the number of their source.
    """

    def __init__(self, tables: PlanTables, senders: int, end_ms: int) -> None:
        self.frontier = Frontier(senders)
        self.end_ms = end_ms
        self.other_bytes = 0
        self._tables, self._numbers = tables, tables.entity_numbers
        self._buffer = OrderedBuffer(tables.objects)
        self._answers: list[EntityValues] = []
        self._sequence = 0

    @property
    def waits(self) -> bool:
        """Whether something is held back."""
        return bool(self._buffer.runs or self._answers)

    def take(self, item: Delivery | EntityAnswer) -> None:
        """Note what one sender says."""
        if isinstance(item, Delivery):
            if item.events is not None:
                self._buffer.add(item.events)
        else:
            self._answers += item.values
            self.other_bytes += item.used_bytes
        self.frontier.advance(item.source, item.watermark_ms)
        self.end_ms = max(self.end_ms, item.end_ms)

    def ready(self) -> Answered | None:
        """The events that all have passed; null if there are none."""
        events = self._buffer.take(self.frontier.ms)
        return None if events is None else (events, self._values(len(events)))

    def _values(self, count: int) -> Entities:
        """Of the next ``count`` events; where nobody gave one it is that of an aggregate over nothing."""
        kinds, integers, doubles = self._tables.entities_over_nothing(count)
        first, end = self._sequence, self._sequence + count
        waiting: list[EntityValues] = []
        for answer in self._answers:
            ready = int(np.searchsorted(answer.sequences, end))
            at = answer.sequences[:ready] - first
            column = self._numbers[answer.name, 0]
            columns = slice(column, column + answer.kinds.shape[1])
            kinds[at, columns] = answer.kinds[:ready]
            integers[at, columns] = answer.integers[:ready]
            doubles[at, columns] = answer.doubles[:ready]
            if ready < len(answer.sequences):
                waiting.append(
                    EntityValues(
                        answer.name, answer.sequences[ready:], answer.kinds[ready:], answer.integers[ready:],
                        answer.doubles[ready:],
                    )
                )  # fmt: skip
        self._answers, self._sequence = waiting, end
        return kinds, integers, doubles
