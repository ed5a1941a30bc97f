"""Faults of the brokers. Producers wait for them too: the lateness is longer than the fault, so no event is late."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.faults.engine import EngineError
from benchmarks.faults.scenario import scenario
from benchmarks.faults.stage import DECISION_TOPICS, GROUP, PARTITIONS, SOURCE_TOPICS, Setup, Stage

_PATIENT = Setup(lateness="40s", lateness_full="150s", idle="10m", restarts_brokers=True)
_USUAL = Setup(restarts_brokers=True)
_TWO = replace(_PATIENT, brokers=2)
_ENDS_S = 60.0


@scenario("broker-frozen", "the broker says nothing for a minute (SIGSTOP)", _PATIENT)
def broker_frozen(stage: Stage) -> None:
    """Connections stay open."""
    stage.load(5)
    stage.brokers.freeze(1)
    stage.load(15, 60)
    stage.brokers.thaw(1)
    stage.load(10)


@scenario("broker-down", "the broker is stopped for a minute, and started with its data", _PATIENT)
def broker_down(stage: Stage) -> None:
    """In order, by SIGTERM."""
    stage.load(5)
    stage.brokers.stop(1)
    stage.load(15, 60)
    stage.brokers.start(1)
    stage.load(10)


@scenario("broker-killed", "the broker is killed, and started with its data", _PATIENT)
def broker_killed(stage: Stage) -> None:
    """At once."""
    stage.load(5)
    stage.brokers.kill(1)
    stage.brokers.start(1)
    stage.load(10)


@scenario(
    "broker-down-late",
    "the broker is stopped; events that waited for it are late",
    Setup(restarts_brokers=True),
    exact=False,
)
def broker_down_late(stage: Stage) -> None:
    """With a usual lateness: a partition read to its end follows the clock, and what its producer held back is late."""
    broker_down(stage)


@scenario("engine-started-without-broker", "the engine dies while the broker is away, and starts first", _PATIENT)
def engine_started_without_broker(stage: Stage) -> None:
    """It waits for the broker."""
    stage.load(5)
    stage.brokers.stop(1)
    stage.engine.kill()
    stage.engine.start(wait=False)
    stage.load(10, 60)
    stage.brokers.start(1)
    stage.engine.wait_ready()
    stage.load(5)


@scenario("leader-gone", "one of two brokers is gone, with the only copy of its partitions", _TWO)
def leader_gone(stage: Stage) -> None:
    """The other one goes on."""
    stage.load(5)
    stage.brokers.kill(2)
    stage.load(15, 60)
    stage.brokers.start(2)
    stage.load(10)


@scenario(
    "leader-gone-idle",
    "the same; its partitions become idle, events late",
    replace(_USUAL, brokers=2),
    exact=False,
)
def leader_gone_idle(stage: Stage) -> None:
    """With the usual settings the engine goes on without them, by the contract."""
    leader_gone(stage)


@scenario("leader-moves", "one of two brokers is gone, and the other has copies", replace(_TWO, replication=2))
def leader_moves(stage: Stage) -> None:
    """Its partitions get the other one as their leader."""
    leader_gone(stage)


@scenario("decision-topic-deleted", "a topic of decisions is deleted; the engine makes it again", Setup(lateness="3s"))
def decision_topic_deleted(stage: Stage) -> None:
    """Nothing that it held is asked for again."""
    stage.load(8)
    delete_decisions(stage)
    stage.load(15, 60)


def delete_decisions(stage: Stage) -> None:
    """Delete a topic; what it held is read before, with the engine standing still."""
    topic = DECISION_TOPICS[-1]
    stage.engine.freeze()
    stage.load(1)  # what is under way arrives
    stage.read_before += stage.brokers.read_all([topic])
    stage.brokers.delete(topic)
    stage.engine.thaw()


@scenario("source-topic-deleted", "a topic of events is deleted and made again", Setup())
def source_topic_deleted(stage: Stage) -> None:
    """The engine has read all of it. It stops and says so, and goes on when it was told from where."""
    topic = SOURCE_TOPICS[-1]
    stage.load(5)
    stage.traffic[0].stop()
    stage.engine.wait_for(lambda: not stage.brokers.lag(GROUP, SOURCE_TOPICS), "does not catch up", _ENDS_S)
    stage.brokers.delete(topic)
    stage.brokers.create([topic], PARTITIONS, stage.setup.replication)
    stage.send_traffic()
    code = stage.engine.wait_end(_ENDS_S)
    said = stage.engine.tail()
    if code != 3 or "made anew" not in said:
        raise EngineError(f"the loss of a topic is not told: code {code}\n{said}")
    stage.configure({"on_lost_offset": "earliest"})
    stage.engine.start()
    stage.load(5)
    if stage.engine.stop():
        raise EngineError(f"it does not stop in order\n{stage.engine.tail()}")
    stage.configure()
    stage.engine.start()
    stage.load(3)
