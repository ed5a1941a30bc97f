"""Tickets and what became of them: the fact and the figures as SELECTs. What they mean is in docs/kpi.md."""

from __future__ import annotations

from collections.abc import Sequence

from sinks import kpi_formulas as formulas
from sinks.kpi_facts import ESCALATE, data_end, text, with_tier
from sinks.kpi_figures import grouped, listed

REPEAT_MS = 7 * 86_400_000
"""A further ticket, or a ticket opened again, within this time says that the first contact did not resolve it."""
CLOCKS = ("first_response", "resolution", "statutory")

_OPENS = "('opened', 'created')"
_DONE = "('resolved', 'followed_up', 'closed')"
# What a day is, is for the calendar to say.
_UNIT_MS = "['ms', 's', 'm', 'h'], [1, 1000, 60000, 3600000]"


def tickets(database: str) -> str:
    """Tickets of rules and of other systems: when they were opened, answered, resolved and due."""
    return with_tier(database, f"""
SELECT ticket_id, customer_id, origin, rule_id, queue, level, opened_ms, opened, toDate(opened) AS day, stages,
  reopened, satisfaction, repeat, response_ms - opened_ms AS response_time_ms,
  if(resolves, last_resolved_ms, NULL) - opened_ms AS resolution_time_ms, followed, due.1 AS first_response_due_ms,
  due.2 AS resolution_due_ms, due.3 AS statutory_due_ms, escalations,
  {_clock_met(1, "response_ms IS NOT NULL")} AS first_response_met,
  if(followed, {_clock_met(2, "ends")}, multiIf(sla_due_ms IS NULL, NULL,
    first_resolved_ms IS NOT NULL, toNullable(first_resolved_ms <= sla_due_ms),
    data_end > sla_due_ms, toNullable(false), NULL)) AS sla_met,
  {_clock_met(3, "ends")} AS statutory_met,
  if(first_resolved_ms IS NULL OR first_resolved_ms + {REPEAT_MS} > data_end, NULL, toNullable(reopened = 0 AND NOT
    arrayExists(x -> x > first_resolved_ms AND x <= first_resolved_ms + {REPEAT_MS}, like_it))) AS first_contact
FROM (
  SELECT m.*, e.escalations AS escalations, {data_end(database)} AS data_end,
    groupArray(opened_ms) OVER (PARTITION BY m.customer_id, m.origin, m.rule_id) AS like_it
  FROM ({_histories(database)}) AS m
  LEFT JOIN (
    SELECT ticket_id, customer_id, arrayMap(x -> (x.3, x.4), arraySort(groupArray((ts_ms, action_id, event, clock))))
      AS escalations
    FROM ({_escalated(database)}) GROUP BY ticket_id, customer_id
  ) AS e ON m.ticket_id = e.ticket_id AND m.customer_id = e.customer_id
)""", "opened_ms")  # fmt: skip


def _clock_met(place: int, stopped: str) -> str:
    """Whether a clock was kept to: no breach of it, and it has stopped. While it runs that is not known."""
    breached = f"has(escalations, ('breach', {text(CLOCKS[place - 1])}))"
    return f"multiIf(due.{place} IS NULL, NULL, {breached}, toNullable(false), {stopped}, toNullable(true), NULL)"


def _escalated(database: str) -> str:
    return f"""
SELECT JSONExtractString(payload, 'ticket_id') AS ticket_id, customer_id, ts_ms, ts, action_id,
  JSONExtractString(payload, 'event') AS event, JSONExtractString(payload, 'clock') AS clock
FROM {database}.decisions FINAL WHERE kind = {text(ESCALATE)} AND decision = 'emitted'"""


