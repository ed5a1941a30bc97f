"""All that a scenario plays on: brokers, ClickHouse, the engine, traffic; and how a run of it ends in order."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec
from ruamel.yaml import YAML

from benchmarks.faults.clickhouse import ClickHouse
from benchmarks.faults.engine import Engine
from benchmarks.faults.kafka import Brokers
from benchmarks.faults.traffic import Traffic
from benchmarks.process import ROOT
from config.durations import parse_duration_ms
from flows.services.control import Wanted, start, stop
from flows.services.process import free_port, this_process

STREAMS = ("profile", "ticket", "label", "click", "txn", "feedback")
SOURCE_TOPICS = tuple(f"bank.{stream}" for stream in STREAMS)
DECISION_TOPICS = ("cem.ticket", "cem.survey", "cem.alert", "cem.tag", "cem.notify", "cem.suppressed")
DEAD_LETTER_TOPIC = "cem.dead-letters"
MODELS, MODEL_RULES = (Path(__file__).with_name(name) for name in ("models.yaml", "model_rules.yaml"))
RULES = (ROOT / "rules/packs/demo.yaml", Path(__file__).with_name("rules.yaml"))
POLICY = ROOT / "rules/packs/demo-policy.yaml"
GROUP, DATABASE = "faults", "cem"
PARTITIONS = 3
CATCH_UP_S = 180.0
_DISK_BYTES = 256 << 20
_PASSED_MS = 2_000  # event time goes so far beyond the last event before the engine is stopped


class UnplayableError(Exception):
    """This machine lacks what a scenario needs; the message says what."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a scenario wants to find.

    Attributes
    ----------
    lateness, lateness_full, idle
        Settings of the engine; the second is the lateness of the full form, if not the same. A lateness longer than the
        fault lasts keeps events in time whose producer had to wait, so that decisions must equal the replay's.
    clickhouse
        Over HTTP, the engine embedded in `cem run`, or none.
    small_disk
        The state has a file system of its own; whoever plays this must be allowed to mount.
    rules, models
        What it decides by; no models file for those that are shipped.
    restarts_brokers
        Brokers have to have their data when they come back.
    hosts
        Of each worker, an address of its own: `cem run --hosts`.
    """

    workers: int = 1
    brokers: int = 1
    replication: int = 1
    lateness: str = "5s"
    lateness_full: str | None = None
    idle: str = "5s"
    clickhouse: Literal["http", "embedded", "none"] = "http"
    redis: bool = False
    small_disk: bool = False
    rules: tuple[Path, ...] = RULES
    models: tuple[Path, ...] = ()
    restarts_brokers: bool = False
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard and how long: events a second, customers, and whether faults last as long as in earnest."""

    rate: float = 1000.0
    customers: int = 3000
    full: bool = False

    def seconds(self, short: float, full: float) -> float:
        """A time of the form that is played."""
        return full if self.full else short


@dataclass
class Poison:
    """What was sent beside the traffic: events' lines as files have them, and by raw message the reason to expect."""

    events: list[bytes] = field(default_factory=list)
    letters: dict[bytes, str] = field(default_factory=dict)


