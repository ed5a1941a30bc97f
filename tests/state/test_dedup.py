"""Duplicates against a plain search, over a table that grows and is made anew."""

import random

import numpy as np
import pytest

from state.dedup import Deduplicator


def new(deduplicator, events):
    """Which of some events (time, stream, customer's hash, id's hash) are new."""
    columns = list(zip(*events, strict=True)) or [()] * 4
    kinds = (np.int64, np.uint8, np.uint64, np.uint64)
    return deduplicator.new(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))).tolist()


@pytest.mark.parametrize("dedup_ms", [0, 1, 7, 1000])
@pytest.mark.parametrize("ids", [3, 400])
def test_duplicates_against_a_plain_search(dedup_ms, ids):
    rng = random.Random(dedup_ms)
    hashes = [rng.getrandbits(64) for _ in range(ids)]
    customers = [rng.getrandbits(64) for _ in range(2)]
    events = sorted(
        (rng.randrange(4000), rng.randrange(2), rng.choice(customers), rng.choice(hashes)) for _ in range(3000)
    )
    kept, want = {}, []
    for event in events:
        want.append(dedup_ms <= 0 or event[0] - kept.get(event[1:], -(10**9)) >= dedup_ms)
        if want[-1]:
            kept[event[1:]] = event[0]
    deduplicator, got = Deduplicator(dedup_ms), []
    while events:
        size = rng.randrange(1, 300)
        got += new(deduplicator, events[:size])
        del events[:size]
    assert got == want
    assert sum(got) > 20


def test_what_was_dropped_does_not_extend_the_horizon():
    deduplicator = Deduplicator(10)
    assert [new(deduplicator, [(t, 0, 5, 7)])[0] for t in (0, 6, 9, 10, 16, 20)] == [
        True, False, False, True, False, True,
    ]  # fmt: skip


def test_stream_customer_and_id_are_told_apart():
    deduplicator = Deduplicator(10)
    events = [(0, 0, 5, 7), (0, 1, 5, 7), (0, 0, 6, 7), (0, 0, 5, 8), (0, 0, 7, 5), (0, 0, 5, 7)]
    assert new(deduplicator, events) == [True] * 5 + [False]


def test_the_table_grows_with_the_horizon_and_not_with_time():
    deduplicator = Deduplicator(1_000)
    for start in range(0, 200_000, 500):
        assert all(new(deduplicator, [(t, 0, 1, t) for t in range(start, start + 500)]))
    assert len(deduplicator._table[2]) <= 16_384  # 1,500 are within the horizon at most
    assert not any(new(deduplicator, [(t + 1, 0, 1, t) for t in range(199_500, 200_000)]))
