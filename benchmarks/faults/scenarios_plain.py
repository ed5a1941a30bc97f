"""No fault: a steady load, and a backlog. What the engine does then is what faults are compared with."""

from __future__ import annotations

import time

from benchmarks.faults.scenario import scenario
from benchmarks.faults.stage import PARTITIONS, SOURCE_TOPICS, Setup, Stage
from benchmarks.process import ROOT

DEMO = ROOT / "rules/packs/demo.yaml"

_BACKLOG_S = 1800.0


@scenario(
    "steady", "a steady load, with everything that a bank would have",
    Setup(lateness="500ms", clickhouse="embedded", redis=True, rules=(DEMO,)),
)  # fmt: skip
def steady(stage: Stage) -> None:
    """Half a minute, or ten."""
    stage.load(30, 600)


@scenario(
    "backlog", "a backlog worked off at full speed, from Kafka to Kafka",
    Setup(lateness="500ms", clickhouse="none", rules=(DEMO,)), own_begin=True,
)  # fmt: skip
def backlog(stage: Stage) -> None:
    """200,000 events, or five million; the rate beside that of the replay over the same events."""
    _work_off(stage)


@scenario(
    "backlog-archived", "the same, with every event kept in the embedded ClickHouse",
    Setup(lateness="500ms", clickhouse="embedded", rules=(DEMO,)), own_begin=True,
)  # fmt: skip
def backlog_archived(stage: Stage) -> None:
    """200,000 events, or five million."""
    _work_off(stage)


def _work_off(stage: Stage) -> None:
    events = int(stage.pace.seconds(200_000, 5_000_000))
    stage.brokers.create(SOURCE_TOPICS, PARTITIONS, stage.setup.replication)
    stage.configure()
    stage.send_backlog(events)
    began = time.monotonic()
    stage.engine.start(wait=False)
    stage.engine.wait_for(lambda: stage.engine.events_read() > 0, "reads nothing", 120.0)
    first, counted = time.monotonic(), stage.engine.events_read()
    stage.engine.wait_for(lambda: stage.engine.events_read() >= events, "does not get through", _BACKLOG_S)
    ended = time.monotonic()
    stage.notes |= {
        "backlog": events, "with_start_s": round(ended - began, 1),
        "events_per_second": round((events - counted) / (ended - first)),
    }  # fmt: skip
