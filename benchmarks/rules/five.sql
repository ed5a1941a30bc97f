-- The five rules of five.yaml as Flink SQL; ${events}, ${decisions} and ${names} are filled in by benchmarks/flink_job.py.
-- Flink includes the start of a RANGE window, a rule's last="7d" does not: hence 6 days 23:59:59.999.
-- All OVER windows of one streaming SELECT must be the same, so that each rule is a SELECT of its own; the planner reads
-- the source once for all of them.

CREATE TEMPORARY TABLE ${names}_events (
  `stream` STRING,
  event_id STRING,
  customer_id STRING,
  ts BIGINT,
  `action` STRING,
  query STRING,
  error_code STRING,
  amount DECIMAL(18, 4),
  direction STRING,
  currency STRING,
  metric STRING,
  score DOUBLE,
  event_time AS TO_TIMESTAMP_LTZ(ts, 3),
  WATERMARK FOR event_time AS event_time - INTERVAL '10' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${events}', 'format' = 'json');

CREATE TEMPORARY TABLE ${names}_decisions (
  rule_id STRING,
  customer_id STRING,
  ts BIGINT,
  anchor_event_id STRING,
  features MAP<STRING, DOUBLE>
) WITH ('connector' = 'filesystem', 'path' = '${decisions}', 'format' = 'json');

INSERT INTO ${names}_decisions
SELECT 'prepay-searches', customer_id, ts, event_id, MAP['searches', CAST(searches AS DOUBLE)]
FROM (
  SELECT customer_id, ts, event_id, COUNT(*) OVER (
    PARTITION BY customer_id ORDER BY event_time
    RANGE BETWEEN INTERVAL '6 23:59:59.999' DAY TO SECOND(3) PRECEDING AND CURRENT ROW
  ) AS searches
  FROM ${names}_events
  WHERE `stream` = 'click' AND query LIKE '%提前还款%'
)
WHERE searches >= 3

UNION ALL

SELECT 'login-burst', customer_id, ts, event_id, MAP['logins', CAST(logins AS DOUBLE)]
FROM (
  SELECT customer_id, ts, event_id, COUNT(*) OVER (
    PARTITION BY customer_id ORDER BY event_time
    RANGE BETWEEN INTERVAL '09:59.999' MINUTE TO SECOND(3) PRECEDING AND CURRENT ROW
  ) AS logins
  FROM ${names}_events
  WHERE `stream` = 'click' AND `action` = 'login'
)
WHERE logins >= 4

UNION ALL

SELECT 'spending-spree', customer_id, ts, event_id, MAP['spent', CAST(spent AS DOUBLE)]
FROM (
  SELECT customer_id, ts, event_id, SUM(amount) OVER (
    PARTITION BY customer_id ORDER BY event_time
    RANGE BETWEEN INTERVAL '59:59.999' MINUTE TO SECOND(3) PRECEDING AND CURRENT ROW
  ) AS spent
  FROM ${names}_events
  WHERE `stream` = 'txn' AND direction = 'out' AND COALESCE(currency, 'CNY') = 'CNY'
)
WHERE spent > 50000

UNION ALL

SELECT 'unusual-payment', customer_id, ts, event_id,
  MAP['payments', CAST(payments AS DOUBLE), 'usual', CAST(usual AS DOUBLE)]
FROM (
  SELECT customer_id, ts, event_id, amount, COUNT(*) OVER w AS payments, AVG(amount) OVER w AS usual
  FROM ${names}_events
  WHERE `stream` = 'txn' AND direction = 'out' AND COALESCE(currency, 'CNY') = 'CNY'
  WINDOW w AS (
    PARTITION BY customer_id ORDER BY event_time
    RANGE BETWEEN INTERVAL '29 23:59:59.999' DAY TO SECOND(3) PRECEDING AND CURRENT ROW
  )
)
WHERE payments >= 5 AND amount > 10 * usual

UNION ALL

SELECT 'low-score-after-errors', customer_id, ts, event_id, MAP['errors', CAST(errors AS DOUBLE)]
FROM (
  SELECT customer_id, ts, event_id, `stream`, SUM(CASE WHEN `stream` = 'click' THEN 1 ELSE 0 END) OVER (
    PARTITION BY customer_id ORDER BY event_time
    RANGE BETWEEN INTERVAL '23:59:59.999' HOUR TO SECOND(3) PRECEDING AND CURRENT ROW
  ) AS errors
  FROM ${names}_events
  WHERE (`stream` = 'click' AND error_code IS NOT NULL)
    OR (`stream` = 'feedback' AND metric = 'nps' AND score <= 6)
)
WHERE `stream` = 'feedback' AND errors >= 2;
