"""The key figures as SELECTs over the facts, by dimensions and for a period.

``by`` are columns of the fact's view, ``where`` a condition on them. Shares are 0 to 1, times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from sinks import kpi_formulas as formulas
from sinks.kpi_facts import FINISHES, customers

OUTCOMES = ("completed", "error", "time-out", "left", "under way")
REASONS = ("shadow", "holdout", "opt_out", "cooldown", "cap", "quiet_hours", "open_ticket")
MAX_PLACES = 8
"""Steps of a path that a chart of paths shows."""


def listed(*columns: str) -> str:
    """Columns at the beginning of a list."""
    return "".join(f"{column}, " for column in columns)


def grouped(by: Sequence[str]) -> str:
    """The clause that groups by some columns, or by none."""
    return f" GROUP BY {', '.join(by)}" if by else ""


def voice(facts: str, by: Sequence[str], where: str = "1") -> str:
    """NPS (-100 to 100), CSAT (a share) and CES (a mean of 1 to 7), with the answers by kind.

    ``facts``: a table of answers, or a SELECT in parentheses.
    """
    columns = ", ".join(dict.fromkeys(("metric", *by)))
    return f"""
SELECT {columns}, n, {formulas.score_columns("n")}
FROM (
  SELECT {columns}, count() AS n, {formulas.score_counts("a.value")}
  FROM {facts} AS a WHERE {where} GROUP BY {columns}
)"""


def _has_end(database: str) -> str:
    clicks = f"SELECT journey FROM {database}.events WHERE stream = 'click' AND {FINISHES}"
    return f"(journey IN ({clicks}))"


def journeys(database: str, by: Sequence[str], where: str = "1") -> str:
    """Attempts by how they ended, and the share completed of those that are over."""
    counts = ", ".join(f"countIf(outcome = '{name}') AS `{name}`" for name in OUTCOMES)
    low, high = formulas.wilson("completed", "over")
    known = _has_end(database)
    return f"""
SELECT journey, {listed(*by)}attempts, {", ".join(f"`{name}`" for name in OUTCOMES)},
  if({known}, {formulas.share("completed", "over")}, NULL) AS completion, if({known}, {low}, NULL) AS low,
  if({known}, {high}, NULL) AS high, if(completed = 0, NULL, toNullable(median)) AS median_ms
FROM (
  SELECT journey, {listed(*by)}count() AS attempts, {counts}, countIf(outcome <> 'under way') AS over,
    quantileExactInclusiveIf(0.5)(end_ms - start_ms, outcome = 'completed') AS median
  FROM {database}.kpi_attempts WHERE {where} GROUP BY journey{"".join(f", {name}" for name in by)}
)"""


def steps(database: str, by: Sequence[str], where: str = "1") -> str:
    """By step: attempts that reached it, that broke there and why, and the time until the next step."""
    causes = ", ".join(f"countIf(outcome = '{name}') AS `{name}`" for name in OUTCOMES[1:])
    low, high = formulas.wilson("broke", "over")
    time_low, time_high = formulas.mean_interval("mean", "deviation", "timed")
    known = _has_end(database)
    return f"""
SELECT journey, step, {listed(*by)}reached, {", ".join(f"`{name}`" for name in OUTCOMES[1:])}, errors,
  if({known}, {formulas.share("broke", "over")}, NULL) AS break_rate, if({known}, {low}, NULL) AS low,
  if({known}, {high}, NULL) AS high, timed, if(timed = 0, NULL, toNullable(mean)) AS mean_ms,
  {time_low} AS mean_low_ms, {time_high} AS mean_high_ms, if(timed = 0, NULL, toNullable(median)) AS median_ms, place
FROM (
  SELECT journey, step, {listed(*by)}uniqExact((customer_id, session_id, attempt)) AS reached, {causes},
    sum(errors) AS errors, `error` + `time-out` + `left` AS broke, reached - `under way` AS over,
    count(time_ms) AS timed, avg(time_ms) AS mean, stddevSamp(time_ms) AS deviation,
    quantileExactInclusive(0.5)(time_ms) AS median, avg(kpi_steps.place) AS place
  FROM {database}.kpi_steps WHERE {where} GROUP BY journey, step{"".join(f", {name}" for name in by)}
)"""


def paths(database: str, by: Sequence[str], where: str = "1") -> str:
    """Attempts by the steps they went through and how they ended."""
    return f"""
SELECT journey, {listed(*by)}path, outcome, count() AS attempts
FROM {database}.kpi_attempts WHERE {where} GROUP BY journey, path, outcome{"".join(f", {name}" for name in by)}"""


def links(database: str, where: str = "1") -> str:
    """Between neighbours of paths, with places from 1: attempts that went on to a step, or ended (``to_step``)."""
    return f"""
