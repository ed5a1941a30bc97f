"""The sections of a settings file; every description is a row of docs/configuration.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from config import setting_types as types
from config.setting_types import OptionMap, RelativePath, Servers, Switch, Text, Topic, TopicsByStream

ACTION_KINDS = ("ticket", "survey", "alert", "tag", "notify", "escalate")
SECOND_MS, DAY_MS = 1_000, 86_400_000
_CONNECTION = ("security.", "sasl.", "ssl.", "enable.ssl.", "socket.", "broker.", "client.", "metadata.", "https.")
"""Beginnings of the options of librdkafka that consumers and producers share."""


class Section(BaseModel):
    """Base of the sections: keys that it does not know are refused, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


def described(text: str, default: Any = ..., key: str | None = None) -> Any:
    """A setting: what it means, its default as a file would give it, its key where the attribute has another name."""
    return Field(default, description=text, alias=key)


class Source(Section):
    """Where events come from."""

    bootstrap: Servers = described("Kafka servers to begin with, `host:port`, separated by commas.")
    group: Text = described("Consumer group under which offsets are committed, for tools that show the lag.", "cem")
    options: OptionMap = described(
        "Passed on to librdkafka: `security.protocol`, `sasl.…`, `ssl.…`, `client.rack` and so on.", {}
    )
    topics: TopicsByStream = described(
        "The topics of each stream: `profile`, `ticket`, `label`, `click`, `txn`, `feedback`. "
        "A stream without topics has no events."
    )
    start: Annotated[Literal["earliest", "latest"], types.one_of("earliest", "latest")] = described(
        "Where to begin in a partition that was never read: `earliest` or `latest`.", "earliest"
    )
    on_lost_offset: Annotated[Literal["error", "earliest", "latest"], types.one_of("error", "earliest", "latest")] = (
        described(
            "When what was to be read next is no longer kept by Kafka: `error` stops with a message, "
            "`earliest` goes on with the oldest that is left, `latest` with what comes.",
            "error",
        )
    )
    poll_ms: Annotated[int, types.duration(1, SECOND_MS)] = described(
        "How long messages are gathered into one batch.", "50ms", "poll"
    )


class KafkaTopics(Section):
    """The topics that decisions and dead letters are written to; kinds may share one."""

    ticket: Topic = described("Emitted tickets.", "cem.ticket")
    survey: Topic = described("Emitted surveys.", "cem.survey")
    alert: Topic = described("Emitted alerts.", "cem.alert")
    tag: Topic = described("Emitted tags.", "cem.tag")
    notify: Topic = described("Emitted notifications.", "cem.notify")
    escalate: Topic = described(
        "Emitted escalations: warnings and breaches of tickets, and what rules escalate.", "cem.escalate"
    )
    suppressed: Topic | None = described(
        "Suppressed decisions of all kinds, with their reason; `null`: not written to Kafka.", "cem.suppressed"
    )
    dead_letters: Topic = described(
        "Messages that are no events, as they came, with the reason in headers.", "cem.dead-letters"
    )

    def of_kind(self, kind: str) -> str:
        """The topic of emitted decisions of ``kind``. Raises KeyError for one that the contract does not know."""
        return {name: str(getattr(self, name)) for name in ACTION_KINDS}[kind]

    def names(self) -> tuple[str, ...]:
        """Every topic once."""
        written = [*(self.of_kind(kind) for kind in ACTION_KINDS), self.suppressed, self.dead_letters]
        return tuple(dict.fromkeys(topic for topic in written if topic is not None))


class KafkaSink(Section):
    """Decisions and dead letters to Kafka."""

    bootstrap: Servers | None = described("Kafka servers; `null`: those of `source`, with its security options.", None)
    options: OptionMap = described("Passed on to librdkafka's producer.", {})
    topics: KafkaTopics = described("The topics.", {})
    create_topics: Switch = described("Create topics that are missing; otherwise a missing one is an error.", False)
    partitions: Annotated[int, types.whole(1, 10_000)] = described("Partitions of a topic that is created.", 3)
    replication: Annotated[int, types.whole(1, 100)] = described("Replicas of a topic that is created.", 1)


class ClickHouseSink(Section):
    """Events, decisions and dead letters to ClickHouse; exactly one of `url` and `path`."""

    url: Annotated[SecretStr, types.url("http", "https")] | None = described(
        "A server's HTTP address, `http://user:password@host:8123`; special characters of the password "
        "percent-encoded.",
        None,
    )
    path: RelativePath | None = described(
        "Folder of the embedded engine instead of a server: for a laptop, with one worker.", None
    )
    database: types.Database = described("Database; created if it is missing.", "cem")
    events: Switch = described("Keep the events too, not only decisions and dead letters.", True)
    batch_rows: Annotated[int, types.whole(1, 1_000_000)] = described("Rows of one insert at most.", 50_000)

    @property
    def shown(self) -> str:
        """The server or folder as a message may show it."""
        return str(self.path) if self.url is None else types.without_credentials(self.url)


