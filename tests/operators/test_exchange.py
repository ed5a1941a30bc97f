"""What processes of one machine lay into shared memory for one another is fetched as it was, and once."""

import gc
import os
import pickle
import random

import numpy as np
import pytest
from test_ordering import sorted_batch
from test_split import make_batch, rows

from operators import exchange
from operators.exchange import Exchange, ExchangeError, join_exchange
from operators.ordering import OrderedBuffer
from state.sequencer import AFTER_ALL_MS

PART_BYTES = 1 << 16


@pytest.fixture
def both(monkeypatch):
    """Two processes' views of one memory."""
    monkeypatch.setattr(exchange, "PART_BYTES", PART_BYTES)
    descriptor = exchange.shared_file(2)
    if descriptor is None:
        pytest.skip("this system has no memory that processes can share by a descriptor")
    yield Exchange(descriptor, 0, PART_BYTES), Exchange(descriptor, 1, PART_BYTES)
    os.close(descriptor)
    join_exchange(None)


def put(sender, content):
    """Lay some bytes; null if there is no room."""
    laid = sender.lay(len(content))
    if laid is None:
        return None
    parcel, memory = laid
    memory[:] = np.frombuffer(content, np.uint8)
    return parcel


def test_a_batch_travels_by_its_place(both):
    sender, receiver = both
    batch = make_batch(random.Random(5), 40)
    join_exchange(sender)
    sent, again = pickle.dumps(batch.slice(10, 30)), pickle.dumps(batch.slice(10, 30))
    assert max(len(sent), len(again)) < 500
    join_exchange(receiver)
    for pickled in (again, sent):
        assert rows(pickle.loads(pickled)) == rows(batch)[10:30]


def test_the_runtime_may_pickle_what_it_sends_twice(both):
    join_exchange(both[0])
    batch = make_batch(random.Random(6), 20)
    assert pickle.dumps(batch) == pickle.dumps(batch)
    join_exchange(both[1])
    got = pickle.loads(pickle.dumps(batch))
    with pytest.raises(ExchangeError, match="fetched before"):
        pickle.loads(pickle.dumps(batch))
    got.words[:] = 7  # writable, and nobody else's
    assert rows(got) != rows(batch)


def test_what_finds_no_room_travels_itself(both):
    join_exchange(both[0])
    batch = make_batch(random.Random(7), 20_000)
    pickled = pickle.dumps(batch)
    assert len(pickled) > PART_BYTES
    assert rows(pickle.loads(pickled)) == rows(batch)


def test_room_is_used_again_once_nobody_looks_at_it(both):
    sender, receiver = both
    half = bytes(PART_BYTES // 2 - 64)
    parcels = [put(sender, half), put(sender, half)]
    assert None not in parcels
    assert put(sender, b"") is None
    content = receiver.fetch(parcels[0])
    looked_at = np.frombuffer(content, np.uint8)[5:9]
    del content
    gc.collect()
    assert put(sender, b"") is None, "somebody still looks at it"
    del looked_at
    gc.collect()
    assert put(sender, half) is not None
    assert put(sender, b"") is None


def test_a_few_events_that_wait_do_not_keep_the_room(both):
    batch = sorted_batch(make_batch(random.Random(8), 300, spread_ms=100))
    join_exchange(both[0])
    sent = pickle.dumps(batch)
    join_exchange(both[1])
    buffer = OrderedBuffer()
    buffer.add(pickle.loads(sent))
    taken = buffer.take(int(batch.effective_ms[290]))
    rest = bytes(PART_BYTES - 64)
    assert put(both[0], rest) is None
    first = rows(taken)
    del taken
    gc.collect()
    assert put(both[0], rest) is not None
    assert first + rows(buffer.take(AFTER_ALL_MS)) == rows(batch)


def test_a_sender_stays_at_the_front(both):
    sender, receiver = both
    alive = []
    for _ in range(200):
        parcel = put(sender, bytes(1_000))
        assert parcel.at < 16_000
        alive.append(receiver.fetch(parcel))
        del alive[:-3]


@pytest.mark.parametrize("seed", range(5))
def test_parcels_do_not_touch_one_another(both, seed):
    """Fetched in any order, with some looked at for long."""
    draw = random.Random(seed)
    waiting, looked_at, refused, laid = [], [], 0, 0
    for _ in range(3_000):
        sender, receiver = draw.sample(both, 2)
        content = draw.randbytes(draw.choice([0, 1, 63, 64, 65, draw.randrange(16_000)]))
        parcel = put(sender, content)
        refused, laid = refused + (parcel is None), laid + (parcel is not None)
        if parcel is not None:
            waiting.append((receiver, parcel, content))
        while waiting and (len(waiting) > 40 or draw.random() < 0.45):
            receiver, parcel, content = waiting.pop(min(draw.randrange(3), len(waiting) - 1))
            got = receiver.fetch(parcel)
            assert bytes(got) == content
            looked_at.append((got, content))
        while looked_at and (len(looked_at) > 6 or draw.random() < 0.4):
            got, content = looked_at.pop(draw.randrange(len(looked_at)))
            assert bytes(got) == content
            del got
    assert refused > 20
    assert laid > 1_000


def test_files_may_be_limited(monkeypatch):
    def refuse(*_):
        raise OSError(27, "File too large")

    monkeypatch.setattr(os, "ftruncate", refuse)
    assert exchange.shared_file(2) is None


def test_without_shared_memory_there_is_none(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert exchange.shared_file(2) is None
