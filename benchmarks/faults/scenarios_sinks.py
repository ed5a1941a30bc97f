"""Faults of what the engine writes to: ClickHouse, Redis, its own disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from benchmarks.faults.engine import EngineError
from benchmarks.faults.scenario import scenario
from benchmarks.faults.stage import Setup, Stage
from flows.services.control import Wanted, start, stop


def _clickhouse_fault(stage: Stage, short: float, full: float, **fault: Any) -> None:
    assert stage.clickhouse is not None
    stage.load(5)
    stage.clickhouse.fault(**fault)
    stage.load(short, full)
    stage.clickhouse.heal()
    stage.notes["inserts_failed"] = stage.clickhouse.inserts_failed()
    stage.load(5)


@scenario("clickhouse-refuses", "ClickHouse refuses connections for five minutes")
def clickhouse_refuses(stage: Stage) -> None:
    """Those that there are were cut."""
    _clickhouse_fault(stage, 15, 300, refuse=True)


@scenario("clickhouse-errors", "every insert is answered with an error")
def clickhouse_errors(stage: Stage) -> None:
    """Out of memory, says the server."""
    _clickhouse_fault(stage, 10, 60, status=500)


@scenario("clickhouse-slow", "every answer takes three seconds")
def clickhouse_slow(stage: Stage) -> None:
    """Epochs take as long."""
    _clickhouse_fault(stage, 20, 120, delay_s=3.0)


@scenario("clickhouse-half-fails", "every other insert fails")
def clickhouse_half_fails(stage: Stage) -> None:
    """Before it took effect."""
    _clickhouse_fault(stage, 15, 60, fail_every=2)


@scenario("clickhouse-half-lost", "every other insert takes effect, and its answer is lost")
def clickhouse_half_lost(stage: Stage) -> None:
    """So the engine inserts what is there."""
    _clickhouse_fault(stage, 15, 60, fail_every=2, fail_after=True, drop=True)


@scenario("clickhouse-killed", "ClickHouse is killed, and started again with its data")
def clickhouse_killed(stage: Stage) -> None:
    """Its address stays."""
    assert stage.clickhouse is not None
    stage.load(5)
    stage.clickhouse.kill()
    stage.load(10, 300)
    stage.clickhouse.start()
    stage.load(5)


@scenario("stopped-without-clickhouse", "the engine is told to stop while ClickHouse is away", Setup(lateness="3s"))
def stopped_without_clickhouse(stage: Stage) -> None:
    """It stops in order, and what was not written is written after the next start."""
    assert stage.clickhouse is not None
    stage.load(5)
    stage.clickhouse.fault(refuse=True)
    stage.load(5)
    code = stage.engine.stop()
    if code:
        stage.notes["exit_code"] = code
    stage.clickhouse.heal()
    stage.engine.start()
    stage.load(5)


@scenario("redis-down", "Redis is away, and comes back empty", Setup(redis=True))
def redis_down(stage: Stage) -> None:
    """The flow does not notice, and views are written again."""
    assert stage.redis_url is not None
    folder = stage.folder / "redis"
    stage.load(5)
    stop(folder)
    stage.load(15, 60)
    start(folder, Wanted(("redis",)))
    with redis.Redis.from_url(stage.redis_url) as client:
        client.flushall()
        stage.load(5)
        stage.notes["views"] = sum(1 for _ in client.scan_iter("cem:customer:*", count=1000))
    if not stage.notes["views"]:
        raise EngineError(f"no view was written after Redis came back\n{stage.engine.tail()}")


@scenario("disk-full", "the state's disk is full, until somebody makes room", Setup(lateness="5s", small_disk=True))
def disk_full(stage: Stage) -> None:
    """The engine stands still, and goes on by itself."""
    stage.load(5)
    ballast = stage.state.parent / "ballast"
    _fill(ballast)
    stage.load(15, 60)
    ballast.unlink()
    stage.load(10)


def _fill(path: Path) -> None:
    """Write until there is no room, however small a piece."""
    with path.open("wb", buffering=0) as file:
        piece = 1 << 20
        while piece:
            try:
                file.write(b"\0" * piece)
            except OSError:
                piece //= 2
