"""Puts events into processing order, and splits a batch by shard in the same pass."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from operators.batch import EventBatch
from operators.delivery import SHARDS
from state.compiled import compiled
from state.hashing import compare, sip_hashes
from state.texts import Texts

_Order = npt.NDArray[np.int64]
_Ties = npt.NDArray[np.int64]
"""(n, 6): address and length of the texts that decide between events of one time and stream."""

_SHARD_KEY = (0, 0)
"""Not the secret key: a customer's shard is the same in every run."""

_STREAM_BITS = 3
_RUN = 12
"""Runs of so many events are sorted by insertion before they are merged."""


def split(batch: EventBatch) -> list[EventBatch]:
    """The batch's events by shard (``SHARDS`` slices), each in processing order."""
    shards = shards_of(batch.customer_id)
    order, bounds = np.empty(len(batch), np.int64), np.zeros(SHARDS + 1, np.int64)
    _order_by_shard(
        shards,
        _times(batch.effective_ms, batch.stream),
        _ties(batch.event_id, batch.customer_id, batch.raw),
        order,
        bounds,
    )
    ordered = batch.take(order)
    none = ordered.slice(0, 0)  # small batches have none for most shards
    return [ordered.slice(start, end) if start < end else none for start, end in pairwise(bounds.tolist())]


def shards_of(customer_id: Texts) -> npt.NDArray[np.uint8]:
    """The customers' shards."""
    return (sip_hashes(customer_id, _SHARD_KEY) % np.uint64(SHARDS)).astype(np.uint8)


def merge_order(
    effective_ms: npt.NDArray[np.int64], stream: npt.NDArray[np.uint8], event_id: Texts, customer_id: Texts, raw: Texts
) -> _Order:
    """The permutation that puts events into processing order; quick where they are sorted, or nearly.

    The order is that of the effective times, streams, event ids, customers and raw messages; equal events stay as
    they are.
    """
    order = np.arange(len(effective_ms), dtype=np.int64)
    ties = _ties(event_id, customer_id, raw)
    _sort(order, np.empty_like(order), 0, len(order), _times(effective_ms, stream), ties)
    return order


def _ties(*columns: Texts) -> _Ties:
    ties = np.empty((len(columns[0]), 2 * len(columns)), np.int64)
    for number, column in enumerate(columns):
        np.add(column.starts, column.address, out=ties[:, 2 * number])
        ties[:, 2 * number + 1] = column.lengths
    return ties


def _times(effective_ms: npt.NDArray[np.int64], stream: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Times and streams in one number that sorts like both."""
    return (effective_ms << _STREAM_BITS) | stream


@compiled
def _order_by_shard(
    shards: npt.NDArray[np.uint8], times: npt.NDArray[np.int64], ties: _Ties, order: _Order, bounds: _Order
) -> None:
    for i in range(len(shards)):
        bounds[np.int64(shards[i]) + 1] += 1
    for shard in range(1, len(bounds)):
        bounds[shard] += bounds[shard - 1]
    ends = bounds.copy()
    for i in range(len(shards)):
        order[ends[shards[i]]] = i
        ends[shards[i]] += 1
    scratch = np.empty_like(order)
    for shard in range(len(bounds) - 1):
        _sort(order, scratch, bounds[shard], bounds[shard + 1], times, ties)


@compiled
def _sort(order: _Order, scratch: _Order, start: int, end: int, times: npt.NDArray[np.int64], ties: _Ties) -> None:
    """Sort ``order[start:end]``, stably: insertion sort of short runs, then merges where runs are not in order."""
    for low in range(start, end, _RUN):
        for i in range(low + 1, min(low + _RUN, end)):
            one = order[i]
            k = i
            while k > low and _precedes(one, order[k - 1], times, ties):
                order[k] = order[k - 1]
                k -= 1
            order[k] = one
    width = _RUN
    while width < end - start:
        for low in range(start, end - width, 2 * width):
            _merge(order, scratch, low, low + width, min(low + 2 * width, end), times, ties)
        width *= 2


@compiled
def _merge(
    order: _Order, scratch: _Order, low: int, middle: int, high: int, times: npt.NDArray[np.int64], ties: _Ties
) -> None:
    """Merge ``order[low:middle]`` and ``order[middle:high]``."""
    if not _precedes(order[middle], order[middle - 1], times, ties):
        return
    for i in range(low, middle):
        scratch[i] = order[i]
    left, right, to = low, middle, low
    while left < middle and right < high:
        if _precedes(order[right], scratch[left], times, ties):
            order[to] = order[right]
            right += 1
        else:
            order[to] = scratch[left]
            left += 1
        to += 1
    while left < middle:
        order[to] = scratch[left]
        left += 1
        to += 1


@compiled
def _precedes(i: int, j: int, times: npt.NDArray[np.int64], ties: _Ties) -> bool:
    """Whether event ``i`` comes before event ``j``."""
    if times[i] != times[j]:
        return bool(times[i] < times[j])
    for k in range(0, ties.shape[1], 2):
        order = compare(ties[i, k], ties[i, k + 1], ties[j, k], ties[j, k + 1])
        if order != 0:
            return order < 0
    return False
