"""The statistics of the key figures in SQL: estimates with intervals of 95 %. Formulae and sources: docs/kpi.md.

Arguments are SQL expressions; an interval is a pair of them. Nothing divides by zero: what cannot be known is null.
"""

from __future__ import annotations

Z = 1.959963984540054
"""The normal distribution's quantile of .975."""

Interval = tuple[str, str]


def share(good: str, n: str) -> str:
    """``good`` of ``n``, 0 to 1."""
    return f"if({n} = 0, NULL, toNullable({good} / {n}))"


def wilson(good: str, n: str) -> Interval:
    """Wilson's score interval of a share, 0 to 1."""
    middle = f"({good} / {n} + {Z * Z / 2} / {n})"
    spread = f"({Z} * sqrt({good} / {n} * (1 - {good} / {n}) / {n} + {Z * Z / 4} / {n} / {n}))"
    below = f"(1 + {Z * Z} / {n})"
    return (
        f"if({n} = 0, NULL, toNullable(greatest(0, ({middle} - {spread}) / {below})))",
        f"if({n} = 0, NULL, toNullable(least(1, ({middle} + {spread}) / {below})))",
    )


def newcombe(first: str, first_interval: Interval, other: str, other_interval: Interval) -> Interval:
    """Newcombe's interval (his method 10) of the difference of two independent shares, from Wilson's of each."""
    return (
        f"({first} - {other}) - sqrt(pow({first} - {first_interval[0]}, 2) + pow({other_interval[1]} - {other}, 2))",
        f"({first} - {other}) + sqrt(pow({first_interval[1]} - {first}, 2) + pow({other} - {other_interval[0]}, 2))",
    )


def mean_interval(mean: str, deviation: str, n: str, scale: tuple[int, int] | None = None) -> Interval:
    """The normal approximation around a mean, cut at the ends of its scale; null for fewer than two values.

    ``deviation``: of the sample (n - 1).
    """
    spread = f"{Z} * {deviation} / sqrt({n})"
    low, high = f"{mean} - {spread}", f"{mean} + {spread}"
    if scale is not None:
        low, high = f"greatest({scale[0]}, {low})", f"least({scale[1]}, {high})"
    return f"if({n} < 2, NULL, toNullable({low}))", f"if({n} < 2, NULL, toNullable({high}))"


def nps_of(promoters: str, detractors: str, n: str) -> str:
    """The net promoter score, -100 to 100."""
    return f"if({n} = 0, NULL, toNullable(100 * (toInt64({promoters}) - toInt64({detractors})) / {n}))"


def nps_interval(promoters: str, detractors: str, n: str) -> Interval:
    """Normal approximation with the variance of an answer that counts -1, 0 or 1; cut at -100 and 100."""
    mean = f"((toInt64({promoters}) - toInt64({detractors})) / {n})"
    spread = f"{Z} * sqrt(greatest(0, ({promoters} + {detractors}) / {n} - {mean} * {mean}) / {n})"
    return (
        f"if({n} = 0, NULL, toNullable(100 * greatest(-1, {mean} - {spread})))",
        f"if({n} = 0, NULL, toNullable(100 * least(1, {mean} + {spread})))",
    )


def score_counts(value: str, when: str = "1") -> str:
    """What ``score_columns`` needs of the answers ``when`` holds for: aggregates by metric, with their names."""
    return (
        f"countIf(metric = 'nps' AND {value} >= 9 AND {when}) AS promoters, "
        f"countIf(metric = 'nps' AND {value} <= 6 AND {when}) AS detractors, "
        f"countIf(metric = 'csat' AND {value} >= 4 AND {when}) AS satisfied, "
        f"avgIf({value}, {when}) AS mean, stddevSampIf({value}, {when}) AS deviation"
    )


def score_columns(n: str) -> str:
    """NPS, CSAT or CES by the row's metric, of ``n`` answers, with its interval; then the answers by kind."""
    nps, nps_ends = nps_of("promoters", "detractors", n), nps_interval("promoters", "detractors", n)
    csat, csat_ends = share("satisfied", n), wilson("satisfied", n)
    ces, ces_ends = f"if({n} = 0, NULL, toNullable(mean))", mean_interval("mean", "deviation", n, (1, 7))
    columns = zip(("value", "low", "high"), (nps, *nps_ends), (csat, *csat_ends), (ces, *ces_ends), strict=True)
    by_metric = [
        f"multiIf(metric = 'nps', {one}, metric = 'csat', {two}, {three}) AS {name}"
        for name, one, two, three in columns
    ]
    return ", ".join([*by_metric, "promoters", "detractors", "satisfied"])
