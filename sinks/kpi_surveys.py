"""Surveys and what was answered to them: the facts and the figures as SELECTs. What they mean is in docs/kpi.md."""

from __future__ import annotations

from collections.abc import Sequence

from sinks import kpi_formulas as formulas
from sinks.kpi_facts import RESPONSE_DAYS, data_end, with_tier

BELONGS = ("answered", "late", "again", "unsolicited", "unknown_survey")
"""What an answer can be: a survey's first in time, its first but late, a further one, asked by none, of no survey."""


def _asked(database: str) -> str:
    """Surveys that were really sent."""
    return f"""
SELECT action_id, rule_id, customer_id, ts_ms, JSONExtractString(payload, 'metric') AS metric
FROM {database}.decisions FINAL WHERE kind = 'survey' AND decision = 'emitted'"""


def survey_answers(database: str, days: int = RESPONSE_DAYS) -> str:
    """Every answer, with the survey that it answers and how it does (``BELONGS``)."""
    within_ms = days * 86_400_000
    kept = "event_id, customer_id, ts_ms, ts, day, metric, value, channel, touchpoint, tier, survey_id, ticket_id"
    by_id = f"""
SELECT a.*, s.action_id AS asked_by, s.rule_id AS asked_rule, s.ts_ms AS asked_ms,
  asked_by <> '' AND a.ts_ms > s.ts_ms AS found
FROM (SELECT * FROM {database}.kpi_answers WHERE survey_id <> '') AS a
LEFT JOIN ({_asked(database)}) AS s ON a.survey_id = s.action_id AND a.customer_id = s.customer_id"""
    by_metric = f"""
SELECT a.*, s.asked_by AS asked_by, s.asked_rule AS asked_rule, s.asked_ms AS asked_ms,
  s.asked_by <> '' AND a.ts_ms <= s.asked_ms + {within_ms} AS found
FROM (SELECT * FROM {database}.kpi_answers WHERE survey_id = '') AS a
ASOF LEFT JOIN (
  SELECT customer_id, metric, ts_ms AS asked_ms, max(action_id) AS asked_by, argMax(rule_id, action_id) AS asked_rule
  FROM ({_asked(database)}) GROUP BY customer_id, metric, asked_ms
) AS s ON a.customer_id = s.customer_id AND a.metric = s.metric AND a.ts_ms > s.asked_ms"""
    return f"""
SELECT {kept}, belongs, joined_by, if(found, asked_by, '') AS action_id, if(found, toString(asked_rule), '') AS rule_id,
  if(found, toNullable(ts_ms - asked_ms), NULL) AS response_time_ms
FROM (
  SELECT {kept}, asked_by, asked_rule, asked_ms, if(belongs IN ('unsolicited', 'unknown_survey'), '', way) AS joined_by,
    joined_by <> '' AS found,
    multiIf(NOT candidate, if(survey_id = '', 'unsolicited', 'unknown_survey'),
      place = 1, if(ts_ms <= asked_ms + {within_ms}, 'answered', 'late'),
      way = 'metric' AND best_way = 'survey_id', 'unsolicited', 'again') AS belongs
  FROM (
    SELECT {kept}, asked_by, asked_rule, asked_ms, found AS candidate, way,
      row_number() OVER answers AS place, first_value(way) OVER answers AS best_way
    FROM (
      SELECT *, 'survey_id' AS way FROM ({by_id}) UNION ALL SELECT *, 'metric' AS way FROM ({by_metric})
    )
    WINDOW answers AS (PARTITION BY customer_id, found, asked_by ORDER BY way = 'metric', ts_ms, event_id)
  )
)"""


def surveys(database: str, days: int = RESPONSE_DAYS) -> str:
    """Decisions of kind survey, with the first answer to those that were sent."""
    wanted = with_tier(database, f"""
SELECT action_id, rule_id, class, customer_id, ts_ms, ts, toDate(ts) AS day,
  JSONExtractString(payload, 'metric') AS metric, JSONExtractString(payload, 'touchpoint') AS touchpoint,
  JSONExtractString(payload, 'channel') AS channel, if(decision = 'emitted', 'emitted', toString(reason)) AS outcome,
  decision = 'emitted' AND ts_ms + {days * 86_400_000} <= {data_end(database)} AS mature
FROM {database}.decisions FINAL WHERE kind = 'survey'""")  # fmt: skip
    return f"""
SELECT s.action_id AS action_id, s.rule_id AS rule_id, s.class AS class, s.customer_id AS customer_id,
  s.ts_ms AS ts_ms, s.ts AS ts, s.day AS day, s.metric AS metric, s.touchpoint AS touchpoint, s.channel AS channel,
  s.tier AS tier, s.outcome AS outcome, if(s.mature, toNullable(a.belongs = 'answered'), NULL) AS answered,
  if(s.mature, toNullable(a.belongs = 'late'), NULL) AS late,
  if(a.belongs <> '' AND a.metric = s.metric, toNullable(a.value), NULL) AS value,
  if(a.belongs <> '', toNullable(a.ts_ms), NULL) AS answered_ms, a.response_time_ms AS response_time_ms,
  a.joined_by AS joined_by, a.event_id AS answer_event_id
FROM ({wanted}) AS s
LEFT JOIN (
  SELECT * FROM ({survey_answers(database, days)}) WHERE belongs IN ('answered', 'late')
) AS a ON s.action_id = a.action_id"""


def survey_figures(facts: str, by: Sequence[str], where: str = "1") -> str:
    """By metric: surveys sent; of those old enough, how many were answered, how soon and with what score.

    ``facts``: the table of surveys, or a SELECT in parentheses.
    """
    columns = ", ".join(dict.fromkeys(("metric", *by)))
    low, high = formulas.wilson("answered", "n")
    in_time = "ifNull(s.answered, 0)"
    return f"""
SELECT {columns}, sent, n, answered, late, {formulas.share("answered", "n")} AS rate, {low} AS rate_low,
  {high} AS rate_high, if(answered = 0, NULL, toNullable(middle)) AS median_ms,
  if(answered = 0, NULL, toNullable(slow)) AS p90_ms, scored, {formulas.score_columns("scored")}
FROM (
  SELECT {columns}, count() AS sent, count(s.answered) AS n, countIf({in_time}) AS answered,
    countIf(ifNull(s.late, 0)) AS late, quantileExactInclusiveIf(0.5)(s.response_time_ms, {in_time}) AS middle,
    quantileExactInclusiveIf(0.9)(s.response_time_ms, {in_time}) AS slow,
    countIf({in_time} AND s.value IS NOT NULL) AS scored, {formulas.score_counts("s.value", in_time)}
  FROM {facts} AS s WHERE outcome = 'emitted' AND {where} GROUP BY {columns}
)"""
