"""Signatures: equal masks have one number, and what each sets off is in the table."""

import random

import numpy as np
import pytest

from state import dispatch
from state.dispatch import SignatureTable


def make(mask_words):
    return SignatureTable(
        mask_words, lambda mask: [mask & 7], lambda mask: [i for i in range(4) if mask >> i & 1],
        lambda mask: [5] if mask & 2 else [], lambda mask: mask & 12,
    )  # fmt: skip


def columns(masks, words):
    return np.array([[mask >> 64 * word & (1 << 64) - 1 for word in range(words)] for mask in masks], np.uint64)


def check(table, masks, found):
    """What the table says of signatures; ``_kept`` are the arrays that the kernels see."""
    bits, logged, disarms, update_starts, updates, anchor_starts, anchors = table._kept
    for mask, signature in zip(masks, found.tolist(), strict=True):
        assert table.masks[signature] == mask
        assert bits[signature].tolist() == [mask & 7]
        assert bool(logged[signature]) == bool(mask & 7)
        assert int(disarms[signature]) == mask & 12
        assert updates[update_starts[signature] : update_starts[signature + 1]].tolist() == [
            i for i in range(4) if mask >> i & 1
        ]
        assert anchors[anchor_starts[signature] : anchor_starts[signature + 1]].tolist() == ([5] if mask & 2 else [])


@pytest.mark.parametrize("words", [1, 2, 3])
def test_equal_masks_share_a_signature(words):
    rng = random.Random(words)
    table = make(words)
    for size in (0, 1, 50, 2_000):  # more than the table holds at first
        masks = [rng.choice([rng.getrandbits(64 * words), rng.randrange(8)]) for _ in range(size)]
        found = table.signatures(columns(masks, words).reshape(size, words))
        check(table, masks, found)
    assert len(set(table.masks)) == len(table.masks)


def test_signatures_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(dispatch, "_MOST_SIGNATURES", 100)
    table = make(1)
    for start in range(0, 2_000, 50):
        masks = list(range(start, start + 50))
        check(table, masks, table.signatures(columns(masks, 1)))
        assert len(table.masks) <= 200
