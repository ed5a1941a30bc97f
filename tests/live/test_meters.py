"""Metrics: the names that operators rely on, and what moves them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.metrics import METRICS
from flows.live.counts import SecondsWarning, count_into
from flows.live.meters import Meters

ROOT = Path(__file__).resolve().parents[2]


def samples(meters: Meters) -> dict[str, float]:
    """Every sample that is ours, named as in the exposition format."""
    found = {}
    for family in text_string_to_metric_families(meters.render()[0].decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return {name: value for name, value in found.items() if name.startswith("cem_")}


def used() -> Meters:
    meters = Meters()
    meters.events("click", 3)
    meters.dead_letters("not_json", 2)
    meters.duplicates(4)
    meters.late(5)
    meters.rejected_clock_skew(6)
    meters.times_in_seconds(3)
    meters.model_rows("card_fraud", "scored", 3)
    meters.decisions("prepay", "emitted", 7)
    meters.decisions("prepay", "cooldown", 8)
    meters.lag("bank.click", 2, 9)
    meters.watermark(1.5)
    meters.batch("shard", 0.003)
    meters.epoch(0.2)
    meters.state(10_000, 11)
    meters.sink_failed("kafka")
    meters.sink_waiting("kafka", True)
    meters.sink_written("kafka", 12)
    meters.delivered("kafka", [0.3, 0.6, 700.0])
    meters.views_written(13)
    meters.views_dropped(14)
    meters.restarts(2)
    meters.paused_rules(1)
    meters.ready(True)
    return meters


def test_every_call_moves_its_metric() -> None:
    found = samples(used())
    expected = {
        'cem_events_total{stream="click"}': 3,
        'cem_dead_letters_total{reason="not_json"}': 2,
        "cem_duplicates_total": 4,
        "cem_late_events_total": 5,
        "cem_clock_skew_rejected_total": 6,
        "cem_times_in_seconds_total": 3,
        'cem_decisions_total{outcome="emitted",rule="prepay"}': 7,
        'cem_decisions_total{outcome="cooldown",rule="prepay"}': 8,
        'cem_source_lag_events{partition="2",topic="bank.click"}': 9,
        "cem_watermark_delay_seconds": 1.5,
        'cem_batch_duration_seconds_bucket{le="0.0025",stage="shard"}': 0,
        'cem_batch_duration_seconds_bucket{le="0.005",stage="shard"}': 1,
        "cem_epoch_duration_seconds_count": 1,
        "cem_state_bytes": 10_000,
        "cem_state_customers": 11,
        'cem_sink_failures_total{sink="kafka"}': 1,
        'cem_sink_waiting{sink="kafka"}': 1,
        'cem_sink_rows_total{sink="kafka"}': 12,
        'cem_delivery_seconds_bucket{le="0.5",sink="kafka"}': 1,
        'cem_delivery_seconds_bucket{le="1.0",sink="kafka"}': 2,
        'cem_delivery_seconds_bucket{le="60.0",sink="kafka"}': 2,
        'cem_delivery_seconds_bucket{le="+Inf",sink="kafka"}': 3,
        "cem_views_written_total": 13,
        "cem_views_dropped_total": 14,
        "cem_restarts": 2,
        "cem_paused_rules": 1,
        "cem_ready": 1,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_the_names_are_those_of_the_list_and_all_are_used() -> None:
    families = text_string_to_metric_families(used().render()[0].decode())
    exposed = {family.name + ("_total" if family.type == "counter" else ""): family for family in families}
    ours = {name for name in exposed if name.startswith("cem_")}
    assert ours == {metric.name for metric in METRICS}
    assert all(exposed[metric.name].type == metric.kind for metric in METRICS)
    assert all(exposed[metric.name].samples for metric in METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric: object) -> None:
    name, kind = metric.name, metric.kind  # type: ignore[attr-defined]
    assert re.fullmatch(r"cem_[a-z]+(_[a-z]+)*", name)
    assert name.endswith("_total") == (kind == "counter")
    assert kind != "histogram" or name.endswith("_seconds")


def test_times_in_seconds_are_counted_and_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    meters = Meters()
    count_into(meters, ("before_1973",), 3)
    assert samples(meters)["cem_times_in_seconds_total"] == 3
    now = 1_000.0
    warning = SecondsWarning(lambda: now)
    for now in (1_000.0, 1_001.0, 1_059.0, 1_060.0):  # noqa: B007 - the warning reads it
        warning.add(2)
    assert [record.getMessage().partition(" events have a ts before 1973")[0] for record in caplog.records] == [
        "2",
        "6",
    ]


def test_instances_count_apart() -> None:
    one, other = Meters(), Meters()
    one.duplicates(3)
    assert (samples(one)["cem_duplicates_total"], samples(other)["cem_duplicates_total"]) == (3, 0)


def test_the_process_itself_is_measured_and_openmetrics_is_spoken() -> None:
    meters = Meters()
    assert b"process_resident_memory_bytes" in meters.render()[0]
    body, content_type = meters.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_the_document_has_a_row_for_every_metric() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    expected = []
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        expected.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} | {metric.remedy} |")
    assert rows == expected
