"""`cem kpi --config`: the key figures of a live run."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner

from flows.cli import app
from sinks.clickhouse import Tables, open_embedded
from sinks.kpi_views import KPI_VIEWS
from tests.live.test_query_command import settings

SCORES = (10, 9, 9, 7, 3)


def test_the_figures_of_an_embedded_database(tmp_path: Path) -> None:
    config = settings(tmp_path, "{clickhouse: {path: db, database: bank}}")
    lines = [
        json.dumps(
            {"stream": "feedback", "event_id": f"e{n}", "customer_id": "C1", "ts": n, "metric": "nps", "score": s}
        )
        for n, s in enumerate(SCORES)
    ]
    with closing(open_embedded(tmp_path / "db")) as client:
        tables = Tables(client, "bank", "UTC")
        tables.create()
        tables.insert_events(line.encode() for line in lines)
    command = ["kpi", "voice", "--by", "tier,day", "--json", "--config", str(config)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.output)["tables"]["voice_by_tier_by_day"]
    assert (row["tier"], row["day"], row["n"], round(row["value"], 9)) == ("", "1970-01-01", 5, 40.0)
    with closing(open_embedded(tmp_path / "db")) as client:
        client.command(f"DROP VIEW bank.{KPI_VIEWS[-1]}")  # as an older version left it
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, "it has not all views of key figures" in done.output) == (3, True)


def test_settings_without_clickhouse_are_said(tmp_path: Path) -> None:
    config = settings(tmp_path, "{files: out}")
    done = CliRunner().invoke(app, ["kpi", "--config", str(config)])
    assert (done.exit_code, "has no sinks.clickhouse" in done.output) == (3, True)
