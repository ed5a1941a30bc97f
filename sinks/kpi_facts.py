"""The facts behind the key figures, as SELECTs over the tables: a row for each answer, attempt, step, ticket, contact
or firing.

Every function gives SQL for a database, named as it stands in a statement. What a row means is in docs/kpi.md.
"""

from __future__ import annotations

from collections.abc import Mapping

ATTEMPT_GAP_MS = 30 * 60_000
"""A journey on which nothing happens for so long is over; what goes on later is another attempt."""
RESPONSE_DAYS = 7
FINISHES = "((action = 'finish' OR step = 'done') AND error_code = '')"
"""The condition on a click that ends a journey well."""
DEFAULT_GOAL = "click.action=finish"
CONTACT_KINDS = ("notify", "survey", "ticket")
"""What reaches a customer: a ticket does through the manager who calls; alerts and tags stay inside the bank."""
ESCALATE = "escalate"
TOLD_OF_TICKETS = ("warning", "breach", "illegal_transition", "illegal_extension")
"""The events of escalations that a ticket's clocks and stages led to; all others are actions of rules."""


def text(value: str) -> str:
    """A SQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _texts(values: tuple[str, ...]) -> str:
    return ", ".join(map(text, values))


def data_end(database: str) -> str:
    """The time that the data reach, in milliseconds: what would have come later cannot be known."""
    return (
        f"(SELECT greatest((SELECT max(ts_ms) FROM {database}.events), (SELECT max(ts_ms) FROM {database}.decisions)))"
    )


def with_tier(database: str, facts: str, time: str = "ts_ms") -> str:
    """The facts, each with the tier that the customer had at its time; empty if not known."""
    return f"""
SELECT f.*, p.tier AS tier
FROM ({facts}) AS f
ASOF LEFT JOIN (
  SELECT customer_id, ts_ms AS since_ms, argMax(JSONExtractString(body, 'tier'), event_id) AS tier
  FROM {database}.events FINAL WHERE stream = 'profile' GROUP BY customer_id, since_ms
) AS p ON f.customer_id = p.customer_id AND f.{time} >= p.since_ms"""


def answers(database: str) -> str:
    """Answers to NPS, CSAT and CES surveys with a score on the metric's scale."""
    return with_tier(database, f"""
SELECT event_id, customer_id, ts_ms, ts, toDate(ts) AS day, metric, assumeNotNull(score) AS value, channel,
  JSONExtractString(body, 'touchpoint') AS touchpoint, JSONExtractString(body, 'survey_id') AS survey_id,
  JSONExtractString(body, 'ticket_id') AS ticket_id
FROM {database}.events FINAL
WHERE stream = 'feedback' AND score IS NOT NULL AND (
  (metric = 'nps' AND score BETWEEN 0 AND 10) OR (metric = 'csat' AND score BETWEEN 1 AND 5)
  OR (metric = 'ces' AND score BETWEEN 1 AND 7))""")  # fmt: skip


def attempts(database: str) -> str:
    """Attempts at a journey: their path with the time of each step, and how they ended."""
    window = "PARTITION BY customer_id, journey, session_id ORDER BY ts_ms, event_id"
    before = f"({window} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
    so_far = f"({window} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    fault = "upper(replaceRegexpAll(last_error, '[^A-Za-z]', ''))"
    clicks = f"""
SELECT *, sum(begins) OVER {so_far} AS attempt, sum(begins OR moves) OVER {so_far} AS visit
FROM (
  SELECT *, place = 1 OR ts_ms - before_ms > {ATTEMPT_GAP_MS} OR before_finishes AS begins, step <> before_step AS moves
  FROM (
    SELECT *, row_number() OVER ({window}) AS place, lagInFrame(ts_ms) OVER {before} AS before_ms,
      lagInFrame(step) OVER {before} AS before_step, lagInFrame(finishes) OVER {before} AS before_finishes
    FROM (
      SELECT customer_id, journey, session_id, step, ts_ms, ts, event_id, error_code, channel, {FINISHES} AS finishes
      FROM {database}.events FINAL WHERE stream = 'click' AND journey <> ''
    )
  )
)"""
    return with_tier(database, f"""
SELECT customer_id, journey, session_id, attempt, start_ms, end_ms, start, toDate(start) AS day, channel,
  arrayMap(x -> x.2, stays) AS path, arrayMap(x -> x.3, stays) AS entered_ms, arrayMap(x -> x.4, stays) AS step_errors,
  multiIf(finished, 'completed', end_ms > {data_end(database)} - {ATTEMPT_GAP_MS}, 'under way',
    last_error = '', 'left', position({fault}, 'TIMEOUT') > 0, 'time-out', 'error') AS outcome
FROM (
  SELECT customer_id, journey, session_id, attempt, min(v.entered_ms) AS start_ms, max(v.end_ms) AS end_ms,
    min(v.entered) AS start, argMin(v.channel, visit) AS channel, argMax(v.last_error, visit) AS last_error,
    max(v.finished) AS finished, arraySort(groupArray((visit, v.step, v.entered_ms, v.errors))) AS stays
  FROM (
    SELECT customer_id, journey, session_id, attempt, visit, any(c.step) AS step, min(c.ts_ms) AS entered_ms,
      max(c.ts_ms) AS end_ms, min(c.ts) AS entered, countIf(c.error_code <> '') AS errors, max(c.finishes) AS finished,
      argMax(c.error_code, (c.ts_ms, c.event_id)) AS last_error, argMin(c.channel, (c.ts_ms, c.event_id)) AS channel
    FROM ({clicks}) AS c GROUP BY customer_id, journey, session_id, attempt, visit
  ) AS v
  GROUP BY customer_id, journey, session_id, attempt
)""", "start_ms")  # fmt: skip


