"""The sinks of a live run, made from its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bytewax.outputs import Sink

from flows.dataflow import Outputs
from flows.failures import Report, watched
from flows.live.counts import MetersSink
from flows.live.job import LiveJob
from flows.live.meters import Meters
from sinks.contract import SinkEvents, Writer, WriterSink
from sinks.files import LinesSink
from sinks.kafka import KafkaDeadLetters, KafkaDecisions

ACTIONS, DEAD_LETTERS = "actions.ndjson", "dead_letters.ndjson"


def make_outputs(job: LiveJob, index: int, meters: Meters, events: SinkEvents, report: Report | None) -> Outputs:
    """The sinks as process ``index`` has them: a writer of each for what its own shards and reader give."""

    def sink(writer: Callable[[], Writer]) -> Sink[Any]:
        made = WriterSink({f"worker-{index:02d}": writer}, lambda key: int(key.partition("-")[0]) % job.workers)
        return watched(made, report, "build_part", "write_batch", "snapshot", "close")

    def file(name: str) -> Sink[Any]:
        assert folder is not None
        made = LinesSink(folder / name, durable=True)
        return watched(made, report, "build_part", "write_batch", "snapshot", "close")

    actions: dict[str, Sink[Any]] = {}
    letters: dict[str, Sink[Any]] = {}
    archive: dict[str, Sink[Any]] = {}
    folder = job.settings.sinks.files
    if folder is not None:
        actions["write_actions"], letters["write_dead_letters"] = file(ACTIONS), file(DEAD_LETTERS)
    kafka = job.settings.sinks.kafka
    if kafka is not None:
        bootstrap, options = job.settings.kafka_writer()
        options |= {"bootstrap.servers": bootstrap}
        topics = kafka.topics
        by_kind = topics.model_dump(exclude={"dead_letters"})

        def dead_letters() -> KafkaDeadLetters:
            return KafkaDeadLetters("kafka.dead_letters", options, topics.dead_letters, events, refused)

        def refused(line: bytes, reason: str) -> None:
            writer = dead_letters()
            raise NotImplementedError

        actions["kafka_actions"] = sink(lambda: KafkaDecisions("kafka.decisions", options, by_kind, events, refused))
        letters["kafka_dead_letters"] = sink(dead_letters)
    return Outputs(actions, letters, MetersSink(meters), archive)
