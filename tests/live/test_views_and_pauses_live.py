"""A live run writes views to Redis, and a rule that is paused stops deciding within two seconds."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_kafka import KafkaServer
from live_redis import RedisServer

from sinks.redis_views import read_customer

ROOT = Path(__file__).parents[2]

RULES = """
version: 1
rules:
  - {id: often, trigger: click, let: {n: 'count(click, last="1h")'}, then: [{tag: {name: seen}}]}
"""


def cem(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "flows.cli", *map(str, arguments)], check=True, cwd=ROOT)


class Live:
    """A run, and the topic that it reads."""

    def __init__(self, folder: Path, kafka: KafkaServer, redis: RedisServer) -> None:
        self.kafka, self.redis, self.topic = kafka, redis, kafka.new_topic("click")
        self.actions = folder / "out" / "actions.ndjson"
        self.config = folder / "live.yaml"
        (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        self.config.write_text(
            f"rules: [rules.yaml]\nstate: state\nlateness: 0ms\n"
            f"source: {{bootstrap: '{kafka.bootstrap}', group: {self.topic}, topics: {{click: [{self.topic}]}}}}\n"
            f"sinks: {{files: out}}\nviews: {{url: '{redis.url}', every: 1s}}\nhttp: {{port: 0}}\n"
        )
        self._number = 0
        (folder / "out").mkdir()
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "run", "--config", str(self.config)], cwd=ROOT, stderr=self._log,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def click(self, customer: str) -> None:
        self._number += 1
        event = {"event_id": f"e{self._number}", "customer_id": customer, "ts": time.time_ns() // 1_000_000}
        self.kafka.produce(self.topic, [json.dumps(event).encode()])

    def decisions(self) -> list[dict[str, Any]]:
        if not self.actions.exists():
            return []
        return [json.loads(line) for line in self.actions.read_bytes().splitlines() if line.endswith(b"}")]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


def wait_for(holds: Callable[[], Any], within_s: float, what: str) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s, what
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def live(tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer) -> Iterator[Live]:
    run = Live(tmp_path, kafka, redis_server)
    yield run
    run.close()


def test_views_and_pauses(live: Live) -> None:
    customer = f"live {os.getpid()}"

    def fields() -> dict[str, Any]:
        return {
            name: json.loads(value) for name, value in read_customer(live.redis.url, customer).items()
            if name != "customer_id"
        }  # fmt: skip

    live.click(customer)
    wait_for(live.decisions, 240, "no decision")  # the kernels may have to be compiled
    wait_for(lambda: fields().get("features") == {"often": {"n": 1}}, 10, "no view")
    wait_for(lambda: fields()["tags"].keys() == {"seen"}, 10, "no tag")
    live.click(customer)
    wait_for(lambda: fields()["features"] == {"often": {"n": 2}}, 10, "no second view")

    cem("rules", "pause", "often", "--config", live.config)
    paused = time.monotonic()

    def reason() -> Any:
        count = len(live.decisions())
        live.click(customer)
        wait_for(lambda: len(live.decisions()) > count, 5, "no decision")
        return live.decisions()[-1]["reason"]

    wait_for(lambda: reason() == "paused", 5, "never paused")
    assert time.monotonic() - paused < 2.5  # two seconds, and until the decision is in the file
    wait_for(lambda: fields()["decisions"][0]["reason"] == "paused", 10, "not shown as paused")
    cem("rules", "resume", "often", "--config", live.config)
    wait_for(lambda: reason() is None, 5, "never resumed")
