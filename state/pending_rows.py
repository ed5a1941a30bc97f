"""Features of scored events, kept until a label comes for them or a limit passes.

Entries stand in a ring in the order in which they came and leave it from the front: what is older than the limit, or
too much. A label gives the features' place back at once; the entry stays until it leaves, so that a second label for
the same event is told from one for an event that nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled
from state.row_index import grown

FIRST_ROWS = 1 << 10

FIRST, END, PLACES, IDLE, NOTED, TOLD = range(6)
"""Entries of ``Pending.marks``: numbers of the first entry and of the one after the last, places for features handed
out so far, how many of these are idle, notes taken, entries before this number get notes."""
UNKNOWN, REPEATED, EXPIRED, EVICTED, DOUBLE = range(6, 11)
"""And counters: labels for events that are not known, further labels for the same event, entries that left unlabelled
for their age and for their number, scored events with the key of one that is still there."""
MARKS = 11

_LABELLED = np.int32(-1)

Words = NDArray[np.int64]
Columns = Mapping[str, Any]


class Pending(NamedTuple):
    """The arrays, for kernels.

    ``keys``: uint64[c, 2], ``times``: int64[c], ms, ``places``: int32[c], where the features are, −1 once labelled; by
    entry number modulo ``c``, a power of two. ``slots``: int32[2c], an open-addressing table of positions in the ring,
    −1 if empty. ``pool``: float32[p, f], the features; ``idle``: int32[p], places given back. ``notes``: numbers of
    labelled entries that a snapshot has as unlabelled. ``marks``: see above.
    """

    keys: NDArray[np.uint64]
    times: Words
    places: NDArray[np.int32]
    slots: NDArray[np.int32]
    pool: NDArray[np.float32]
    idle: NDArray[np.int32]
    notes: Words
    marks: Words


@compiled
def _home(pending: Pending, first: np.uint64, second: np.uint64) -> np.int64:
    """The first slot of a key."""
    return np.int64((first ^ second) & np.uint64(len(pending.slots) - 1))


@compiled
def slot_of(pending: Pending, first: np.uint64, second: np.uint64) -> np.int64:
    """The slot of a key, or the empty one where it belongs."""
    last = len(pending.slots) - 1
    at = _home(pending, first, second)
    while True:
        entry = pending.slots[at]
        if entry < 0 or (pending.keys[entry, 0] == first and pending.keys[entry, 1] == second):
            return at
        at = (at + 1) & last


@compiled
def push(
    pending: Pending, first: np.uint64, second: np.uint64, ts_ms: int, features: NDArray[np.float32], labelled: bool
) -> None:
    """Keep an event's features; there must be room for it (``PendingRows.make_room``).

    While an event of the same key is there, it stays and this one is not kept.
    """
    marks = pending.marks
    slot = slot_of(pending, first, second)
    if pending.slots[slot] >= 0:
        marks[DOUBLE] += 1
        return
    entry = marks[END] & (len(pending.times) - 1)
    marks[END] += 1
    pending.slots[slot] = entry
    pending.keys[entry, 0], pending.keys[entry, 1], pending.times[entry] = first, second, ts_ms
    if labelled:
        pending.places[entry] = _LABELLED
        return
    if marks[IDLE]:
        marks[IDLE] -= 1
        place = np.int64(pending.idle[marks[IDLE]])
    else:
        place = marks[PLACES]
        marks[PLACES] = place + 1
    pending.places[entry] = place
    for on in range(len(features)):
        pending.pool[place, on] = features[on]


@compiled
def give_back(pending: Pending, place: np.int64) -> None:
    """A place for features is free again; what lies there stays until the next ``push``."""
    pending.idle[pending.marks[IDLE]] = place
    pending.marks[IDLE] += 1


@compiled
def label(pending: Pending, first: np.uint64, second: np.uint64) -> np.int64:
    """A label came: where the event's features are (``give_back`` follows), or −1 if it is not to be learned from."""
    marks = pending.marks
    entry = np.int64(pending.slots[slot_of(pending, first, second)])
    if entry < 0:
        marks[UNKNOWN] += 1
        return np.int64(-1)
    place = np.int64(pending.places[entry])
    if place < 0:
        marks[REPEATED] += 1
        return np.int64(-1)
    pending.places[entry] = _LABELLED
    size = len(pending.times)
    number = marks[FIRST] + ((entry - marks[FIRST]) & (size - 1))
    if number < marks[TOLD]:
        pending.notes[marks[NOTED]] = number
        marks[NOTED] += 1
    return place


@compiled
def leaves(pending: Pending, before_ms: int, max_rows: int) -> bool:
    """Whether the first entry has to leave: it is not after ``before_ms``, or there are more than ``max_rows``."""
    marks = pending.marks
    count = marks[END] - marks[FIRST]
    if count == 0 or count > max_rows:
        return bool(count)
    return bool(pending.times[marks[FIRST] & (len(pending.times) - 1)] <= before_ms)


@compiled
def drop_first(pending: Pending) -> np.int64:
    """Let the first entry leave; where its features are if no label came (``give_back`` follows), else −1."""
    marks, slots, last = pending.marks, pending.slots, len(pending.slots) - 1
    entry = marks[FIRST] & (len(pending.times) - 1)
    marks[FIRST] += 1
    hole = slot_of(pending, pending.keys[entry, 0], pending.keys[entry, 1])
    at = hole
    while True:  # move up what a search could not find any more beyond the hole
        at = (at + 1) & last
        other = slots[at]
        if other < 0:
            break
        home = _home(pending, pending.keys[other, 0], pending.keys[other, 1])
        if ((at - home) & last) >= ((at - hole) & last):
            slots[hole] = other
            hole = at
    slots[hole] = -1
    return np.int64(pending.places[entry])