SELECT journey, link.1 AS place, link.2 AS from_step, link.3 AS to_step, link.4 AS ends, count() AS attempts
FROM (
  SELECT journey, arrayJoin(arrayMap((step, place) -> (place, step,
    multiIf(place = length(path), outcome, place = {MAX_PLACES}, 'goes on', path[place + 1]),
    place = length(path) OR place = {MAX_PLACES}),
    arraySlice(path, 1, {MAX_PLACES}), arraySlice(arrayEnumerate(path), 1, {MAX_PLACES}))) AS link
  FROM {database}.kpi_attempts WHERE {where}
)
GROUP BY journey, place, from_step, to_step, ends"""


def contacts(facts: str, by: Sequence[str], where: str = "1") -> str:
    """By rule, response and conversion of those contacted, and of all whom the rule meant, against the control group.

    ``facts``: the table of contacts, or a SELECT in parentheses. Of each customer, a rule's first counts.
    """
    columns = ["rule_id", *by]
    figures = [
        f"('{figure}', countIf(treated AND {flag}), countIf(NOT treated AND {flag}))"
        for figure, flag in (("response", "responded"), ("conversion", "converted"))
    ]
    first, first_interval = formulas.share("good", "n"), formulas.wilson("good", "n")
    other, other_interval = formulas.share("control_good", "control_n"), formulas.wilson("control_good", "control_n")
    low, high = formulas.newcombe("value", ("low", "high"), "control", ("control_low", "control_high"))
    return f"""
SELECT {listed(*columns)}compared, figure, n, {first} AS value, {first_interval[0]} AS low, {first_interval[1]} AS high,
  control_n, {other} AS control, {other_interval[0]} AS control_low, {other_interval[1]} AS control_high,
  value - control AS difference, {low} AS difference_low, {high} AS difference_high
FROM (
  SELECT {listed(*columns)}compared, n, control_n, made.1 AS figure, made.2 AS good, made.3 AS control_good
  FROM (
    SELECT {listed(*columns)}compared, countIf(treated) AS n, countIf(NOT treated) AS control_n,
      arrayJoin([{", ".join(figures)}]) AS made
    FROM (
      SELECT *, arm <> 'holdout' AS treated,
        arrayJoin(if(arm = 'held back', ['meant'], ['contacted', 'meant'])) AS compared
      FROM {facts} WHERE mature AND {where}
      ORDER BY ts_ms, action_id LIMIT 1 BY rule_id, customer_id, treated, compared
    )
    GROUP BY {listed(*columns)}compared
  )
)"""


def fatigue(database: str, by: Sequence[str], where: str = "1") -> str:
    """How many customers were contacted, how often on average and at most."""
    low, high = formulas.mean_interval("mean", "deviation", "customers")
    return f"""
SELECT {listed(*by)}(SELECT count() FROM ({customers(database)})) AS all_customers, customers, contacts,
  {formulas.share("customers", "all_customers")} AS share_contacted, toNullable(mean) AS mean, {low} AS mean_low,
  {high} AS mean_high, median, p95, most, most_in_7_days
FROM (
  SELECT {listed(*by)}count() AS customers, sum(n) AS contacts, avg(n) AS mean, stddevSamp(n) AS deviation,
    quantileExactInclusive(0.5)(n) AS median, quantileExactInclusive(0.95)(n) AS p95, max(n) AS most,
    max(week) AS most_in_7_days
  FROM (
    SELECT {listed(*by)}customer_id, count() AS n, max(in_7_days) AS week
    FROM {database}.kpi_sent WHERE {where} GROUP BY {listed(*by)}customer_id
  ){grouped(by)} HAVING customers > 0
)"""


def spread(database: str, by: Sequence[str], where: str = "1") -> str:
    """Customers by the number of contacts they had, from one."""
    return f"""
SELECT {listed(*by)}contacts, count() AS customers
FROM (
  SELECT {listed(*by)}customer_id, count() AS contacts FROM {database}.kpi_sent
  WHERE {where} GROUP BY {listed(*by)}customer_id
) GROUP BY {listed(*by)}contacts"""


def rules(database: str, by: Sequence[str], where: str = "1") -> str:
    """By rule: firings, decisions by outcome, and of the firings that a label speaks of those it confirms."""
    reasons = ", ".join(f"countIf(outcome = '{name}') AS {name}" for name in REASONS)
    low, high = formulas.wilson("confirmed", "labelled")
    known = ", ".join(f"'{name}'" for name in ("emitted", *REASONS))
    return f"""
SELECT rule_id, {listed(*by)}fired, decisions, emitted, {", ".join(REASONS)}, other, labelled, confirmed,
  {formulas.share("confirmed", "labelled")} AS precision, {low} AS low, {high} AS high
FROM (
  SELECT rule_id, {listed(*by)}uniqExact(firing) AS fired, count() AS decisions,
    countIf(outcome = 'emitted') AS emitted, {reasons}, countIf(outcome NOT IN ({known})) AS other,
    uniqExactIf(firing, label IS NOT NULL) AS labelled,
    uniqExactIf(firing, ifNull(label, 0) = 1) AS confirmed
  FROM {database}.kpi_firings WHERE {where} GROUP BY rule_id{"".join(f", {name}" for name in by)}
)"""
