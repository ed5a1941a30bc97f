"""A live run that is started again with other numbers of processes decides as one that was never stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from live_kafka import KafkaServer

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

RULES = """
version: 1
rules:
  - id: often
    trigger: click
    let:
      n: count(click, last="1h")
      spent: sum(txn.amount, last="1h")
    then: [{tag: {name: "{n} {spent}"}}]
  - id: waits
    trigger: txn[amount >= 90]
    unless: {event: click, within: 20ms}
    cooldown: 30ms
    then: [{notify: {text: "{txn.amount}"}}]
  - id: shared
    trigger: txn
    let: {customers: 'distinct(txn.customer_id, last="1h", per="device_id")'}
    then: [{tag: {name: "{customers}"}}]
"""


def cem(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "flows.cli", *map(str, arguments)], check=True, env=ENVIRONMENT)


def decisions(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"}\n")]


class Bank:
    """Sends events with the time that it is, and keeps them as event files."""

    def __init__(self, kafka: KafkaServer, folder: Path) -> None:
        self._chance, self._count = random.Random(7), 0
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5})
        self.topics = {stream: kafka.new_topic(stream, partitions=3) for stream in ("click", "txn")}
        self.files = [folder / f"{topic}-{number}.ndjson" for topic in self.topics.values() for number in range(3)]

    def send(self, count: int) -> None:
        by_file: dict[Path, list[dict[str, Any]]] = {file: [] for file in self.files}
        now_ms = time.time_ns() // 1_000_000
        for i in range(count):
            self._count += 1
            customer = self._chance.randrange(12)
            event: dict[str, Any] = {"event_id": f"e{self._count}", "customer_id": f"C{customer}"}
            event["ts"] = now_ms - count + i
            stream = self._chance.choice(("click", "txn"))
            if stream == "txn":
                event |= {"amount": self._chance.randrange(100), "direction": "out", "device_id": f"D{customer % 4}"}
            by_file[self.files[customer % 3 + 3 * (stream == "txn")]].append(event | {"stream": stream})
        for number, (file, events) in enumerate(by_file.items()):
            with file.open("a") as lines:
                lines.writelines(json.dumps(event) + "\n" for event in events)
            for event in events:
                self._producer.produce(self.topics[event["stream"]], json.dumps(event), partition=number % 3)
        assert self._producer.flush(30) == 0

    @property
    def last_id(self) -> str:
        return f"e{self._count}"


def wait_for_decision(event_id: str, out: Path, process: subprocess.Popen[bytes]) -> None:
    last = time.monotonic() + 60
    while all(decision["anchor_event_id"] != event_id for decision in decisions(out / "actions.ndjson")):
        assert process.poll() is None, "the run has ended"
        assert time.monotonic() < last, f"no decision on {event_id}"
        time.sleep(0.05)


def test_decisions_do_not_depend_on_who_reads_what(tmp_path: Path, kafka: KafkaServer) -> None:
    bank = Bank(kafka, tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    config, out = tmp_path / "live.yaml", tmp_path / "out"
    out.mkdir()
    topics = ", ".join(f"{stream}: [{topic}]" for stream, topic in bank.topics.items())
    config.write_text(
        f"rules: [rules.yaml]\nstate: state\nlateness: 3s\nidle: 60s\n"
        f"source: {{bootstrap: '{kafka.bootstrap}', group: dealt.{os.getpid()}, topics: {{{topics}}}}}\n"
        f"sinks: {{files: out}}\nhttp: {{port: 0}}\n"
    )
    for workers in (2, 1):
        bank.send(200)
        command = [sys.executable, "-m", "flows.cli", "run", "--config", str(config), "--workers", str(workers)]
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(command, env=ENVIRONMENT, stderr=log)
        try:
            wait_for_decision(bank.last_id, out, process)
            bank.send(100)
            wait_for_decision(bank.last_id, out, process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (tmp_path / "log").read_text()[-2000:]
    live = decisions(out / "actions.ndjson")
    replayed = tmp_path / "replayed"
    events = [argument for file in bank.files for argument in ("--events", file)]
    cem("replay", "--rules", tmp_path / "rules.yaml", *events, "--out", replayed, "--lateness", "3s")
    expected = decisions(replayed / "actions.ndjson")
    assert not any(decision["late"] for decision in live), "the machine was too slow for this test"
    ids = [decision["action_id"] for decision in live]
    assert len(ids) == len(set(ids))
    live_by_id = {decision["action_id"]: decision for decision in live}
    expected_by_id = {decision["action_id"]: decision for decision in expected}
    assert {action: live_by_id.get(action) for action in expected_by_id} == expected_by_id
    # What waits at the end of a replay does not happen there.
    beyond = [decision for action, decision in live_by_id.items() if action not in expected_by_id]
    assert all(decision["rule_id"] == "waits" for decision in beyond)
    assert {decision["rule_id"] for decision in expected} == {"often", "waits", "shared"}
