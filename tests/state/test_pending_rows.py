"""Kept features: against a dictionary, whatever is pushed, labelled and dropped, and across snapshots."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from state.pending_rows import (
    DOUBLE,
    REPEATED,
    TOLD,
    UNKNOWN,
    PendingRows,
    drop_first,
    give_back,
    label,
    leaves,
    push,
)

WIDTH = 3
Key = tuple[int, int]


def features_of(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([number, np.nan, -number], np.float32)


def key_of(key: Key) -> tuple[np.uint64, np.uint64]:
    return np.uint64(key[0]), np.uint64(key[1])


class Model:
    """What the rows should do, slowly: by key, time, number and whether labelled."""

    def __init__(self) -> None:
        self.entries: OrderedDict[Key, list[int]] = OrderedDict()
        self.counters = {UNKNOWN: 0, REPEATED: 0, DOUBLE: 0}

    def push(self, key: Key, ts_ms: int, number: int) -> None:
        if key in self.entries:
            self.counters[DOUBLE] += 1
        else:
            self.entries[key] = [ts_ms, number, 0]

    def label(self, key: Key) -> int | None:
        entry = self.entries.get(key)
        if entry is None or entry[2]:
            self.counters[UNKNOWN if entry is None else REPEATED] += 1
            return None
        entry[2] = 1
        return entry[1]

    def drop(self) -> int | None:
        _, (_, number, labelled) = self.entries.popitem(last=False)
        return None if labelled else number


def taken(rows: PendingRows, place: np.int64) -> int | None:
    if place < 0:
        return None
    found = rows.arrays.pool[place].copy()
    give_back(rows.arrays, place)
    assert np.array_equal(found, features_of(int(found[0])), equal_nan=True)
    return int(found[0])


def step(rows: PendingRows, model: Model, draws: np.random.Generator, now: int) -> None:
    kind = draws.random()
    # few different hashes, so that many entries share a slot
    key = (int(draws.integers(4)), int(draws.integers(150)))
    if kind < 0.5:
        rows.make_room(1)
        push(rows.arrays, *key_of(key), now, features_of(now), False)
        model.push(key, now, now)
    elif kind < 0.85:
        assert taken(rows, label(rows.arrays, *key_of(key))) == model.label(key)
    elif model.entries:
        assert taken(rows, drop_first(rows.arrays)) == model.drop()
    assert len(rows) == len(model.entries)


@pytest.mark.parametrize("seed", range(4))
def test_rows_do_what_a_dictionary_does_also_after_snapshots(seed: int) -> None:
    draws, model, rows = np.random.default_rng(seed), Model(), PendingRows(WIDTH)
    frames: list[dict[str, Any]] = []
    for now in range(1, 6_001):
        step(rows, model, draws, now)
        if now % 97 == 0:
            everything = not frames or draws.random() < 0.1
            found = {name: array.tobytes() for name, array in rows.sections(everything=everything).items()}
            frames = [found] if everything else [*frames, found]
        if now % 1_111 == 0 and frames:
            found = {name: array.tobytes() for name, array in rows.sections(everything=False).items()}
            rows = PendingRows(WIDTH)
            rows.restore([*frames, found])
            frames = []
    for key in list(model.entries):
        assert taken(rows, label(rows.arrays, *key_of(key))) == model.label(key)
    for mark, count in model.counters.items():
        assert rows.arrays.marks[mark] == count > 0


def test_rows_grow_with_what_is_there_and_keep_it() -> None:
    rows = PendingRows(WIDTH)
    for batch in range(10):
        rows.make_room(1_000)
        for i in range(1_000):
            number = batch * 1_000 + i
            push(rows.arrays, *key_of((number * 7, number)), number, features_of(number), False)
    assert [taken(rows, label(rows.arrays, *key_of((n * 7, n)))) for n in range(0, 10_000, 999)] == list(
        range(0, 10_000, 999)
    )


def test_a_snapshot_holds_only_what_changed() -> None:
    rows = PendingRows(WIDTH)
    rows.make_room(1_000)
    for n in range(1_000):
        push(rows.arrays, *key_of((n, n)), n, features_of(n), False)
    rows.sections(everything=True)
    rows.make_room(1)
    push(rows.arrays, *key_of((5_000, 1)), 5_000, features_of(5_000), False)
    taken(rows, label(rows.arrays, *key_of((17, 17))))
    found = rows.sections(everything=False)
    assert found["pending.keys"].tolist() == [[5_000, 1]]
    assert found["pending.labelled"].tolist() == [17]
    assert found["pending.features"].shape == (1, WIDTH)
    assert rows.arrays.marks[TOLD] == 1_001


def test_entries_leave_at_their_time_and_above_the_number() -> None:
    rows = PendingRows(WIDTH)
    for n in (10, 20):
        push(rows.arrays, *key_of((n, n)), n, features_of(n), False)
    assert not leaves(rows.arrays, 9, 2)
    assert leaves(rows.arrays, 10, 2)
    assert leaves(rows.arrays, 9, 1)
    drop_first(rows.arrays)
    drop_first(rows.arrays)
    assert not leaves(rows.arrays, 99, 0)