def _histories(database: str) -> str:
    """Tickets with what happened to them: the decision that opens one, messages, and rules that open it again.

    A rule opens again only what is done, and then the ticket system's own message may follow.
    """
    due = ", ".join(f"JSONExtract(payload, 'due', '{clock}', 'Nullable(Int64)')" for clock in CLOCKS)
    sla = "JSONExtractString(payload, 'sla')"
    return f"""
SELECT ticket_id, customer_id, if(countIf(r.stage = 'opened') > 0, 'rule', 'other') AS origin,
  max(r.rule_id) AS rule_id, max(r.queue) AS queue, max(r.level) AS level, max(r.repeat) AS repeat,
  max(r.followed) AS followed, (max(r.due.1), max(r.due.2), max(r.due.3)) AS due,
  arraySort(groupArray((r.ts_ms, r.event_id, r.stage))) AS told,
  arrayFilter(x -> x.3 <> 'reopen' OR arrayExists(y -> y.3 IN {_DONE} AND y.1 <= x.1, told), told) AS happened,
  arrayMap(x -> (x.1, x.2, if(x.3 = 'reopen', 'reopened', x.3)), happened) AS history,
  arrayMap(x -> x.3, history) AS stages, arrayFilter(x -> x.3 IN {_OPENS}, history) AS openings,
  if(empty(openings), history[1].1, openings[1].1) AS opened_ms,
  if(empty(openings), arrayPopFront(history), arrayFilter(x -> x.3 NOT IN {_OPENS}, history)) AS later,
  if(empty(later), NULL, toNullable(later[1].1)) AS response_ms,
  arrayFilter(x -> x.3 = 'resolved', history) AS resolutions,
  if(empty(resolutions), NULL, toNullable(resolutions[1].1)) AS first_resolved_ms,
  if(empty(resolutions), NULL, toNullable(resolutions[-1].1)) AS last_resolved_ms,
  arrayFilter(x -> x.3 = 'reopened' OR x.3 IN {_DONE}, history) AS turns,
  NOT empty(turns) AND turns[-1].3 <> 'reopened' AS ends,
  NOT empty(resolutions) AND NOT arrayExists(x -> x.3 = 'reopened' AND x > resolutions[-1], history) AS resolves,
  greatest(arrayCount(x -> x.3 = 'reopened', happened), arrayCount(x -> x.3 = 'reopen', happened)) AS reopened,
  if(empty(openings), min(r.ts), minIf(r.ts, r.stage IN {_OPENS})) AS opened,
  argMaxIf(r.satisfaction, (r.ts_ms, r.event_id), r.satisfaction IS NOT NULL) AS satisfaction,
  if(max(r.sla_ms) = 0, NULL, toNullable(opened_ms + max(r.sla_ms))) AS sla_due_ms
FROM (
  SELECT JSONExtractString(body, 'ticket_id') AS ticket_id, customer_id, ts_ms, ts, event_id,
    JSONExtractString(body, 'stage') AS stage, JSONExtract(body, 'satisfaction', 'Nullable(Float64)') AS satisfaction,
    '' AS rule_id, '' AS queue, '' AS level, CAST(NULL, 'Nullable(Int64)') AS repeat, false AS followed,
    CAST((NULL, NULL, NULL), 'Tuple(Nullable(Int64), Nullable(Int64), Nullable(Int64))') AS due, toInt64(0) AS sla_ms
  FROM {database}.events FINAL WHERE stream = 'ticket'
  UNION ALL
  SELECT ticket_id, customer_id, ts_ms, ts, action_id, 'reopen', NULL, '', '', '', NULL, false, (NULL, NULL, NULL), 0
  FROM ({_escalated(database)}) WHERE event = 'reopen'
  UNION ALL
  SELECT action_id, customer_id, ts_ms, ts, '', 'opened', NULL, toString(rule_id), JSONExtractString(payload, 'queue'),
    JSONExtractString(payload, 'level'), JSONExtract(payload, 'repeat', 'Nullable(Int64)'), JSONHas(payload, 'due'),
    ({due}), toInt64OrZero(extract({sla}, '^([0-9]+)(?:ms|s|m|h)$'))
      * transform(extract({sla}, '[a-z]+$'), {_UNIT_MS}, 0)
  FROM {database}.decisions FINAL WHERE kind = 'ticket' AND decision = 'emitted'
) AS r
GROUP BY ticket_id, customer_id"""


def ticket_figures(database: str, by: Sequence[str], where: str = "1") -> str:
    """A row for each figure: how many tickets it is of, the estimate with its interval, the median of times."""
    means = {
        "first_response_ms": "response_time_ms",
        "resolution_ms": "resolution_time_ms",
        "satisfaction": "satisfaction",
    }
    clocked = " OR ".join(f"{clock}_due_ms IS NOT NULL" for clock in CLOCKS)
    shares = {
        "resolved": ("1", "resolution_time_ms IS NOT NULL"),
        "reopened": ("has(stages, 'resolved')", "reopened > 0"),
        "first_contact": ("first_contact IS NOT NULL", "first_contact"),
        "sla_first_response": ("first_response_met IS NOT NULL", "first_response_met"),
        "sla": ("sla_met IS NOT NULL", "sla_met"),
        "sla_statutory": ("statutory_met IS NOT NULL", "statutory_met"),
        "warned": (clocked, _escalates("= 'warning'")),
        "breached": (clocked, _escalates("= 'breach'")),
        "illegal": ("followed", _escalates("IN ('illegal_transition', 'illegal_extension')")),
        "repeat": ("repeat IS NOT NULL", "repeat > 0"),
        "satisfied": ("satisfaction IS NOT NULL", "satisfaction >= 4"),
    }
    # Each figure is a tuple (name, n, good, mean, deviation, median), so that the tickets are gone through once.
    made = [
        f"('{name}', count({column}), 0, toNullable(avg({column})), toNullable(stddevSamp({column})), "
        f"toNullable(quantileExactInclusive(0.5)({column})))"
        for name, column in means.items()
    ] + [
        f"('{name}', countIf({base}), countIf(({base}) AND ifNull({good}, 0)), NULL, NULL, NULL)"
        for name, (base, good) in shares.items()
    ]
    is_mean = f"figure IN ({', '.join(repr(name) for name in means)})"
    time, scaled = (formulas.mean_interval("mean", "deviation", "n", scale) for scale in (None, (1, 5)))
    part = formulas.wilson("good", "n")
    low, high = (
        f"multiIf(figure = 'satisfaction', {scaled[end]}, {is_mean}, {time[end]}, {part[end]})" for end in (0, 1)
    )
    return f"""
SELECT {listed(*by)}figure, opened, n, if({is_mean}, if(n = 0, NULL, mean), {formulas.share("good", "n")}) AS value,
  {low} AS low, {high} AS high, if(n = 0, NULL, middle) AS median
FROM (
  SELECT {listed(*by)}opened, made.1 AS figure, made.2 AS n, made.3 AS good, made.4 AS mean, made.5 AS deviation,
    made.6 AS middle
  FROM (
    SELECT {listed(*by)}count() AS opened, arrayJoin([{", ".join(made)}]) AS made
    FROM {database}.kpi_tickets WHERE {where}{grouped(by)}
  )
)"""


def _escalates(condition: str) -> str:
    return f"arrayExists(x -> x.1 {condition}, escalations)"


def escalations(database: str, by: Sequence[str], where: str = "1") -> str:
    """What tickets were escalated for: how often, and how many of them."""
    return f"""
SELECT {listed(*by)}escalation.1 AS event, escalation.2 AS clock, count() AS n,
  uniqExact((ticket_id, customer_id)) AS tickets
FROM (SELECT * FROM {database}.kpi_tickets WHERE {where}) ARRAY JOIN escalations AS escalation
GROUP BY {listed(*by)}event, clock"""
