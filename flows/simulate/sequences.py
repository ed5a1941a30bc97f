"""What happened one after another: rows by customer, in order of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

from flows.simulate.columns import Array

Row = tuple[int, ...]
"""Customer, time (ms), and what else there is."""


def earlier(month: tuple[int, int], by: int) -> tuple[int, int]:
    """The month (year, month) so many months before; later if `by` is negative."""
    number = month[0] * 12 + month[1] - 1 - by
    return number // 12, number % 12 + 1


def followed(clicked: dict[str, list[Row]], journeys: tuple[str, ...]) -> Iterator[Row]:
    """Customer, time and kind of each click in the journeys, and the time (ms) to the customer's next one."""
    rows = sorted(row for journey in journeys for row in clicked[journey])
    for row, after in zip(rows, [*rows[1:], (-1, 0, 0)], strict=True):
        yield *row, after[1] - row[1] if after[0] == row[0] else 1 << 60


def by_customer(tables: Sequence[Array], end_ms: int) -> Iterator[tuple[int, list[Row]]]:
    """Each customer's rows, without the customer, in order of time up to `end_ms`; `tables` have a row for each column:
    customer, time and more."""
    table = np.concatenate(tables, axis=1)
    table = table[:, table[1] < end_ms]
    table = table[:, np.lexsort((table[1], table[0]))]
    c = table[0].tolist()
    first = 0
    while first < len(c):
        last = bisect_left(c, c[first] + 1, first)
        yield c[first], list(zip(*(column[first:last].tolist() for column in table[1:]), strict=True))
        first = last
