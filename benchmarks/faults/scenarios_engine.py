"""Faults of the engine's own processes."""

from __future__ import annotations

import random
import time

from benchmarks.faults.scenario import scenario
from benchmarks.faults.stage import MODEL_RULES, MODELS, RULES, Setup, Stage

_AGAIN_S = 1.0


def _kill_workers(stage: Stage, times: int, *, after_s: tuple[float, float]) -> None:
    """SIGKILL to any of the workers: every other time when they work, else whenever one is there, still starting up."""
    rng = random.Random(1)
    for done in range(times):
        if done % 2 == 0:
            stage.engine.wait_ready()
            time.sleep(rng.uniform(*after_s))
        while not stage.engine.kill_worker(rng.randrange(stage.setup.workers)):
            time.sleep(rng.uniform(0, 2 * _AGAIN_S))
    stage.notes["kills"] = times


@scenario("worker-killed", "SIGKILL of the engine's process, again and again", Setup(lateness="3s"))
def worker_killed(stage: Stage) -> None:
    """Three times, or twenty."""
    stage.load(5)
    _kill_workers(stage, 20 if stage.pace.full else 3, after_s=(1.0, 8.0))
    stage.load(3)


@scenario("worker-killed-embedded", "the same, ClickHouse embedded", Setup(lateness="3s", clickhouse="embedded"))
def worker_killed_embedded(stage: Stage) -> None:
    """Three times, or twenty."""
    worker_killed(stage)


@scenario("one-of-two-killed", "SIGKILL of one worker of two", Setup(workers=2, lateness="3s"))
def one_of_two_killed(stage: Stage) -> None:
    """Twice, or ten times."""
    stage.load(5)
    _kill_workers(stage, 10 if stage.pace.full else 2, after_s=(1.0, 8.0))
    stage.load(3)


@scenario(
    "one-of-two-killed-with-models", "the same, every payment scored by models that learn",
    Setup(workers=2, lateness="3s", rules=(*RULES, MODEL_RULES), models=(MODELS,)),
)  # fmt: skip
def one_of_two_killed_with_models(stage: Stage) -> None:
    """Twice, or ten times."""
    one_of_two_killed(stage)


@scenario(
    "one-of-three-hosts-killed", "SIGKILL of one process of three that have their own addresses",
    Setup(workers=3, lateness="12s", hosts=("127.0.0.1", "127.0.0.2", "127.0.0.3")),
)  # fmt: skip
def one_of_three_hosts_killed(stage: Stage) -> None:
    """Twice, or ten times."""
    one_of_two_killed(stage)


@scenario("supervisor-killed", "SIGKILL of `cem run` itself, started again at once", Setup(lateness="3s"))
def supervisor_killed(stage: Stage) -> None:
    """Twice, or five times."""
    for _ in range(5 if stage.pace.full else 2):
        stage.load(5)
        stage.engine.kill()
        stage.engine.start()
    stage.load(3)


@scenario("stopped-and-started", "SIGTERM under load, and a start", Setup(lateness="3s"))
def stopped_and_started(stage: Stage) -> None:
    """Twice, or five times."""
    for _ in range(5 if stage.pace.full else 2):
        stage.load(5)
        code = stage.engine.stop()
        if code:
            stage.notes["exit_code"] = code
        stage.engine.start()
    stage.load(3)


@scenario("engine-frozen", "SIGSTOP of the engine's process, as when a machine sleeps", Setup(lateness="3s"))
def engine_frozen(stage: Stage) -> None:
    """Nothing is read meanwhile, and nothing of it may be late for that."""
    stage.load(5)
    stage.engine.freeze()
    stage.load(10, 60)
    stage.engine.thaw()
    stage.load(5)
