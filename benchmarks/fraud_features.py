"""The features of the fraud model for the handbook's transactions, without the engine, and the scores that follow.

The same features as in the rules' language: amounts beside the customer's own, and the terminal's labels, which come
seven days after their transactions.
"""

from __future__ import annotations

from collections import deque
from time import process_time

import numpy as np
from numpy.typing import NDArray

from benchmarks.fraud_protocol import DAY_MS, DELAY_DAYS, Doubles, Numbers, Transactions
from state.model_rows import ModelRows
from state.online_classifier import ClassifierSettings, OnlineClassifier

FEATURES = (
    "txn.amount",
    'mean(txn.amount, prior="90d")',
    'txn.amount / mean(txn.amount, prior="90d")',
    '(txn.amount - mean(txn.amount, prior="90d")) / std(txn.amount, prior="90d")',
    'max(txn.amount, prior="7d") / mean(txn.amount, prior="90d")',
    'count(label[label], last="7d", per="terminal_id")',
    'count(label[not label], last="30d", per="terminal_id")',
    'ts - max(label[not label].ts, last="30d", per="terminal_id")',
    'ts - min(label[label].ts, last="30d", per="terminal_id")',
)
"""What the columns of ``features`` are."""

_SPAN = 1 << 42
_BATCH = 10_000


class _Windows:
    """Events by group and time: where a window of a group begins and ends among them."""

    def __init__(self, groups: Numbers, ts_ms: Numbers, *columns: Doubles) -> None:
        places = groups * _SPAN + ts_ms
        order = np.argsort(places, kind="stable")
        self.ts_ms = ts_ms[order]
        self._places = places[order]
        self._sums = [np.append(0.0, np.cumsum(column[order])) for column in columns]

    def ends(self, groups: Numbers, ts_ms: Numbers, days: int) -> tuple[Numbers, Numbers]:
        places = groups * _SPAN + ts_ms
        first = np.searchsorted(self._places, places - days * DAY_MS, side="right")
        return np.maximum(first, np.searchsorted(self._places, groups * _SPAN)), np.searchsorted(
            self._places, places, side="right"
        )

    def sums(self, first: Numbers, end: Numbers) -> list[Doubles]:
        return [sums[end] - sums[first] for sums in self._sums]


def _max_before(groups: Numbers, ts_ms: Numbers, values: Doubles, days: int) -> Doubles:
    """The highest value of the group's earlier events within so many days."""
    found = np.full(len(values), np.nan)
    heads: dict[int, deque[tuple[int, float]]] = {}
    for at, (group, now, value) in enumerate(zip(groups.tolist(), ts_ms.tolist(), values.tolist(), strict=True)):
        head = heads.setdefault(group, deque())
        while head and head[0][0] <= now - days * DAY_MS:
            head.popleft()
        if head:
            found[at] = head[0][1]
        while head and head[-1][1] <= value:
            head.pop()
        head.append((now, value))
    return found


def features(transactions: Transactions) -> Doubles:
    """``FEATURES`` of every transaction, float64[n, 9]; NaN for null."""
    ts_ms, amounts = transactions.ts_ms, transactions.amounts
    customers, terminals = transactions.customers, transactions.terminals
    own = _Windows(customers, ts_ms, amounts, amounts * amounts)
    first, end = own.ends(customers, ts_ms, 90)
    total, squares = own.sums(first, end)
    before = end - first - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = np.where(before > 0, (total - amounts) / before, np.nan)
        variance = (squares - amounts * amounts) / before - usual * usual
        deviation = np.sqrt(np.where(variance > 1e-9 * usual * usual, variance, 0.0))
        columns = [
            amounts, usual, amounts / usual, (amounts - usual) / deviation,
            _max_before(customers, ts_ms, amounts, 7) / usual,
        ]  # fmt: skip
    told_ms = ts_ms + DELAY_DAYS * DAY_MS
    fraud, genuine = (
        _Windows(terminals[these], told_ms[these]) for these in (transactions.is_fraud, ~transactions.is_fraud)
    )
    first, end = fraud.ends(terminals, ts_ms, 7)
    columns.append((end - first).astype(float))
    first, end = genuine.ends(terminals, ts_ms, 30)
    columns.append((end - first).astype(float))
    columns.append(np.where(end > first, ts_ms - genuine.ts_ms[end - 1], np.nan))
    first, end = fraud.ends(terminals, ts_ms, 30)
    columns.append(np.where(end > first, ts_ms - fraud.ts_ms[np.minimum(first, len(fraud.ts_ms) - 1)], np.nan))
    found = np.stack(columns, axis=1)
    found[~np.isfinite(found)] = np.nan
    return found


def model_rows(transactions: Transactions, given: Doubles) -> tuple[ModelRows, Numbers]:
    """The transactions and the labels up to the last of them, in processing order; each row's transaction."""
    count = len(given)
    ts_ms = np.concatenate([transactions.ts_ms, transactions.ts_ms + DELAY_DAYS * DAY_MS])
    is_label, number = np.repeat([False, True], count), np.tile(np.arange(count), 2)
    order = np.lexsort((number, ~is_label, ts_ms))
    order = order[ts_ms[order] <= transactions.ts_ms[-1]]
    is_label, number = is_label[order], number[order]
    ids = transactions.ids[number].astype(np.uint64)
    keys = np.stack([ids * np.uint64(0x9E3779B97F4A7C15), ids], axis=1)
    shown = np.where(is_label[:, None], np.nan, given[number])
    return ModelRows(ts_ms[order], is_label, keys, transactions.is_fraud[number] & is_label, shown), number


def _part(rows: ModelRows, of: slice) -> ModelRows:
    return ModelRows(rows.ts_ms[of], rows.is_label[of], rows.keys[of], rows.labels[of], rows.features[of])


def direct_scores(
    transactions: Transactions, settings: ClassifierSettings | None = None
) -> tuple[Doubles, NDArray[np.bool_], float]:
    """The model's raw scores, float64[n], −inf where there is none; where there is one; microseconds of processor
    time a transaction."""
    rows, number = model_rows(transactions, features(transactions))
    learner = OnlineClassifier(len(FEATURES), settings)
    OnlineClassifier(len(FEATURES), settings).take(_part(rows, slice(0, 2)))  # compiles
    raw = np.full(len(number), np.nan)
    start = process_time()
    for at in range(0, len(number), _BATCH):
        part = slice(at, at + _BATCH)
        raw[part] = learner.take(_part(rows, part)).raw
    micros = (process_time() - start) / len(transactions.ids) * 1e6
    scores = np.full(len(transactions.ids), np.nan)
    scores[number[~rows.is_label]] = raw[~rows.is_label]
    known = ~np.isnan(scores)
    return np.where(known, scores, -np.inf), known, micros
