"""Dashboards and alerts ask for what there is: metrics with their labels, and queries that the database answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from ruamel.yaml import YAML

from config.metrics import METRICS
from sinks.clickhouse import Tables, open_embedded

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
ALERTS = ROOT / "deploy/alerts.yml"
OF_HISTOGRAM = ("_bucket", "_sum", "_count")
SCRAPED = {"instance", "job", "le"}
MACROS = {
    r"\$__timeFilter\((\w+)\)": r"\1 >= toDateTime(0) AND \1 <= toDateTime(4000000000)",
    r"\$__timeInterval\((\w+)\)": r"toStartOfInterval(toDateTime(\1), INTERVAL 60 SECOND)",
}
DECISION = {
    "kind": "ticket", "rule_id": "r", "rule_version": 1, "class": "risk", "priority": 50, "customer_id": "C1",
    "ts": 1_760_000_000_000, "anchor_event_id": "e1", "holding_id": None, "decision": "emitted", "reason": None,
    "would_be": None, "open_ticket_id": None, "late": False, "features": {}, "payload": {"queue": "desk", "sla": "4h"},
}  # fmt: skip


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return found


def targets(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, target) of every query to a data source of this kind."""
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                if target["datasource"]["type"] == kind:
                    yield f"{path.stem}: {panel['title']}", target


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml(ALERTS)["groups"] for rule in group["rules"]]


EXPRESSIONS = [(where, target["expr"]) for where, target in targets("prometheus")]
EXPRESSIONS += [(rule["alert"], rule["expr"]) for rule in alerts()]
QUERIES = [(where, target["rawSql"]) for where, target in targets("grafana-clickhouse-datasource")]


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_metrics_and_labels_exist(where: str, expression: str) -> None:
    known = {
        name: set(metric.labels)
        for metric in METRICS
        for name in ([metric.name + end for end in OF_HISTOGRAM] if metric.kind == "histogram" else [metric.name])
    }
    used = set(re.findall(r"\bcem_\w+", expression))
    assert used or "up{" in expression
    assert used <= known.keys()
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")}
    chosen = set(re.findall(r"[{,]\s*(\w+)\s*[=!]~?", expression))
    assert grouped | chosen <= SCRAPED.union(*(known[name] for name in used))


def test_every_metric_of_trouble_has_an_alert() -> None:
    told = " ".join(rule["expr"] for rule in alerts())
    for name in ("cem_source_lag_events", "cem_watermark_delay_seconds", "cem_sink_waiting", "cem_events_total",
                 "cem_restarts", "cem_delivery_seconds", "cem_ready", "cem_clock_skew_rejected_total"):  # fmt: skip
        assert name in told, name


def test_every_alert_says_what_to_do() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    slugs = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ ([\w ,-]+)$", text, re.MULTILINE)}
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/operations.md"
        assert anchor in slugs, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["alert"] in text, rule["alert"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The embedded engine with the program's own schema and a row or two of each kind."""
    client = open_embedded(tmp_path_factory.mktemp("clickhouse"))
    tables = Tables(client)
    tables.create()
    events = [
        {"stream": "feedback", "metric": metric, "score": score, "touchpoint": "app"}
        for metric, score in (("nps", 10), ("nps", 9), ("nps", 3), ("csat", 5), ("csat", 2), ("ces", 4))
    ]
    events.append({"stream": "ticket", "ticket_id": "a1", "stage": "closed", "satisfaction": 4})
    events.append({"stream": "click", "error_code": "E1", "journey": "loan", "step": "confirm"})
    head = {"customer_id": "C1", "ts": 1_760_003_600_000}
    tables.insert_events(json.dumps({"event_id": f"e{n}"} | head | event).encode() for n, event in enumerate(events))
    tables.insert_decisions(json.dumps({"action_id": name} | DECISION).encode() for name in ("a1", "a2", "a3"))
    yield client
    client.close()


def rows(database: Client, sql: str) -> list[dict[str, Any]]:
    for macro, meaning in MACROS.items():
        sql = re.sub(macro, meaning, sql)
    assert "$" not in sql
    return list(database.query(sql).named_results())


@pytest.mark.parametrize(("where", "sql"), QUERIES, ids=[where for where, _ in QUERIES])
def test_queries_run(where: str, sql: str, database: Client) -> None:
    answer = rows(database, sql)
    assert answer or "rule_changes" in sql or "shadow" in sql or "complaint" in sql


def test_the_numbers_are_right(database: Client) -> None:
    answers = {where: rows(database, sql) for where, sql in QUERIES if "$__timeInterval" not in sql}
    assert answers["voice: NPS"] == [{"nps": pytest.approx(100 / 3)}]
    assert answers["voice: CSAT"] == [{"csat": 50.0}]
    assert answers["tickets: Open"] == [{"open": 2}]  # three were made, one is closed
    assert answers["tickets: Nobody has accepted"] == [{"n": 2}]
    assert answers["tickets: Over their time"] == [{"overdue": 2}]
    assert [(row["queue"], row["open"]) for row in answers["tickets: Open tickets by queue"]] == [("desk", 2)]


def test_dashboards_are_as_grafana_wants_them() -> None:
    provisioned = yaml(ROOT / "deploy/grafana/provisioning/datasources/datasources.yml")["datasources"]
    sources = {source["uid"]: source["type"] for source in provisioned}
    uids = set()
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        uids.add(dashboard["uid"])
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            for target in panel["targets"]:
                assert sources[target["datasource"]["uid"]] == target["datasource"]["type"]
                assert target["datasource"] == panel["datasource"]
    assert len(uids) == len(DASHBOARDS) == 5