class Sinks(Section):
    """Where decisions and dead letters go: at least one of these."""

    kafka: KafkaSink | None = described("To Kafka; `{}` for all defaults.", None)
    clickhouse: ClickHouseSink | None = described("To ClickHouse.", None)
    files: RelativePath | None = described("To `actions.ndjson` and `dead_letters.ndjson` in this folder.", None)


class Views(Section):
    """A view of each customer in Redis, for desks to read."""

    url: Annotated[SecretStr, types.url("redis", "rediss", "unix")] = described(
        "Redis, `redis://user:password@host:6379/0`; `rediss://` for TLS."
    )
    every_ms: Annotated[int, types.duration(100, DAY_MS)] = described(
        "At most one view of a customer is written in this time.", "10s", "every"
    )
    lifetime_ms: Annotated[int, types.duration(SECOND_MS)] = described(
        "A view that is not written again disappears after this.", "30d", "lifetime"
    )
    per_second: Annotated[int, types.whole(1, 100_000)] = described(
        "At most so many views a second are computed by each worker; the others wait.", 200
    )

    @property
    def shown(self) -> str:
        """The server as a message may show it."""
        return types.without_credentials(self.url)


class Http(Section):
    """Metrics and health."""

    host: Text = described("Address to listen on; `0.0.0.0` for all.", "127.0.0.1")
    port: Annotated[int, types.whole(0, 65_000)] = described(
        "Worker number i of one machine listens on this port + i, one of several hosts on it: `/metrics`, `/healthz`, "
        "`/readyz`; `0`: any free port.",
        9400,
    )


class Log(Section):
    """What is logged, to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], types.one_of("debug", "info", "warning", "error")
    ] = described("The least that is logged: `debug`, `info`, `warning`, `error`.", "info")
    format: Annotated[Literal["json", "text"], types.one_of("json", "text")] = described(
        "`json`: one object a line, for log stores; `text`: for people.", "json"
    )
    mask: Switch = described("Replace customer ids by a keyed hash, and leave messages out.", True)
    mask_key: types.Secret | None = described(
        "Key of that hash: with it a customer has the same one everywhere; `null`: another one in each process.",
        None,
    )


class LiveSettings(Section):
    """Everything that a live run is told by its settings file."""

    rules: types.Paths = described("Rule files; together they are one set.")
    policy: RelativePath | None = described("Contact policy: control group, caps, quiet hours.", None)
    models: list[RelativePath] = described("Models files, for `score(…)`; none: the one that is shipped.", [])
    text_model: RelativePath | None = described(
        "Model of the sentiment of feedback, made by `cem text train`; `null`: the one that is shipped.", None
    )
    state: RelativePath = described("Folder that the state and the offsets are kept in.")
    lateness_ms: Annotated[int, types.duration(0, DAY_MS)] = described(
        "How far out of order a partition may be: decisions wait for it, events beyond it are late.",
        "500ms",
        "lateness",
    )
    dedup_ms: Annotated[int, types.duration(0)] = described(
        "An event seen again within this is dropped.", "1h", "dedup"
    )
    idle_ms: Annotated[int, types.duration(100, DAY_MS)] = described(
        "A partition that is silent for so long no longer holds the others back.", "5s", "idle"
    )
    epoch_ms: Annotated[int, types.duration(50, 600 * SECOND_MS)] = described(
        "How often state and offsets are written, and sinks made safe.", "1s", "epoch"
    )
    max_jump_ms: Annotated[int, types.duration(0)] = described(
        "An event this far above the highest time of its partition is a dead letter; `0`: no limit.",
        "366d",
        "max_jump",
    )
    max_ahead_ms: Annotated[int, types.duration(0)] = described(
        "An event this far ahead of the wall clock is a dead letter; `0`: no limit.", "5m", "max_ahead"
    )
    compact_after_ms: Annotated[int, types.duration(0)] = described(
        "Clear out what no rule can see any more whenever event time has gone on by this.", "1d", "compact_after"
    )
    source: Source = described("Where events come from.")
    sinks: Sinks = described("Where decisions and dead letters go; at least one.")
    views: Views | None = described("A view of each customer in Redis; without it there are none.", None)
    http: Http = described("Metrics and health.", {})
    log: Log = described("What is logged.", {})

    def kafka_writer(self) -> tuple[str, dict[str, str]]:
        """Servers and librdkafka options for what is written to Kafka.

        Where `sinks.kafka` names no servers, they are the source's, with those of its options that are about the
        connection. Raises ValueError without `sinks.kafka`.
        """
        sink = self.sinks.kafka
        if sink is None:
            raise ValueError("nothing is written to Kafka")
        if sink.bootstrap is not None:
            return sink.bootstrap, dict(sink.options)
        shared = {name: value for name, value in self.source.options.items() if name.startswith(_CONNECTION)}
        return self.source.bootstrap, shared | sink.options
