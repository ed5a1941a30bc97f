"""What travels between processes arrives as it was."""

import pickle
import random
from collections import Counter

import numpy as np
import pytest
from test_split import make_batch, rows

from operators.delivery import SHARDS, Delivery, EntityAnswer, EntityDelivery, EntityRows, EntityValues
from operators.split import shards_of
from state.sequencer import AFTER_ALL_MS
from state.texts import Texts


@pytest.mark.parametrize("count", [1, 2, 300])
def test_a_delivery_is_the_same_after_pickling(count):
    sent = Delivery(3, AFTER_ALL_MS, 17, make_batch(random.Random(count), count), 99)
    got = pickle.loads(pickle.dumps(sent, protocol=pickle.HIGHEST_PROTOCOL))
    assert (got.source, got.watermark_ms, got.end_ms, got.first_sequence) == (3, AFTER_ALL_MS, 17, 99)
    assert rows(got.events) == rows(sent.events)


def test_a_slice_travels_alone():
    batch = make_batch(random.Random(1), 300)
    part = pickle.dumps(Delivery(0, 0, 0, batch.slice(100, 130)))
    assert rows(pickle.loads(part).events) == rows(batch)[100:130]
    assert len(part) < len(pickle.dumps(Delivery(0, 0, 0, batch))) / 4


def test_rows_and_answers_are_the_same_after_pickling():
    numbers = np.arange(3)
    batch = make_batch(random.Random(3), 3)
    sent = EntityDelivery(
        1, 2, 3, {"device_id": EntityRows(batch, numbers.astype(np.uint64), numbers + 7, np.full(3, 5))}
    )
    got = pickle.loads(pickle.dumps(sent)).rows["device_id"]
    assert rows(got.events) == rows(batch)
    assert (got.keys.tolist(), got.shards.tolist(), got.sequences.tolist()) == ([0, 1, 2], [5, 5, 5], [7, 8, 9])
    table = numbers.reshape(3, 1)
    answer = EntityAnswer(1, 2, 3, [EntityValues("device_id", numbers, table, table * 2, table * 0.5)])
    (values,) = pickle.loads(pickle.dumps(answer)).values
    assert (values.name, values.sequences.tolist()) == ("device_id", [0, 1, 2])
    assert np.hstack([values.kinds, values.integers, values.doubles]).tolist() == [[0, 0, 0], [1, 2, 0.5], [2, 4, 1]]


def test_customers_are_spread_over_all_shards():
    sizes = Counter(shards_of(Texts.from_strings([f"C{n}" for n in range(20_000)])).tolist())
    assert set(sizes) == set(range(SHARDS))
    assert max(sizes.values()) < 2 * min(sizes.values())
