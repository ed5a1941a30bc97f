"""The protocol of the fraud benchmark: who is tested, its three figures, the features, and scores from decisions."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.fraud_features import FEATURES, direct_scores, features, model_rows
from benchmarks.fraud_handbook import main, scores_of_actions, table_of
from benchmarks.fraud_protocol import (
    DAY_MS,
    Doubles,
    Transactions,
    auc_roc,
    average_precision,
    card_precision,
    last_weeks,
    mean_and_spread,
    measure_week,
    read_transactions,
    test_rows,
)

test_rows.__test__ = False  # type: ignore[attr-defined]

MORE = ("TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD")
REAL = os.environ.get("CEM_FRAUD_TRANSACTIONS")


def some(count: int = 4_000, days: int = 60, seed: int = 1) -> Transactions:
    """Few customers and terminals, so that windows are full; frauds are amounts above 90 and those at one terminal."""
    draws = np.random.default_rng(seed)
    ts_ms = np.sort(draws.integers(0, days * 86_400, count)) * 1_000
    amounts = draws.integers(1, 10_000, count) / 100
    terminals = draws.integers(0, 30, count)
    return Transactions(
        ids=np.arange(count) + 100,
        ts_ms=ts_ms,
        days=ts_ms // DAY_MS,
        customers=draws.integers(0, 40, count),
        terminals=terminals,
        amounts=amounts,
        is_fraud=(amounts > 97) | ((terminals == 3) & (ts_ms > 20 * DAY_MS)),
    )


def write(transactions: Transactions, path: Path) -> Path:
    with path.open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", *MORE])
        for at, ts_ms in enumerate(transactions.ts_ms.tolist()):
            table.writerow([
                transactions.ids[at], str(np.datetime64(ts_ms // 1000, "s")), transactions.customers[at],
                transactions.terminals[at], transactions.amounts[at], ts_ms // 1000, transactions.days[at],
                int(transactions.is_fraud[at]),
            ])  # fmt: skip
    return path


def test_customers_known_to_be_compromised_are_not_tested() -> None:
    # one transaction a day of each customer: customer c's only fraud is on day c, the test week begins with day 20
    days, customers = np.repeat(np.arange(27), 27), np.tile(np.arange(27), 27)
    transactions = replace(
        some(len(days)), days=days, ts_ms=days * DAY_MS, customers=customers, is_fraud=days == customers
    )
    rows = test_rows(transactions, 20)
    tested = {day: sorted(customers[rows[days[rows] == day]].tolist()) for day in range(20, 27)}
    # not tested: frauds of the training week (6 to 12), on later days those of the delay's days up to eight days ago
    for day in range(20, 27):
        known = set(range(6, max(13, day - 7)))
        assert tested[day] == sorted(set(range(27)) - known)
    assert last_weeks(transactions, 2) == [13, 20]


def test_the_figures_are_those_of_counting() -> None:
    draws = np.random.default_rng(2)
    scores, positive = draws.integers(0, 30, 300) / 30, draws.random(300) < 0.2
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert auc_roc(scores, positive) == pytest.approx(np.mean(pairs))
    precisions = [positive[scores >= one].mean() for one in scores[positive]]
    assert average_precision(scores, positive) == pytest.approx(np.mean(precisions))


def test_a_detected_card_is_out_on_the_days_after() -> None:
    days = np.array([0, 0, 0, 1, 1, 1, 1])
    customers = np.array([1, 1, 2, 1, 2, 3, 4])
    scores = np.array([0.1, 0.9, 0.5, 0.9, 0.8, 0.7, 0.1])
    positive = np.array([True, False, False, True, False, True, True])
    # day 0: card 1 by its highest score, compromised; day 1: without it, 2 is highest
    assert card_precision(days, customers, scores, positive, top=1) == 0.5
    assert card_precision(days, customers, scores, positive, top=2) == pytest.approx((1 / 2 + 1 / 2) / 2)


def slow_features(of: Transactions, at: int) -> list[float]:
    now, earlier = of.ts_ms[at], np.arange(len(of.ids)) < at
    told = of.ts_ms + 7 * DAY_MS

    def within(times: NDArray[np.int64], days: int) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = (times > now - days * DAY_MS) & (times <= now)
        return inside

    own = earlier & (of.customers == of.customers[at])
    recent, before = of.amounts[own & within(of.ts_ms, 7)], of.amounts[own & within(of.ts_ms, 90)]
    here = of.terminals == of.terminals[at]
    usual = before.mean() if len(before) else np.nan
    deviation = before.std() if len(before) > 1 else np.nan
    frauds, genuine = here & of.is_fraud, here & ~of.is_fraud
    return [
        of.amounts[at], usual, of.amounts[at] / usual, (of.amounts[at] - usual) / deviation,
        recent.max(initial=-np.inf) / usual if len(recent) else np.nan,
        (frauds & within(told, 7)).sum(), (genuine & within(told, 30)).sum(),
        now - told[genuine & within(told, 30)].max(initial=0) if (genuine & within(told, 30)).any() else np.nan,
        now - told[frauds & within(told, 30)].min() if (frauds & within(told, 30)).any() else np.nan,
    ]  # fmt: skip


def test_the_features_are_what_they_say() -> None:
    transactions = some()
    found = features(transactions)
    assert found.shape == (len(transactions.ids), len(FEATURES))
    for at in [*range(60), *range(60, len(found), 37)]:
        assert found[at] == pytest.approx(slow_features(transactions, at), rel=1e-6, nan_ok=True), at


def test_rows_are_in_the_order_of_time_and_labels_carry_the_keys_of_their_transactions() -> None:
    transactions = some()
    rows, number = model_rows(transactions, features(transactions))
    assert (np.diff(rows.ts_ms) >= 0).all()
    assert rows.is_label.sum() == (transactions.ts_ms + 7 * DAY_MS <= transactions.ts_ms[-1]).sum()
    first = {int(one): rows.keys[at] for at, one in enumerate(number) if not rows.is_label[at]}
    for at in np.flatnonzero(rows.is_label)[::50]:
        assert (rows.keys[at] == first[int(number[at])]).all()
        assert rows.labels[at] == transactions.is_fraud[number[at]]
    assert not rows.labels[~rows.is_label].any()


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    transactions = some(200)
    read = read_transactions(write(transactions, tmp_path / "transactions.csv"))
    for name in Transactions.__dataclass_fields__:
        assert np.array_equal(getattr(read, name), getattr(transactions, name)), name


def test_scores_come_from_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transactions = some(2_000)
    decisions: list[dict[str, Any]] = [
        {"anchor_event_id": f"t{one}", "features": {"s": one / 1e4}} for one in transactions.ids.tolist()
    ]
    decisions[5]["features"] = {"s": None}
    decisions[6]["features"] = {"other": 1}
    decisions += [{"anchor_event_id": "x", "features": {"s": 1}}, {"anchor_event_id": None, "features": {"s": 1}}]
    path = tmp_path / "actions.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in decisions))
    scores, is_there = scores_of_actions(path, transactions, "s")
    assert scores[[4, 5, 6, 7]].tolist() == [0.0104, -np.inf, -np.inf, 0.0107]
    assert np.flatnonzero(~is_there).tolist() == [6]
    main([str(write(transactions, tmp_path / "transactions.csv")), "--actions", str(path), "--weeks", "2"])
    printed = capsys.readouterr().out
    assert "1 without a decision" in printed
    assert "1970-02-16 … 1970-02-22" in printed


def test_the_model_finds_the_frauds_of_a_simple_world() -> None:
    transactions = some(20_000)
    scores, known, _ = direct_scores(transactions)
    assert known.mean() > 0.7
    late = transactions.days >= 45
    assert average_precision(scores[late], transactions.is_fraud[late]) > 0.9


def reaches(figures: tuple[float, ...], least: tuple[float, ...]) -> bool:
    return all(one >= other for one, other in zip(figures, least, strict=True))


@pytest.mark.skipif(not REAL, reason="CEM_FRAUD_TRANSACTIONS names no file of the handbook's transactions")
def test_on_the_books_transactions_the_model_is_at_least_as_good_as_the_books_forest() -> None:
    transactions = read_transactions(Path(REAL or ""))
    scores, _, _ = direct_scores(transactions)
    weeks = [measure_week(transactions, scores, day) for day in last_weeks(transactions, 4)]
    assert reaches(mean_and_spread(weeks)[0], (0.876, 0.74, 0.29))
    assert table_of(transactions, scores, 4)[1] == mean_and_spread(weeks)[0]
    perfect: Doubles = transactions.is_fraud.astype(float)
    assert measure_week(transactions, perfect, last_weeks(transactions, 1)[0])[:2] == (1.0, 1.0)
