"""Events of several senders come in processing order, each once, whatever the order of arrival."""

import random

import numpy as np
import pytest
from test_split import in_order, make_batch, rows

from operators import ordering
from operators.batch import EventBatch
from operators.delivery import Delivery
from operators.ordering import OrderedBuffer, Ordering
from state.objects import ObjectTable
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS
from state.words import to_python

KEY = (1, 2)
START_MS = 10**12


def sorted_batch(batch):
    events = rows(batch)
    return batch.take(np.array(sorted(range(len(batch)), key=lambda i: events[i][:5]), np.int64))


def unique(batch):
    """Without events that are the same in everything that orders them."""
    places = {row[:5]: i for i, row in enumerate(rows(batch))}
    return batch.take(np.array(list(places.values()), np.int64))


@pytest.mark.parametrize("max_runs", [0, 2, 64])
@pytest.mark.parametrize("ahead", [3, 20, 400])
def test_events_come_in_processing_order_whatever_the_order_of_arrival(monkeypatch, max_runs, ahead):
    monkeypatch.setattr(ordering, "MAX_RUNS", max_runs)
    rng = random.Random(ahead)
    batch = unique(make_batch(rng, 900, spread_ms=30))
    waiting, buffer, got = list(range(len(batch))), OrderedBuffer(), []
    low = START_MS
    while waiting:
        high = low + rng.randrange(1, 30)
        for _ in range(3):  # three senders: what is due must come, what lies ahead may
            due = [i for i in waiting if batch.effective_ms[i] < high or
                   (batch.effective_ms[i] < high + ahead and rng.random() < 0.5)]  # fmt: skip
            sent = [i for i in due if rng.random() < 0.5 or _ == 2]
            waiting = [i for i in waiting if i not in set(sent)]
            if sent:
                buffer.add(sorted_batch(batch.take(np.array(sent, np.int64))))
        taken = buffer.take(high)
        if taken is not None:
            assert max(taken.effective_ms) < high
            got += rows(taken)
        low = high
    left = buffer.take(AFTER_ALL_MS)
    got += [] if left is None else rows(left)
    assert got == in_order(rows(batch))


def test_an_event_at_the_frontier_waits():
    batch = make_batch(random.Random(1), 1, spread_ms=1)
    buffer = OrderedBuffer()
    buffer.add(batch)
    assert buffer.take(START_MS) is None
    assert rows(buffer.take(START_MS + 1)) == rows(batch)
    assert buffer.take(AFTER_ALL_MS) is None


def test_a_few_that_wait_do_not_keep_the_memory_of_all():
    batch = sorted_batch(make_batch(random.Random(2), 500, spread_ms=100))
    buffer = OrderedBuffer()
    buffer.add(batch)
    first = buffer.take(int(batch.effective_ms[10]))
    assert buffer.runs[0].raw.owners[0] is batch.raw.owners[0], "copying many would cost more than it saves"
    second = buffer.take(int(batch.effective_ms[480]))
    (left,) = buffer.runs
    assert 0 < len(left) <= 20
    for name in ("raw", "event_id", "customer_id"):
        assert len(getattr(left, name).buffer) == getattr(left, name).lengths.sum()
        assert getattr(left, name).lengths.base is None
    assert left.masks.base is None
    assert rows(first) + rows(second) + rows(buffer.take(AFTER_ALL_MS)) == rows(batch)


def test_two_events_that_are_the_same_can_be_ordered():
    batch = make_batch(random.Random(1), 1, spread_ms=1)
    buffer = OrderedBuffer()
    buffer.add(batch)
    buffer.add(batch)
    assert len(buffer.take(AFTER_ALL_MS)) == 2


def test_objects_get_the_numbers_of_the_process():
    table = ObjectTable()
    buffer, wanted = OrderedBuffer(table), []
    for seed in range(3):
        batch = sorted_batch(make_batch(random.Random(seed), 30))
        wanted += [[to_python(int(word), batch.objects) for word in words] for words in batch.words]
        buffer.add(batch)
    taken = buffer.take(AFTER_ALL_MS)
    found = [[to_python(int(word), table.values) for word in words] for words in taken.words]
    assert sorted(map(repr, found)) == sorted(map(repr, wanted))
    assert len(table.values) == len({repr(value) for value in table.values})


def test_the_steps_of_one_ordering():
    """Nothing happens until all senders have come further; a repeated event is dropped and counted."""
    ordered = Ordering(2, 1_000, KEY)
    batch = sorted_batch(make_batch(random.Random(3), 40, spread_ms=1, customers=1000))
    known = {(row[1], row[2], row[9]) for row in rows(batch)}
    assert ordered.frontier.ms == BEFORE_ALL_MS
    assert ordered.step([Delivery(0, START_MS + 5, START_MS + 13, batch)]) is None
    assert ordered.step([Delivery(0, START_MS + 6, START_MS + 14, None)]) is None
    events, duplicates = ordered.step([Delivery(1, START_MS + 6, START_MS + 14, batch)])
    below = [row for row in rows(batch) if row[0] < START_MS + 6]
    assert (rows(events), duplicates) == (below, len(below))
    assert ordered.end_ms == START_MS + 14
    assert ordered.step([Delivery(1, AFTER_ALL_MS, 0, None), Delivery(0, START_MS + 6, 0, None)]) is None
    events, duplicates = ordered.step([Delivery(0, AFTER_ALL_MS, 0, None)])
    assert len(events) + duplicates == 2 * (len(batch) - len(below))
    assert len(known) == len(batch) == len(below) + len(events)


def test_a_step_of_duplicates_only_has_no_events():
    ordered = Ordering(1, 1_000, KEY)
    batch = make_batch(random.Random(1), 1, spread_ms=1)
    assert len(ordered.step([Delivery(0, START_MS + 2, 0, batch)])[0]) == 1
    again = EventBatch.concat([batch])
    again.effective_ms = again.effective_ms + 5
    assert ordered.step([Delivery(0, START_MS + 9, 0, again)]) == (None, 1)
