"""Counts what the live engine does, for Prometheus; one registry for each instance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase

from config import metrics
from config.metrics import Metric

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads

EMITTED = "emitted"
"""The outcome of a decision that is not suppressed."""

Kind = TypeVar("Kind", bound=MetricWrapperBase)


class Meters:
    """The metrics of one worker; may be used from any thread. All names are in `config.metrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._events = self._make(Counter, metrics.EVENTS)
        self._dead_letters = self._make(Counter, metrics.DEAD_LETTERS)
        self._duplicates = self._make(Counter, metrics.DUPLICATES)
        self._late = self._make(Counter, metrics.LATE)
        self._clock_skew = self._make(Counter, metrics.CLOCK_SKEW)
        self._times_in_seconds = self._make(Counter, metrics.TIMES_IN_SECONDS)
        self._decisions = self._make(Counter, metrics.DECISIONS)
        self._model_rows = self._make(Counter, metrics.MODEL_ROWS)
        self._lag = self._make(Gauge, metrics.LAG)
        self._watermark = self._make(Gauge, metrics.WATERMARK)
        self._batch = self._histogram(metrics.BATCH)
        self._epoch = self._histogram(metrics.EPOCH)
        self._state_bytes = self._make(Gauge, metrics.STATE_BYTES)
        self._state_customers = self._make(Gauge, metrics.STATE_CUSTOMERS)
        self._sink_failures = self._make(Counter, metrics.SINK_FAILURES)
        self._sink_waiting = self._make(Gauge, metrics.SINK_WAITING)
        self._sink_rows = self._make(Counter, metrics.SINK_ROWS)
        self._delivery = self._histogram(metrics.DELIVERY)
        self._views_written = self._make(Counter, metrics.VIEWS_WRITTEN)
        self._views_dropped = self._make(Counter, metrics.VIEWS_DROPPED)
        self._restarts = self._make(Gauge, metrics.RESTARTS)
        self._paused_rules = self._make(Gauge, metrics.PAUSED_RULES)
        self._ready = self._make(Gauge, metrics.READY)

    def _make(self, kind: type[Kind], metric: Metric) -> Kind:
        return kind(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric.name, metric.meaning, metric.labels, registry=self.registry, buckets=metric.buckets)

    def events(self, stream: str, n: int) -> None:
        """So many more events of a stream were read."""
        self._events.labels(stream).inc(n)

    def dead_letters(self, reason: str, n: int) -> None:
        """So many more messages were no events."""
        self._dead_letters.labels(reason).inc(n)

    def duplicates(self, n: int) -> None:
        """So many more events were dropped as duplicates."""
        self._duplicates.inc(n)

    def late(self, n: int) -> None:
        """So many more events were late."""
        self._late.inc(n)

    def rejected_clock_skew(self, n: int) -> None:
        """So many more events were too far ahead of the wall clock."""
        self._clock_skew.inc(n)

    def times_in_seconds(self, n: int) -> None:
        """So many more events have a `ts` that is likely in seconds."""
        self._times_in_seconds.inc(n)

    def decisions(self, rule: str, reason_or_emitted: str, n: int) -> None:
        """So many more decisions of a rule were ``emitted``, or suppressed for a reason."""
        self._decisions.labels(rule, reason_or_emitted).inc(n)

    def model_rows(self, model: str, what: str, n: int) -> None:
        """A model did something with so many more rows."""
        self._model_rows.labels(model, what).inc(n)

    def lag(self, topic: str, partition: int, n: int) -> None:
        """So many messages of a partition are not read yet."""
        self._lag.labels(topic, partition).set(n)

    def watermark(self, delay_seconds: float) -> None:
        """How far the watermark is behind the wall clock."""
        self._watermark.set(delay_seconds)

    def batch(self, stage: str, seconds: float) -> None:
        """A batch took so long in a stage."""
        self._batch.labels(stage).observe(seconds)

    def epoch(self, seconds: float) -> None:
        """The end of an epoch took so long."""
        self._epoch.observe(seconds)

    def state(self, size_bytes: int, customers: int) -> None:
        """What the state holds now."""
        self._state_bytes.set(size_bytes)
        self._state_customers.set(customers)

    def sink_failed(self, sink: str) -> None:
        """An attempt to write failed."""
        self._sink_failures.labels(sink).inc()

    def sink_waiting(self, sink: str, waiting: bool) -> None:
        """Whether the engine waits for the sink; say False at the start, so that the series is there."""
        self._sink_waiting.labels(sink).set(waiting)

    def sink_written(self, sink: str, rows: int) -> None:
        """So many more rows are safe at the sink."""
        self._sink_rows.labels(sink).inc(rows)

    def delivered(self, sink: str, seconds: Iterable[float]) -> None:
        """Decisions are safe at the sink, so long after their `ts`."""
        observe = self._delivery.labels(sink).observe
        for each in seconds:
            observe(each)

    def views_written(self, n: int) -> None:
        """So many more views were written."""
        self._views_written.inc(n)

    def views_dropped(self, n: int) -> None:
        """So many more views were given up."""
        self._views_dropped.inc(n)

    def restarts(self, n: int) -> None:
        """How often all workers have been started again."""
        self._restarts.set(n)

    def paused_rules(self, n: int) -> None:
        """How many rules are paused now."""
        self._paused_rules.set(n)

    def ready(self, ready: bool) -> None:
        """What `/readyz` says now."""
        self._ready.set(ready)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the exposition format that the HTTP header ``accept`` asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
