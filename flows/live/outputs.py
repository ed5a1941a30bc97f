"""The sinks of a live run, made from its settings."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bytewax.outputs import Sink

from config.settings import ClickHouseSink
from flows.dataflow import Outputs
from flows.failures import Report, watched
from flows.live.counts import MetersSink
from flows.live.job import LiveJob
from flows.live.left_parts import WRITER, LeftWriter
from flows.live.meters import Meters
from flows.live.views import LiveViews
from sinks.clickhouse_writer import ClickHouseWriter, Database, connect_embedded, connect_http
from sinks.contract import DeadLetterRefusals, Refused, SinkError, SinkEvents, Writer, WriterSink
from sinks.file_writer import FileSink
from sinks.kafka import KafkaDeadLetters, KafkaDecisions
from sinks.kafka_topics import NewTopics, Topics

_LOG = logging.getLogger(__name__)

ACTIONS, DEAD_LETTERS, REFUSED = "actions.ndjson", "dead_letters.ndjson", "refused.ndjson"


class Targets:
    """The targets that one process writes to.

    What a target refuses for its content becomes a dead letter on Kafka, or a line of ``refused.ndjson`` in the
    state's folder where there is no Kafka, or where the dead letter was refused as well. ``views``: null where the
    settings want none. ``left``: see ``left_parts``.
    """

    def __init__(
        self, job: LiveJob, index: int, meters: Meters, events: SinkEvents, left: Mapping[str, Sequence[str]]
    ) -> None:
        self._left = left
        self._job, self._index, self._meters, self._events = job, index, meters, events
        views = job.settings.views
        self.views = None if views is None else LiveViews(views, meters)
        self._database: Database | None = None
        clickhouse = job.settings.sinks.clickhouse
        if clickhouse is not None:
            self._database = Database(_connecting(clickhouse), clickhouse.database, job.policy.timezone)
        self._kafka_options: dict[str, Any] = {}
        self._topics: Topics | None = None
        if job.settings.sinks.kafka is not None:
            bootstrap, options = job.settings.kafka_writer()
            self._kafka_options = {**options, "bootstrap.servers": bootstrap}
            kafka = job.settings.sinks.kafka
            new = NewTopics(kafka.partitions, kafka.replication) if kafka.create_topics else None
            self._topics = Topics("kafka", self._kafka_options, kafka.topics.names(), events, new)

    def prepare(self) -> None:
        """Returns when all targets are there, with their topics and tables."""
        if self._topics is not None:
            self._topics.ensure()
        if self._database is not None:
            self._rows("clickhouse", "decisions", self._keep_refused).connect()

    def outputs(self, report: Report | None) -> Outputs:
        """The sinks, with a writer of each for what this process's own shards and reader give."""
        settings = self._job.settings.sinks
        actions: dict[str, Sink[Any]] = {}
        letters: dict[str, Sink[Any]] = {}
        archive: dict[str, Sink[Any]] = {}
        if settings.files is not None:
            actions["write_actions"] = _told(FileSink("files.actions", settings.files / ACTIONS, self._events), report)
            path = settings.files / DEAD_LETTERS
            letters["write_dead_letters"] = _told(FileSink("files.dead_letters", path, self._events), report)
        if settings.kafka is not None:
            self._add(actions, "kafka_actions", self._decisions, report)
            self._add(letters, "kafka_dead_letters", self._dead_letters, report)
        if settings.clickhouse is not None:
            tables = {"decisions": actions, "dead_letters": letters}
            if settings.clickhouse.events:
                tables["events"] = archive
            for table, steps in tables.items():
                self._add(steps, f"clickhouse_{table}", self._row_writer(table), report)
        shown: dict[str, Sink[Any]] = {}
        if self.views is not None:
            self._add(actions, "redis_decisions", self.views.decisions, report)
            self._add(shown, "redis_views", self.views.views, report)
        return Outputs(actions, letters, MetersSink(self._meters), archive, shown)

    def audit(self) -> Callable[[Sequence[bytes]], None] | None:
        """Writes changes of rules' pauses, and returns when they are safe; null where there is no table for them."""
        if self._database is None or self._index:
            return None
        writer = self._rows("clickhouse.rule_changes", "rule_changes", self._keep_refused)

        def write(lines: Sequence[bytes]) -> None:
            writer.write(lines)
            writer.flush()

        return write

    def close(self) -> None:
        """Let go of the database, and of Redis."""
        if self.views is not None:
            self.views.close()
        if self._database is not None:
            self._database.close()

    def _add(self, steps: dict[str, Sink[Any]], step: str, make: Callable[[], Writer], report: Report | None) -> None:
        workers = self._job.workers
        parts: dict[str, Callable[[], Writer]] = {WRITER.format(self._index): make}
        parts |= dict.fromkeys(self._left.get(step, ()), LeftWriter)
        steps[step] = _told(WriterSink(parts, lambda key: int(key.partition("-")[0]) % workers), report)

    def _decisions(self) -> Writer:
        kafka = self._job.settings.sinks.kafka
        assert kafka is not None
        assert self._topics is not None
        return KafkaDecisions(
            "kafka.decisions", self._kafka_options, kafka.topics.model_dump(exclude={"dead_letters"}), self._events,
            self._refusals("kafka.decisions"), unknown_topic=self._topics.create_again,
        )  # fmt: skip

    def _dead_letters(self) -> Writer:
        kafka = self._job.settings.sinks.kafka
        assert kafka is not None
        assert self._topics is not None
        return KafkaDeadLetters(
            "kafka.dead_letters", self._kafka_options, kafka.topics.dead_letters, self._events, self._keep_refused,
            unknown_topic=self._topics.create_again,
        )  # fmt: skip

    def _row_writer(self, table: str) -> Callable[[], Writer]:
        def make() -> Writer:
            if self._job.settings.sinks.kafka is None or table == "dead_letters":
                return self._rows(f"clickhouse.{table}", table, self._keep_refused)
            return self._rows(f"clickhouse.{table}", table, self._refusals(f"clickhouse.{table}"))

        return make

    def _refusals(self, of: str) -> Refused:
        made: list[DeadLetterRefusals] = []

        def refused(line: bytes, reason: str) -> None:
            if not made:  # a producer that is hardly ever needed is made when it is
                made.append(DeadLetterRefusals(self._dead_letters(), of))
            made[0](line, reason)

        return refused

    def _rows(self, name: str, table: str, refused: Refused) -> ClickHouseWriter:
        clickhouse = self._job.settings.sinks.clickhouse
        assert self._database is not None
        assert clickhouse is not None
        return ClickHouseWriter(name, table, self._database, self._events, refused, batch_rows=clickhouse.batch_rows)

    def _keep_refused(self, line: bytes, reason: str) -> None:
        path = self._job.state / REFUSED
        _LOG.error("a target refused a line (%s); it is in %s", reason, path)
        try:
            with path.open("ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SinkError(f"{path}: cannot be written: {error.strerror or error}; make room") from error


def _told(sink: Sink[Any], report: Report | None) -> Sink[Any]:
    return watched(sink, report, "build_part", "write_batch", "snapshot", "close")


def _connecting(settings: ClickHouseSink) -> Callable[[], Any]:
    url, path = settings.url, settings.path
    if url is not None:
        return lambda: connect_http(url.get_secret_value())
    assert path is not None
    return lambda: connect_embedded(path)
