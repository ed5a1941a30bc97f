"""Signatures: the combinations of matchers that events match, with what each sets off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        self._bits: list[list[int]] = []
        self._disarming: list[int] = []
        self._updates: list[int] = []
        self._anchors: list[int] = []
        self._update_starts, self._anchor_starts = [0], [0]
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
        for words in self._known[len(self.masks) : int(self._count[0])].tolist():
            mask = sum(word << 64 * place for place, word in enumerate(words))
            self.masks.append(mask)
            self._bits.append(self._record_bits(mask))
            self._disarming.append(self._disarms(mask))
            self._updates += self._updates_of(mask)
            self._anchors += self._anchors_of(mask)
            self._update_starts.append(len(self._updates))
            self._anchor_starts.append(len(self._anchors))
        self.dispatch = self._made()

    def _made(self) -> Dispatch:
        bits = np.array(self._bits or [[0]], np.int64)
        self._kept: tuple[NDArray[Any], ...] = (
            bits, np.asarray(bits.any(axis=1)), np.array(self._disarming or [0], np.int64),
            *(np.array(values or [0], np.int64)
              for values in (self._update_starts, self._updates, self._anchor_starts, self._anchors)),
        )  # fmt: skip
        first, *others = map(address, self._kept)
        return Dispatch(first, bits.shape[1], *others)


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