@compiled
def _move(pending: Pending, to: Pending) -> None:
    """Copy the entries to a larger ring and find them there."""
    for number in range(pending.marks[FIRST], pending.marks[END]):
        entry, new = number & (len(pending.times) - 1), number & (len(to.times) - 1)
        to.keys[new, 0], to.keys[new, 1] = pending.keys[entry, 0], pending.keys[entry, 1]
        to.times[new], to.places[new] = pending.times[entry], pending.places[entry]
        to.slots[slot_of(to, to.keys[new, 0], to.keys[new, 1])] = new


@compiled
def _push_all(
    pending: Pending, keys: NDArray[np.uint64], times: Words, open_: NDArray[np.bool_], features: NDArray[np.float32]
) -> None:
    at = 0
    for i in range(len(times)):
        push(pending, keys[i, 0], keys[i, 1], times[i], features[min(at, len(features) - 1)], not open_[i])
        at += open_[i]


def open_count(marks: Words) -> int:
    """How many entries are not labelled: places for features that are not idle."""
    return int(marks[PLACES] - marks[IDLE])


class PendingRows:
    """The kept rows of one model.

    Parameters
    ----------
    width
        Number of features.

    Attributes
    ----------
    arrays
        For the kernels of this module; others after ``make_room``.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self.arrays = _arrays(FIRST_ROWS, FIRST_ROWS, width, 0, np.zeros(MARKS, np.int64))

    def __len__(self) -> int:
        """Entries, labelled or not."""
        return int(self.arrays.marks[END] - self.arrays.marks[FIRST])

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)

    def make_room(self, rows: int) -> None:
        """Make room for so many more; the arrays may be others afterwards."""
        old = self.arrays
        entries = len(self) + rows
        if entries > len(old.times):
            new = _arrays(1 << (entries - 1).bit_length(), 0, self._width, 0, old.marks)
            _move(old, new)
            self.arrays = old = new._replace(pool=old.pool, idle=old.idle, notes=old.notes)
        places = open_count(old.marks) + rows
        if places > len(old.idle):
            capacity = max(places, len(old.idle) * 3 // 2)
            self.arrays = old._replace(pool=grown(old.pool, capacity), idle=grown(old.idle, capacity))

    def sections(self, *, everything: bool) -> dict[str, NDArray[Any]]:
        """What has changed since the last call, or all."""
        arrays, marks = self.arrays, self.arrays.marks
        start = int(marks[FIRST]) if everything else max(int(marks[FIRST]), int(marks[TOLD]))
        at = np.arange(start, int(marks[END])) & (len(arrays.times) - 1)
        places = arrays.places[at]
        found = {
            "pending.keys": arrays.keys[at],
            "pending.times": arrays.times[at],
            "pending.open": places >= 0,
            "pending.features": arrays.pool[places[places >= 0]],
            "pending.labelled": arrays.notes[: 0 if everything else int(marks[NOTED])].copy(),
            "pending.marks": marks.copy(),
        }
        marks[TOLD], marks[NOTED] = marks[END], 0
        self.arrays = arrays._replace(notes=np.zeros(len(self), np.int64))
        return found

    def restore(self, frames: Sequence[Columns]) -> None:
        """Take what ``sections`` gave, oldest first: one that held everything, then those after it."""
        keys, times = np.zeros((0, 2), np.uint64), np.zeros(0, np.int64)
        is_open, features = np.zeros(0, np.bool_), np.zeros((0, self._width), np.float32)
        first, marks = 0, np.zeros(MARKS, np.int64)
        for frame in frames:
            marks = np.frombuffer(frame["pending.marks"], np.int64).copy()
            gone = min(int(marks[FIRST]) - first, len(times))
            stay = np.arange(len(times)) >= gone
            labelled = np.frombuffer(frame["pending.labelled"], np.int64) - first
            still_open = is_open & stay
            still_open[labelled[(labelled >= gone) & (labelled < len(times))]] = False
            new_open = np.frombuffer(frame["pending.open"], np.bool_)
            new_features = np.frombuffer(frame["pending.features"], np.float32).reshape(-1, self._width)
            features = np.concatenate([features[still_open[is_open]], new_features])
            keys = np.concatenate([keys[stay], np.frombuffer(frame["pending.keys"], np.uint64).reshape(-1, 2)])
            times = np.concatenate([times[stay], np.frombuffer(frame["pending.times"], np.int64)])
            is_open = np.concatenate([still_open[stay], new_open])
            first = int(marks[FIRST])
        self.arrays = _arrays(FIRST_ROWS, FIRST_ROWS, self._width, len(times), np.zeros(MARKS, np.int64))
        self.arrays.marks[[FIRST, END]] = first
        self.make_room(len(times))
        if not len(features):
            features = np.zeros((1, self._width), np.float32)  # for the compiler's sake
        _push_all(self.arrays, keys, times, is_open, features)
        counters = slice(UNKNOWN, MARKS)
        self.arrays.marks[counters], self.arrays.marks[TOLD] = marks[counters], marks[END]
        self.arrays = self.arrays._replace(notes=np.zeros(len(times), np.int64))


def _arrays(entries: int, places: int, width: int, notes: int, marks: Words) -> Pending:
    return Pending(
        keys=np.zeros((entries, 2), np.uint64),
        times=np.zeros(entries, np.int64),
        places=np.zeros(entries, np.int32),
        slots=np.full(2 * entries, -1, np.int32),
        pool=np.zeros((places, width), np.float32),
        idle=np.zeros(places, np.int32),
        notes=np.zeros(notes, np.int64),
        marks=marks,
    )
