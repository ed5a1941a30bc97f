"""What travels between processes arrives as it was."""

import pickle
import random
from collections import Counter

import pytest

from operators.delivery import SHARDS, Delivery, EntityAnswer, EntityDelivery, EntityRow, shard_of
from state.event import Event
from state.sequencer import AFTER_ALL_MS

VALUES = (1, 1.0, True, None, "字", ["a", [1]], {"k": [None]}, 10**30, -0.0)


def events(count):
    rng = random.Random(count)
    return [
        Event(n, rng.randrange(6), f"e{n}", f"客{n}", b"\xe5\xae\xa2", n - 5, n % 2 == 0, 1 << 70 | n, VALUES[: n % 10])
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_a_delivery_is_the_same_after_pickling(count):
    sent = Delivery(3, AFTER_ALL_MS, 17, events(count), 99)
    got = pickle.loads(pickle.dumps(sent, protocol=pickle.HIGHEST_PROTOCOL))
    assert got == sent
    assert (type(got), type(got.events)) == (Delivery, list)
    for one, other in zip(got.events, sent.events, strict=True):
        assert type(one) is Event
        assert repr(one) == repr(other)  # 1, 1.0 and True stay what they are


def test_columns_are_smaller_than_rows():
    sent = Delivery(0, 0, 0, events(300))
    assert len(pickle.dumps(sent)) < len(pickle.dumps([(event,) for event in sent.events]))


def test_rows_and_answers_are_the_same_after_pickling():
    row = EntityRow(events(3)[2], 7, (("mix", ("boolean", True)), ("device_id", "d")))
    for sent in (EntityDelivery(1, 2, 3, [row]), EntityAnswer(1, 2, 3, [(7, {("mix", 0): None, ("mix", 1): 2})])):
        assert pickle.loads(pickle.dumps(sent)) == sent


def test_customers_are_spread_over_all_shards():
    sizes = Counter(shard_of(f"C{n}") for n in range(20_000))
    assert set(sizes) == set(range(SHARDS))
    assert max(sizes.values()) < 2 * min(sizes.values())
    assert shard_of("客户😀") == shard_of("客户😀")