class Stage:
    """Everything of one scenario, in one folder; a context in which it is begun, and closed whatever happened."""

    def __init__(self, folder: Path, setup: Setup, pace: Pace) -> None:
        self.folder, self.setup, self.pace = folder, setup, pace
        self.config, self.state = folder / "live.yaml", folder / "disk" / "state"
        self.traffic: list[Traffic] = []
        self.poison = Poison()
        self.read_before: list[Any] = []  # messages of topics that were deleted later
        self.notes: dict[str, Any] = {}
        self.state.parent.mkdir(parents=True, exist_ok=True)

    @property
    def lateness(self) -> str:
        """The engine's, in the form that is played."""
        return self.setup.lateness_full if self.pace.full and self.setup.lateness_full else self.setup.lateness

    def __enter__(self) -> Stage:
        with ExitStack() as opened:
            if self.setup.small_disk:
                self._mount(opened)
            self.brokers = Brokers(self.folder / "services", self.setup.brokers, self.setup.replication)
            opened.callback(self.brokers.close)
            if self.setup.restarts_brokers and self.brokers.kind == "tansu":
                raise UnplayableError("the broker keeps nothing over a restart: Apache Kafka needs Java and Maven")
            self.clickhouse = ClickHouse(self.folder / "clickhouse") if self.setup.clickhouse == "http" else None
            if self.clickhouse is not None:
                opened.callback(self.clickhouse.close)
            self.redis_url = self._start_redis(opened) if self.setup.redis else None
            self.http_port = free_port()
            addresses = [f"{host}:{free_port()}" for host in self.setup.hosts]
            self.engine = Engine(self.config, self.setup.workers, self.http_port, self.folder / "engine.log", addresses)
            opened.callback(self.engine.close)
            opened.callback(self._close_traffic)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._opened.close()

    def _close_traffic(self) -> None:
        for traffic in self.traffic:
            traffic.close()

    def _mount(self, opened: ExitStack) -> None:
        at = str(self.state.parent)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=700", "tmpfs", at]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnplayableError(f"a file system cannot be mounted: {done.stderr.strip()}")
        opened.callback(subprocess.run, ["umount", "--lazy", at], check=True)

    # --- the run -----------------------------------------------------------------------------------

    def begin(self, environment: Mapping[str, str] | None = None) -> None:
        """Returns when the engine runs under load."""
        self.brokers.create(SOURCE_TOPICS, PARTITIONS, self.setup.replication)
        self.configure()
        self.engine.start(environment)
        self.send_traffic()

    def send_traffic(self) -> None:
        """Begin with (more) traffic; each time other events."""
        number = len(self.traffic) + 1
        record, log = self.folder / f"recorded-{number}", self.folder / "traffic.log"
        self.traffic.append(Traffic(self.config, record, log, self.pace.rate, self.pace.customers, seed=number))
        self.traffic[-1].wait_begun()

    def send_backlog(self, events: int) -> None:
        """Returns when so many events of the last hour are acknowledged."""
        record, log = self.folder / "recorded-backlog", self.folder / "traffic.log"
        self.traffic.append(Traffic(self.config, record, log, None, self.pace.customers, seed=1, backlog=events))
        self.traffic[-1].wait_ended()

    def load(self, short: float, full: float | None = None) -> None:
        """Let it run for so many seconds."""
        time.sleep(self.pace.seconds(short, short if full is None else full))

    def finish(self) -> None:
        """End the traffic, wait until all is read and decided, and stop the engine in order.

        Raises
        ------
        EngineError, TrafficError
            One of them does not get there.
        """
        for traffic in self.traffic:
            traffic.stop()
        self.catch_up()
        code = self.engine.stop()
        if code:
            self.notes["exit_code"] = code

    def catch_up(self) -> None:
        """Returns when everything recorded was read, kept, and passed by event time."""
        began = time.monotonic()
        self.engine.wait_for(lambda: not self.brokers.lag(GROUP, SOURCE_TOPICS), "does not catch up", CATCH_UP_S)
        self.notes["caught_up_after_s"] = round(time.monotonic() - began, 1)
        passed_s = (self.last_event_ms() + _PASSED_MS) / 1000

        def passed() -> bool:
            delay_s = self.engine.watermark_delay_s()
            return delay_s is not None and time.time() - delay_s > passed_s

        lateness_s = (parse_duration_ms(self.lateness) or 0) / 1000
        self.engine.wait_for(passed, "does not decide all: event time stands still", lateness_s + CATCH_UP_S)

    # --- what was sent -----------------------------------------------------------------------------

    def event_files(self) -> list[Path]:
        """The events that Kafka acknowledged, a file for each partition."""
        files = [path for traffic in self.traffic for path in sorted(traffic.record.glob("*.ndjson"))]
        if self.poison.events:
            path = self.folder / "poison.ndjson"
            path.write_bytes(b"".join(line + b"\n" for line in self.poison.events))
            files.append(path)
        return files

    def last_event_ms(self) -> int:
        """The highest time of an event."""
        decode = msgspec.json.Decoder(_HasTime).decode
        last = 0
        for path in self.event_files():
            for line in path.read_bytes().splitlines()[-100:]:
                last = max(last, decode(line).ts)
        return last

    # --- settings ----------------------------------------------------------------------------------

    def configure(self, source: Mapping[str, Any] | None = None) -> None:
        """Write the engine's settings; ``source`` adds to those of that section."""
        clickhouse = {"path": "./clickhouse"} if self.clickhouse is None else {"url": self.clickhouse.url}
        tables = {"clickhouse": {**clickhouse, "database": DATABASE}} if self.setup.clickhouse != "none" else {}
        settings: dict[str, Any] = {
            "rules": [*map(str, self.setup.rules)], "policy": str(POLICY), "state": str(self.state),
            "models": [*map(str, self.setup.models)], "lateness": self.lateness, "idle": self.setup.idle,
            "source": {
                "bootstrap": self.brokers.bootstrap, "group": GROUP,
                "topics": {stream: [topic] for stream, topic in zip(STREAMS, SOURCE_TOPICS, strict=True)},
                **(source or {}),
            },
            "sinks": {
                "kafka": {"create_topics": True, "partitions": PARTITIONS, "replication": self.setup.replication},
                **tables,
            },
            "http": {"host": "127.0.0.1", "port": self.http_port},
            "log": {"level": "info", "format": "text"},
        }  # fmt: skip
        if self.redis_url is not None:
            settings["views"] = {"url": self.redis_url, "every": "1s"}
        with self.config.open("w", encoding="utf-8") as file:
            YAML().dump(settings, file)

    def _start_redis(self, opened: ExitStack) -> str:
        redis = start(self.folder / "redis", Wanted(("redis",), redis_port=0), owner=this_process()).redis
        opened.callback(stop, self.folder / "redis")
        assert redis is not None
        return redis.url


class _HasTime(msgspec.Struct):
    ts: int


def lines_of(paths: Sequence[Path]) -> list[bytes]:
    """All lines of some files."""
    return [line for path in paths for line in path.read_bytes().splitlines()]