def steps(database: str) -> str:
    """Stays at a step, with the time until the next step and, on the last one, how the attempt ended."""
    return f"""
SELECT customer_id, journey, session_id, attempt, day, channel, tier, place, step, errors,
  if(place = length(path), NULL, toNullable(entered_ms[place + 1] - entered_ms[place])) AS time_ms,
  if(place = length(path), attempt_outcome, 'went on') AS outcome
FROM (SELECT *, outcome AS attempt_outcome FROM {database}.kpi_attempts)
ARRAY JOIN path AS step, step_errors AS errors, arrayEnumerate(path) AS place"""


def contacts(database: str, days: int = RESPONSE_DAYS, goals: Mapping[str, str] | None = None) -> str:
    """Contacts that rules wanted, sent or not, with what the customer did in the days after.

    ``goals``: by rule, instead of the payload's own; a goal is checked before (`goal_parts`).
    """
    within_ms = days * 86_400_000
    given = dict(goals or {})
    default = given.pop("*", DEFAULT_GOAL)
    goal = f"if(JSONExtractString(payload, 'goal') = '', {text(default)}, JSONExtractString(payload, 'goal'))"
    if given:
        goal = f"transform(toString(rule_id), [{_texts(tuple(given))}], [{_texts(tuple(given.values()))}], {goal})"
    wanted = f"""
SELECT action_id, kind, rule_id, class, customer_id, ts_ms, ts, toDate(ts) AS day, decision, reason,
  multiIf(decision = 'emitted', 'contacted', reason = 'holdout', 'holdout', 'held back') AS arm,
  JSONExtractString(payload, 'metric') AS asked, {goal} AS goal,
  splitByChar('.', goal)[1] AS goal_stream, extract(goal, '^[a-z]+\\\\.([^=]+)=') AS goal_field,
  extract(goal, '=(.*)$') AS goal_value, ts_ms + {within_ms} <= {data_end(database)} AS mature
FROM {database}.decisions FINAL
WHERE kind IN ({_texts(CONTACT_KINDS)}) AND NOT (reason IS NOT NULL AND reason IN ('shadow', 'paused', 'warming'))"""
    return with_tier(database, f"""
SELECT c.*, d.responded AS responded, d.converted AS converted
FROM ({wanted}) AS c
LEFT JOIN (
  SELECT w.action_id AS action_id,
    max(if(w.kind = 'survey', e.stream = 'feedback' AND (e.survey_id = w.action_id
      OR (e.survey_id = '' AND e.metric = w.asked)), e.stream IN ('click', 'feedback'))) AS responded,
    max(e.stream = w.goal_stream AND JSONExtractString(e.body, w.goal_field) = w.goal_value) AS converted
  FROM ({wanted}) AS w
  INNER JOIN (
    SELECT customer_id, ts_ms, stream, metric, body, JSONExtractString(body, 'survey_id') AS survey_id
    FROM {database}.events FINAL WHERE stream IN ('click', 'feedback', 'txn')
  ) AS e ON w.customer_id = e.customer_id
  WHERE e.ts_ms > w.ts_ms AND e.ts_ms <= w.ts_ms + {within_ms}
  GROUP BY action_id
) AS d ON c.action_id = d.action_id""")  # fmt: skip


def firings(database: str) -> str:
    """Decisions, each with the firing it belongs to and what labels said of the event that set it off.

    Escalations of a ticket's clocks and stages are left out: no rule fired.
    """
    told = f"kind = {text(ESCALATE)} AND JSONExtractString(payload, 'event') IN ({_texts(TOLD_OF_TICKETS)})"
    return f"""
SELECT d.action_id AS action_id, d.kind AS kind, d.rule_id AS rule_id, d.class AS class, d.customer_id AS customer_id,
  d.ts_ms AS ts_ms, d.ts AS ts, toDate(d.ts) AS day,
  if(d.decision = 'emitted', 'emitted', toString(d.reason)) AS outcome,
  ifNull(toString(d.would_be), '') AS would_be,
  cityHash64(d.rule_id, d.rule_version, d.customer_id, ifNull(d.anchor_event_id, toString(toDate(d.ts))),
    ifNull(d.holding_id, '')) AS firing, l.label AS label
FROM (SELECT * FROM {database}.decisions FINAL WHERE NOT ({told})) AS d
LEFT JOIN (
  SELECT customer_id, JSONExtractString(body, 'subject_event_id') AS subject,
    toNullable(argMax(JSONExtractBool(body, 'label'), (ts_ms, event_id))) AS label
  FROM {database}.events FINAL WHERE stream = 'label' GROUP BY customer_id, subject
) AS l ON d.customer_id = l.customer_id AND d.anchor_event_id = l.subject"""


def sent(database: str) -> str:
    """Contacts that were sent, each with how many the customer has had in the seven days up to it."""
    return f"""
SELECT action_id, kind, rule_id, class, customer_id, ts_ms, ts, toDate(ts) AS day,
  count() OVER (PARTITION BY customer_id ORDER BY ts_ms RANGE BETWEEN {7 * 86_400_000 - 1} PRECEDING AND CURRENT ROW)
    AS in_7_days
FROM {database}.decisions FINAL WHERE kind IN ({_texts(CONTACT_KINDS)}) AND decision = 'emitted'"""


def customers(database: str) -> str:
    """Every customer of whom there is an event or a decision."""
    return f"SELECT customer_id FROM {database}.events UNION DISTINCT SELECT customer_id FROM {database}.decisions"
