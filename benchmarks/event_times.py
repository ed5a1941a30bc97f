"""When each customer of the benchmark's population does something: visits, spread over days and hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.draws import Draws, Whole, keyed
from benchmarks.vocabulary import SCRIPTS

DAY_MS = 86_400_000
START_MS = 1_767_196_800_000
"""Midnight in Shanghai, 2026-01-01."""

_BLOCK = 50_000
_NEW_VISIT_PERCENT = 22
_HOURS = (1, 1, 1, 1, 1, 2, 5, 10, 14, 16, 17, 15, 14, 13, 14, 15, 15, 14, 14, 15, 16, 14, 8, 3)
_MINUTE_OF = np.repeat(np.arange(24), _HOURS)
_VISIT, _EVENT, _ARRIVAL = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Population:
    """What to make: uniform customers with the same number of events each, the first of them a profile.

    ``jitter_ms``: events arrive up to so much after they happened. ``first_day``: days after ``START_MS``.
    ``with_profiles``: false for later stretches of a population whose profiles were sent before.
    """

    customers: int
    events_each: int = 20
    days: int = 20
    seed: int = 20_260_301
    jitter_ms: int = 2_000
    first_day: int = 0
    with_profiles: bool = True

    @property
    def events(self) -> int:
        """How many events there are in all."""
        return self.customers * self.events_each


@dataclass(frozen=True, slots=True)
class Calendar:
    """Events in the order of their arrival, one row each."""

    ts_ms: Whole
    customer: NDArray[np.uint32]
    slot: NDArray[np.uint16]
    visit: NDArray[np.uint16]
    position: NDArray[np.uint16]
    script: NDArray[np.uint8]


def calendar(population: Population) -> Calendar:
    """Draw the times of all events. Takes about 40 bytes an event."""
    rows, each = population.events, population.events_each
    made = Calendar(
        np.empty(rows, np.int64), np.empty(rows, np.uint32), np.empty(rows, np.uint16), np.empty(rows, np.uint16),
        np.empty(rows, np.uint16), np.empty(rows, np.uint8),
    )  # fmt: skip
    arrival = np.empty(rows, np.int64)
    for first in range(0, population.customers, _BLOCK):
        customers = np.arange(first, min(first + _BLOCK, population.customers))[:, None]
        part = slice(first * each, first * each + customers.size * each)
        _fill(population, customers, made, arrival, part)
    order = np.argsort(arrival, kind="stable")
    return Calendar(
        made.ts_ms[order], made.customer[order], made.slot[order], made.visit[order], made.position[order],
        made.script[order],
    )  # fmt: skip


def _fill(population: Population, customers: Whole, made: Calendar, arrival: Whole, part: slice) -> None:
    """Draw for a block of customers (one row each; one column for each event)."""
    slot = np.arange(population.events_each)[None, :]
    stretch = population.seed + population.first_day * 7_919
    event = Draws(keyed(stretch, _EVENT, customers, slot))
    starts = (event.below(0, 100) < _NEW_VISIT_PERCENT) | (slot <= 1)
    visit = np.cumsum(starts, axis=1)
    first_slot = np.maximum.accumulate(np.where(starts, slot, 0), axis=1)
    position = slot - first_slot

    own = Draws(keyed(stretch, _VISIT, customers, visit))
    minute = _MINUTE_OF[own.below(1, len(_MINUTE_OF))] * 60 + own.below(2, 60)
    day = own.below(0, population.days)
    begins = START_MS + (population.first_day + day) * DAY_MS + minute * 60_000 + own.below(3, 60_000)
    waited = np.cumsum(10_000 + event.below(1, 80_000), axis=1)
    ts_ms = begins + waited - np.take_along_axis(waited, first_slot, axis=1)
    weights = np.cumsum([script.weight for script in SCRIPTS])
    script = np.searchsorted(weights / weights[-1] * 2**30, own.below(4, 2**30), side="right")
    if population.with_profiles:
        # Before the first visit: a night earlier.
        ts_ms[:, 0] = START_MS + (population.first_day - 1) * DAY_MS + event.below(2, DAY_MS)[:, 0]
        script[:, 0] = PROFILE_SCRIPT
        position[:, 0] = 0

    shape = ts_ms.shape
    made.ts_ms[part] = ts_ms.ravel()
    made.customer[part] = np.broadcast_to(customers, shape).ravel()
    made.slot[part] = np.broadcast_to(slot, shape).ravel()
    made.visit[part] = visit.ravel()
    made.position[part] = position.ravel()
    made.script[part] = script.ravel()
    late = Draws(keyed(stretch, _ARRIVAL, customers, slot)).below(0, population.jitter_ms + 1)
    arrival[part] = (ts_ms + late).ravel()


PROFILE_SCRIPT = next(number for number, script in enumerate(SCRIPTS) if script.name == "moved")
