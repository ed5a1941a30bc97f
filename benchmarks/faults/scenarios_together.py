"""Several faults in one run: what a suite of tests has the time for."""

from __future__ import annotations

from benchmarks.faults.scenario import scenario
from benchmarks.faults.scenarios_input import send_poison
from benchmarks.faults.scenarios_kafka import delete_decisions
from benchmarks.faults.stage import Setup, Stage

_MOMENT_S = 2.0


@scenario("together", "poison, ClickHouse that fails and refuses, SIGKILL of the engine", Setup(lateness="3s"))
def together(stage: Stage) -> None:
    """Each overlaps with the next."""
    assert stage.clickhouse is not None
    stage.load(_MOMENT_S)
    send_poison(stage)
    stage.clickhouse.fault(fail_every=2, fail_after=True, drop=True)
    stage.load(_MOMENT_S)
    stage.clickhouse.heal()
    stage.clickhouse.fault(refuse=True)
    stage.load(_MOMENT_S)
    stage.engine.kill_worker()
    stage.load(_MOMENT_S)
    stage.clickhouse.heal()
    stage.load(_MOMENT_S)


@scenario(
    "together-brokers", "SIGKILL of the broker and of one worker of two, a topic of decisions deleted",
    Setup(workers=2, lateness="12s", restarts_brokers=True),
)  # fmt: skip
def together_brokers(stage: Stage) -> None:
    """One after the other."""
    stage.load(_MOMENT_S)
    stage.brokers.kill(1)
    stage.engine.kill_worker(1)
    stage.brokers.start(1)
    stage.load(_MOMENT_S)
    delete_decisions(stage)
    stage.load(_MOMENT_S)
