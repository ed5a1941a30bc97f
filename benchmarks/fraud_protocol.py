"""The protocol of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot and Bontempi 2022) for card fraud.

Its functions `get_train_test_set` and `card_precision_top_k`: a test week is preceded by a week of delay and a week of
training; customers known to be compromised are no longer tested.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000
WEEK_DAYS = 7
DELAY_DAYS = 7
TOP_CARDS = 100

Numbers = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Transactions:
    """Columns of the handbook's transactions, in time order.

    ``ids``, ``customers``, ``terminals``: int64. ``ts_ms``: int64, local time read as UTC. ``days``: int64, since the
    first. ``amounts``: float64. ``is_fraud``: bool.
    """

    ids: Numbers
    ts_ms: Numbers
    days: Numbers
    customers: Numbers
    terminals: Numbers
    amounts: Doubles
    is_fraud: NDArray[np.bool_]


class Measured(NamedTuple):
    """The three figures of one week: area under the ROC curve, average precision, card precision at 100."""

    auc_roc: float
    average_precision: float
    card_precision: float


def read_transactions(path: Path) -> Transactions:
    """Read the handbook's table (`.csv` or `.csv.gz`, with its column names)."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        table = csv.reader(lines)
        at = {name: place for place, name in enumerate(next(table))}
        columns = list(zip(*table, strict=True))
    whole = {
        name: np.array(columns[at[name]], np.int64)
        for name in ("TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID", "TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD")
    }
    first = datetime.fromisoformat(columns[at["TX_DATETIME"]][0]).replace(tzinfo=UTC)
    start_ms = round(first.timestamp() * 1000) - int(whole["TX_TIME_SECONDS"][0]) * 1000
    return Transactions(
        ids=whole["TRANSACTION_ID"],
        ts_ms=start_ms + whole["TX_TIME_SECONDS"] * 1000,
        days=whole["TX_TIME_DAYS"],
        customers=whole["CUSTOMER_ID"],
        terminals=whole["TERMINAL_ID"],
        amounts=np.array(columns[at["TX_AMOUNT"]], np.float64),
        is_fraud=whole["TX_FRAUD"] == 1,
    )


def last_weeks(transactions: Transactions, count: int) -> list[int]:
    """First days of the last full weeks."""
    end = int(transactions.days[-1]) + 1
    return [end - WEEK_DAYS * back for back in range(count, 0, -1)]


def test_rows(transactions: Transactions, first_day: int) -> Numbers:
    """Which transactions of a week are tested: not those of customers whose fraud was known on the day.

    Known are the frauds of the training week and, on each day, those of the day before that a delay ago.
    """
    days, customers = transactions.days, transactions.customers
    fraud_days, compromised = days[transactions.is_fraud], customers[transactions.is_fraud]
    training = first_day - DELAY_DAYS - WEEK_DAYS
    rows = []
    for day in range(first_day, first_day + WEEK_DAYS):
        known = compromised[(fraud_days >= training) & (fraud_days < max(training + WEEK_DAYS, day - DELAY_DAYS))]
        today = np.flatnonzero(days == day)
        rows.append(today[~np.isin(customers[today], known)])
    return np.concatenate(rows)


def measure_week(transactions: Transactions, scores: Doubles, first_day: int) -> Measured:
    """The figures of one test week; ``scores``: of all transactions, −inf where there is none."""
    rows = test_rows(transactions, first_day)
    positive = transactions.is_fraud[rows]
    return Measured(
        auc_roc(scores[rows], positive),
        average_precision(scores[rows], positive),
        card_precision(transactions.days[rows], transactions.customers[rows], scores[rows], positive),
    )


def _steps(scores: Doubles, positive: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Positives and all, at or above each different score, highest first."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    return np.cumsum(positive[order])[ends], ends + 1


def auc_roc(scores: Doubles, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve; equal scores count half."""
    hits, found = _steps(scores, positive)
    true, false = np.append(0, hits) / hits[-1], np.append(0, found - hits) / (found[-1] - hits[-1])
    return float(np.trapezoid(true, false))


def average_precision(scores: Doubles, positive: NDArray[np.bool_]) -> float:
    """Mean of the precisions at the positives; equal scores are taken together."""
    hits, found = _steps(scores, positive)
    return float((np.diff(np.append(0, hits)) / hits[-1] * (hits / found)).sum())


def card_precision(
    days: Numbers, customers: Numbers, scores: Doubles, positive: NDArray[np.bool_], top: int = TOP_CARDS
) -> float:
    """Share of compromised cards among each day's ``top`` cards with the highest scores, averaged over the days.

    A compromised card that was among them is taken out on the days after.
    """
    detected = np.zeros(0, np.int64)
    precisions = []
    for day in np.unique(days):
        today = np.flatnonzero((days == day) & ~np.isin(customers, detected))
        cards, of_card = np.unique(customers[today], return_inverse=True)
        best, compromised = np.full(len(cards), -np.inf), np.zeros(len(cards), np.bool_)
        np.maximum.at(best, of_card, scores[today])
        np.logical_or.at(compromised, of_card, positive[today])
        highest = np.argsort(-best, kind="stable")[:top]
        found = cards[highest[compromised[highest]]]
        detected = np.append(detected, found)
        precisions.append(len(found) / top)
    return float(np.mean(precisions))


def mean_and_spread(weeks: Sequence[Measured]) -> tuple[Measured, Measured]:
    """Mean and standard deviation (of the population) of the weeks' figures."""
    figures = np.array(weeks)
    return Measured(*figures.mean(axis=0).tolist()), Measured(*figures.std(axis=0).tolist())
