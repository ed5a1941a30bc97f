"""The sizes of Python's objects."""

import sys

from state.contacts import ContactLedger
from state.footprint import deep_bytes, sampled_bytes


def test_each_object_counts_once_with_what_it_holds():
    text = "a text that is long enough"
    value = {"key": [text, text]}
    assert deep_bytes([value]) == sum(map(sys.getsizeof, (value, "key", value["key"], text)))
    assert deep_bytes([value], shared=[text]) == sum(map(sys.getsizeof, (value, "key", value["key"])))


def test_slots_are_followed():
    ledger = ContactLedger()
    empty = deep_bytes([ledger])
    ledger.record(("rule", None), "service", 1_700_000_000_000, 0)
    assert deep_bytes([ledger]) > empty > sys.getsizeof(ledger)


def test_a_sample_stands_for_all():
    values = [[number + 1000] for number in range(10_000)]
    assert sampled_bytes(values, len(values)) == deep_bytes(values)
    assert sampled_bytes([], 0) == 0
