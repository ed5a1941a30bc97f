"""The fraud model by the published protocol of the Fraud Detection Handbook, beside the book's own figures.

`python -m benchmarks.fraud_handbook TRANSACTIONS` feeds the model directly. With `--actions` the scores come from a
replay instead, by a rule that writes the score of every transaction:

    - id: every-score
      trigger: txn
      let: {s: score("card_fraud")}
      then: [{tag: {name: score, value: "{s}"}}]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.fraud_features import direct_scores
from benchmarks.fraud_protocol import (
    Doubles,
    Measured,
    Transactions,
    last_weeks,
    mean_and_spread,
    measure_week,
    read_transactions,
)

PUBLISHED = {
    "book: logistic regression": Measured(0.871, 0.606, 0.291),
    "book: random forest": Measured(0.867, 0.658, 0.287),
    "book: XGBoost": Measured(0.862, 0.639, 0.273),
    "book: XGBoost, tuned, four weeks": Measured(0.869, 0.687, 0.303),
    "book: best neural network, four weeks": Measured(0.876, 0.675, 0.303),
}
"""The first three: one week (8 to 14 August 2018); the others: means over four weeks up to it."""

_ANCHOR_PREFIX = "t"


class _Decision(msgspec.Struct):
    anchor_event_id: str | None
    features: dict[str, object]


def scores_of_actions(path: Path, transactions: Transactions, name: str) -> tuple[Doubles, NDArray[np.bool_]]:
    """The scores that a replay's decisions hold as the let ``name``, float64[n], −inf for null; which there are.

    The events' ids are the transactions' after a `t`. If decisions of several rules hold it, the last one counts.
    """
    number = {int(one): at for at, one in enumerate(transactions.ids)}
    scores, is_there = np.full(len(number), -np.inf), np.zeros(len(number), np.bool_)
    decoder = msgspec.json.Decoder(_Decision)
    with path.open("rb") as lines:
        for line in lines:
            decision = decoder.decode(line)
            at = number.get(_transaction_id(decision.anchor_event_id))
            if at is None or name not in decision.features:
                continue
            is_there[at] = True
            score = decision.features[name]
            if isinstance(score, int | float):
                scores[at] = score
    return scores, is_there


def _transaction_id(event_id: str | None) -> int:
    digits = (event_id or "").removeprefix(_ANCHOR_PREFIX)
    return int(digits) if digits.isdecimal() else -1


def table_of(transactions: Transactions, scores: Doubles, weeks: int) -> tuple[Table, Measured]:
    """A table of the last weeks with mean, spread and the book's figures; the mean."""
    table = Table("test week", "AUC ROC", "average precision", "card precision@100")
    start = np.datetime64(int(transactions.ts_ms[0]), "ms").astype("datetime64[D]") - int(transactions.days[0])
    measured = []
    for first_day in last_weeks(transactions, weeks):
        measured.append(measure_week(transactions, scores, first_day))
        table.add_row(f"{start + first_day} … {start + first_day + 6}", *_shown(measured[-1]))
    mean, spread = mean_and_spread(measured)
    table.add_section()
    table.add_row("mean", *_shown(mean))
    table.add_row("spread", *_shown(spread))
    table.add_section()
    for name, figures in PUBLISHED.items():
        table.add_row(name, *_shown(figures))
    return table, mean


def _shown(figures: Measured) -> list[str]:
    return [f"{figure:.3f}" for figure in figures]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="The fraud model by the protocol of the Fraud Detection Handbook.")
    parser.add_argument("transactions", type=Path, help="the handbook's transactions, CSV (.gz)")
    parser.add_argument("--actions", type=Path, help="decisions of a replay that hold each transaction's score")
    parser.add_argument("--score", default="s", help="name of the let that is the score (default: s)")
    parser.add_argument("--weeks", type=int, default=4, help="how many of the last full weeks (default: 4)")
    given = parser.parse_args(arguments)
    console = Console()
    transactions = read_transactions(given.transactions)
    if given.actions is None:
        scores, known, micros = direct_scores(transactions)
        console.print(f"{len(known):,} transactions, {micros:.2f} µs for each to be scored and learned")
    else:
        scores, known = scores_of_actions(given.actions, transactions, given.score)
        console.print(f"{len(known):,} transactions")
    console.print(f"{int((~known).sum()):,} without a decision or score; they rank below all others")
    console.print(table_of(transactions, scores, given.weeks)[0])


if __name__ == "__main__":
    main()
