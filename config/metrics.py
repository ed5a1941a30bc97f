"""The metrics of the live engine: names, labels, what they mean, and what to do when they move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELIVERY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Dense around one second, the time in which a decision shall be delivered."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus knows it, and for the operator what to do when it moves."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    remedy: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


EVENTS = Metric(
    "cem_events_total", "counter", "Events read, duplicates among them.",
    "Falls to 0: look at `cem_source_lag_events`; with no lag the channels send nothing.", ("stream",),
)  # fmt: skip
DEAD_LETTERS = Metric(
    "cem_dead_letters_total", "counter", "Messages that are no events.",
    "Rises: a producer has changed; read the dead-letter topic, its headers say what is wrong.", ("reason",),
)  # fmt: skip
DUPLICATES = Metric(
    "cem_duplicates_total", "counter", "Events dropped because they were seen within `dedup`.",
    "Rises: a producer sends again; harmless, and a sign of trouble there.",
)  # fmt: skip
LATE = Metric(
    "cem_late_events_total", "counter", "Events that came after their partition's watermark; they still count.",
    "More than a few of a thousand: raise `lateness`, or find the channel that holds events back.",
)  # fmt: skip
CLOCK_SKEW = Metric(
    "cem_clock_skew_rejected_total", "counter", "Events refused because they were further ahead than `max_ahead`.",
    "Rises: the clock of a producer or of this machine is wrong.",
)  # fmt: skip
TIMES_IN_SECONDS = Metric(
    "cem_times_in_seconds_total", "counter", "Events with a `ts` before 1973: likely seconds, not milliseconds.",
    "Above 0: no window sees these events. Have their producer mend it: `events` in ClickHouse, `ts_ms < 1e11`.",
)  # fmt: skip
DECISIONS = Metric(
    "cem_decisions_total", "counter", "Decisions, by what became of them: `emitted` or the reason of the suppression.",
    "Jumps for a rule: look at its decisions, stop it with `cem rules pause`. Falls to 0: its events no longer match.",
    ("rule", "outcome"),
)  # fmt: skip
MODEL_ROWS = Metric(
    "cem_model_rows_total", "counter",
    "What a model did: `events` that came to be scored and those that were `scored` (it was warm), `labels` that came, "
    "rows `learned` from and `positives` among them, `drifts`.",
    "`drifts` rises: what it scores has changed; look at the decisions of the rules that read it. `learned` stands "
    "still: its labels no longer come, or name events that it never scored.",
    ("model", "what"),
)  # fmt: skip
LAG = Metric(
    "cem_source_lag_events", "gauge", "Messages in the partition that are not read yet.",
    "Grows: the engine is slower than the producers or waits for a sink (`cem_sink_waiting`); add workers.",
    ("topic", "partition"),
)  # fmt: skip
WATERMARK = Metric(
    "cem_watermark_delay_seconds", "gauge", "How far the engine's watermark is behind the wall clock.",
    "Above `lateness` by seconds: a backlog (lag), or one partition's events are old.",
)  # fmt: skip
BATCH = Metric(
    "cem_batch_duration_seconds", "histogram", "Time for one batch, by stage.",
    "Grows: see which stage; `shard` grows with the number of rules and of customers with long histories.",
    ("stage",), SHORT_SECONDS,
)  # fmt: skip
EPOCH = Metric(
    "cem_epoch_duration_seconds", "histogram", "Time for writing state and making sinks safe at the end of an epoch.",
    "Near to `epoch`: the disk of the state folder or a sink is slow.", (), SHORT_SECONDS,
)  # fmt: skip
STATE_BYTES = Metric(
    "cem_state_bytes", "gauge", "Memory of the customers' histories in this worker.",
    "Grows without end: a rule keeps much; `cem state inspect` says which customers hold most.",
)  # fmt: skip
STATE_CUSTOMERS = Metric(
    "cem_state_customers", "gauge", "Customers with a history in this worker.",
    "Grows faster than the bank: producers send ids that are no customers.",
)  # fmt: skip
SINK_FAILURES = Metric(
    "cem_sink_failures_total", "counter", "Attempts to write that failed and were, or will be, made again.",
    "Rises: the log says what the sink answered.", ("sink",),
)  # fmt: skip
SINK_WAITING = Metric(
    "cem_sink_waiting", "gauge", "1 while the engine waits for the sink, which is away; otherwise 0.",
    "1 for a minute: bring the sink back. Nothing is lost; everything waits, and goes on by itself.", ("sink",),
)  # fmt: skip
SINK_ROWS = Metric(
    "cem_sink_rows_total", "counter", "Rows that are safe at the sink.",
    "Falls to 0 while decisions rise: see `cem_sink_waiting`.", ("sink",),
)  # fmt: skip
DELIVERY = Metric(
    "cem_delivery_seconds", "histogram", "From a decision's `ts` to its being safe at the sink.",
    "99th percentile above 1 s: lag, a slow sink (`cem_epoch_duration_seconds`), or producers that send late.",
    ("sink",), DELIVERY_SECONDS,
)  # fmt: skip
VIEWS_WRITTEN = Metric(
    "cem_views_written_total", "counter", "Customers' views written to Redis.",
    "Falls to 0: Redis is away; the log says so, and the engine goes on without it.",
)  # fmt: skip
VIEWS_DROPPED = Metric(
    "cem_views_dropped_total", "counter", "Views given up because too many waited; the next event makes one.",
    "Rises: Redis is away or slow, or `views.per_second` is low for so many customers.",
)  # fmt: skip
RESTARTS = Metric(
    "cem_restarts", "gauge", "How often the supervisor has started all workers again since it was started itself.",
    "Rises: a worker dies; the log before the restart says why.",
)  # fmt: skip
PAUSED_RULES = Metric(
    "cem_paused_rules", "gauge", "Rules that `cem rules pause` holds back now.",
    "Above 0 for long: somebody forgot `cem rules resume`.",
)  # fmt: skip
READY = Metric(
    "cem_ready", "gauge", "1 while `/readyz` says yes; otherwise 0.",
    "0: `/readyz` lists what is missing.",
)  # fmt: skip

METRICS = (
    EVENTS, DEAD_LETTERS, DUPLICATES, LATE, CLOCK_SKEW, TIMES_IN_SECONDS, DECISIONS, MODEL_ROWS, LAG, WATERMARK,
    BATCH, EPOCH, STATE_BYTES, STATE_CUSTOMERS, SINK_FAILURES, SINK_WAITING, SINK_ROWS, DELIVERY, VIEWS_WRITTEN,
    VIEWS_DROPPED, RESTARTS, PAUSED_RULES, READY,
)  # fmt: skip
"""Every metric, in the order of the document."""
