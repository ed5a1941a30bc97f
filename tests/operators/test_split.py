"""Batches of events as arrays: split by shard, ordered, joined and pickled."""

import pickle
import random

import numpy as np
import pytest

from operators.batch import EventBatch
from operators.delivery import SHARDS
from operators.split import merge_order, shards_of, split
from state.texts import Texts
from state.words import encode, to_python


def make_batch(chance, count, spread_ms=5, customers=40):
    objects = []
    effective_ms = [10**12 + i // 3 + chance.randrange(spread_ms) for i in range(count)]
    words = [encode([chance.choice(["a", "b", 1, None, 0.3]) for _ in range(count)], objects) for _ in range(2)]
    return EventBatch(
        effective_ms=np.array(effective_ms, np.int64),
        ts_ms=np.array([ms - chance.choice([0, 0, 3]) for ms in effective_ms], np.int64),
        stream=np.array([chance.randrange(6) for _ in range(count)], np.uint8),
        masks=np.array([chance.getrandbits(64) for _ in range(count)], np.uint64).reshape(-1, 1),
        words=np.ascontiguousarray(np.array(words, np.int64).T.reshape(count, 2)),
        hashes=np.array([chance.getrandbits(64) for _ in range(count)], np.uint64).reshape(-1, 1),
        customer_hash=np.array([chance.getrandbits(64) for _ in range(count)], np.uint64),
        event_id=Texts.from_strings([chance.choice(["e1", "e", "e2", "é", "好"]) for _ in range(count)]),
        customer_id=Texts.from_strings([f"C{chance.randrange(customers)}" for _ in range(count)]),
        raw=Texts.from_lines([b"%d" % chance.randrange(3) for _ in range(count)]),
        objects=objects,
    )


def rows(batch):
    """Every event as a tuple that sorts in the processing order."""
    return [
        (
            int(batch.effective_ms[i]), int(batch.stream[i]), batch.event_id.bytes_at(i), batch.customer_id.bytes_at(i),
            batch.raw.bytes_at(i), int(batch.ts_ms[i]), tuple(batch.masks[i].tolist()),
            repr([to_python(word, batch.objects) for word in batch.words[i].tolist()]),
            tuple(batch.hashes[i].tolist()), int(batch.customer_hash[i]),
        )
        for i in range(len(batch))
    ]  # fmt: skip


def in_order(events):
    return sorted(events, key=lambda row: row[:5])


@pytest.mark.parametrize(("seed", "count"), [(0, 0), (1, 1), (2, 700), (3, 3000)])
@pytest.mark.parametrize(("spread_ms", "customers"), [(1, 40), (2000, 400), (3, 1)])
def test_slices_hold_each_customers_events_in_processing_order(seed, count, spread_ms, customers):
    batch = make_batch(random.Random(seed), count, spread_ms, customers)
    slices = split(batch)
    assert len(slices) == SHARDS
    found = []
    for shard, part in enumerate(slices):
        events = rows(part)
        assert events == in_order(events)
        assert set(shards_of(part.customer_id).tolist()) <= {shard}
        found += events
    assert sorted(found) == sorted(rows(batch))
    for customer in range(customers):
        name = b"C%d" % customer
        assert [row for row in found if row[3] == name] == in_order(row for row in rows(batch) if row[3] == name)


def test_shards_do_not_change_from_run_to_run():
    assert shards_of(Texts.from_strings(["C1", "C2", "客户"])).tolist() == [5, 3, 15]


def test_the_merge_order_is_the_processing_order():
    for seed in range(40):
        chance = random.Random(seed)
        batch = make_batch(chance, chance.randrange(60), spread_ms=chance.choice([1, 9, 100]))
        order = merge_order(batch.effective_ms, batch.stream, batch.event_id, batch.customer_id, batch.raw)
        assert rows(batch.take(order)) == in_order(rows(batch))


def test_a_pickled_slice_is_its_own_events_and_objects():
    batch = make_batch(random.Random(5), 400)
    batch.objects.append("x" * 100_000)
    part = split(batch)[7]
    dumped = pickle.dumps(part)
    assert rows(pickle.loads(dumped)) == rows(part)
    assert 0 < len(part) < 100
    assert len(dumped) < 5000
    for name in ("masks", "words", "hashes"):
        assert getattr(part, name).flags["C_CONTIGUOUS"]
        assert getattr(pickle.loads(dumped), name).flags["C_CONTIGUOUS"]


def test_concat_joins_events_and_the_objects_in_use():
    chance = random.Random(6)
    batches = [make_batch(chance, n) for n in (3, 0, 50)]
    batches[2].objects += ["never used"] * 9
    joined = EventBatch.concat([batches[0].slice(0, 0), *batches])
    assert rows(joined) == [row for batch in batches for row in rows(batch)]
    assert "never used" not in joined.objects
    assert rows(joined.slice(2, 9)) == rows(joined)[2:9]
