"""Signatures: the combinations of matchers that events match, with what each sets off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.cells import address
from state.compiled import compiled
from state.log import Words
from state.walk import Dispatch

_MOST_SIGNATURES = 65_536
"""Signatures are forgotten when there are so many: rules with many independent thresholds could make any number."""


class SignatureTable:
    """Numbers signatures as they come, and keeps the dispatch table up to date; shared by the shards of a process.

    Parameters
    ----------
    mask_words
        Words of an event's mask.
    record_bits, updates_of, anchors_of, disarms
        What an event of some mask sets off: the words of bits of its record, updates and rules by number in order, and
        the bits of the rules that it disarms.
    """

    def __init__(
        self, mask_words: int, record_bits: Callable[[int], list[int]], updates_of: Callable[[int], Sequence[int]],
        anchors_of: Callable[[int], Sequence[int]], disarms: Callable[[int], int],
    ) -> None:  # fmt: skip
        self._mask_words = mask_words
        self._record_bits, self._updates_of = record_bits, updates_of
        self._anchors_of, self._disarms = anchors_of, disarms
        self._clear()

    def _clear(self) -> None:
        self._slots = np.full(1024, -1, np.int32)
        self._known = np.zeros((512, self._mask_words), np.uint64)
        self._count = np.zeros(1, np.int64)
        self._bits = np.zeros((0, len(self._record_bits(0))), np.int64)
        self._disarming, self._updates, self._anchors = (np.zeros(0, np.int64) for _ in range(3))
        self._update_starts, self._anchor_starts = (np.zeros(1, np.int64) for _ in range(2))
        self.masks: list[int] = []
        self.dispatch = self._made()

    def signatures(self, masks: NDArray[np.uint64]) -> Words:
        """The signatures of some events. Numbers of earlier calls are forgotten now and then."""
        if int(self._count[0]) > _MOST_SIGNATURES:
            self._clear()
        found = np.empty(len(masks), np.int64)
        start = 0
        while (start := _intern(masks, self._slots, self._known, self._count, found, start)) < len(masks):
            self._known = np.concatenate([self._known, np.zeros_like(self._known)])
            self._slots = np.full(2 * len(self._slots), -1, np.int32)
            _refill(self._slots, self._known, int(self._count[0]))
        if int(self._count[0]) > len(self.masks):
            self._extend()
        return found

    def _extend(self) -> None:
        known = len(self.masks)
        for words in self._known[known : int(self._count[0])].tolist():
            self.masks.append(sum(word << 64 * place for place, word in enumerate(words)))
        new = self.masks[known:]
        # what is there is copied as it is: with many rules there may be thousands, and some new ones in every batch
        self._bits = np.concatenate([self._bits, np.array([self._record_bits(mask) for mask in new], np.int64)])
        self._disarming = np.concatenate([self._disarming, np.array([self._disarms(mask) for mask in new], np.int64)])
        self._updates, self._update_starts = _appended(
            self._updates, self._update_starts, [self._updates_of(mask) for mask in new]
        )
        self._anchors, self._anchor_starts = _appended(
            self._anchors, self._anchor_starts, [self._anchors_of(mask) for mask in new]
        )
        self.dispatch = self._made()

    def _made(self) -> Dispatch:
        self._kept: tuple[NDArray[Any], ...] = (
            self._bits, np.asarray(self._bits.any(axis=1)), self._disarming, self._update_starts, self._updates,
            self._anchor_starts, self._anchors,
        )  # fmt: skip
        first, *others = map(address, self._kept)
        return Dispatch(first, self._bits.shape[1], *others)


def _appended(numbers: Words, starts: Words, more: Sequence[Sequence[int]]) -> tuple[Words, Words]:
    """Lists one after the other, with where each starts and the last ends, and some more of them."""
    ends = len(numbers) + np.cumsum([len(one) for one in more])
    return (
        np.concatenate([numbers, np.fromiter(chain.from_iterable(more), np.int64)]),
        np.concatenate([starts, ends]),
    )


@compiled
def _mixed(masks: NDArray[np.uint64], i: int) -> np.uint64:
    value = np.uint64(0)
    for word in range(masks.shape[1]):
        value = (value ^ masks[i, word]) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return value


@compiled
def _intern(masks: NDArray[np.uint64], slots: NDArray[np.int32], known: NDArray[np.uint64], count: Words, found: Words,
            start: int) -> int:  # fmt: skip
    """Number the masks from ``start`` on; stops where the table is full and returns how far it came."""
    last = np.uint64(len(slots) - 1)
    for i in range(start, len(masks)):
        at = _mixed(masks, i) & last
        while True:
            signature = np.int64(slots[at])
            if signature < 0:
                signature = count[0]
                if signature == len(known):
                    return i
                for word in range(masks.shape[1]):
                    known[signature, word] = masks[i, word]
                slots[at] = signature
                count[0] = signature + 1
                break
            same = True
            for word in range(masks.shape[1]):
                if known[signature, word] != masks[i, word]:
                    same = False
                    break
            if same:
                break
            at = (at + np.uint64(1)) & last
        found[i] = signature
    return len(masks)


@compiled
def _refill(slots: NDArray[np.int32], known: NDArray[np.uint64], count: int) -> None:
    last = np.uint64(len(slots) - 1)
    for signature in range(count):
        at = _mixed(known, signature) & last
        while slots[at] >= 0:
            at = (at + np.uint64(1)) & last
        slots[at] = signature
