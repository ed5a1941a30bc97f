"""Faults of what comes in: messages that are no events, and a clock that is wrong."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from benchmarks.faults.scenario import scenario
from benchmarks.faults.stage import Setup, Stage
from benchmarks.process import ROOT

_WRONG_CLOCK = Path(__file__).with_name("wrong_clock")
_DEPTH, _LARGE = 200_000, 5 << 20


@scenario("poison", "messages that are no events: garbage, 5 MB, deep JSON, wrong types, no UTF-8")
def poison(stage: Stage) -> None:
    """Each becomes a dead letter with its reason, or the event that it is after all."""
    stage.load(5)
    send_poison(stage)
    stage.load(10, 30)


def send_poison(stage: Stage) -> None:
    """Send one of each kind into the traffic."""
    now_ms = time.time_ns() // 1_000_000
    event = {"event_id": "poison", "customer_id": "poison", "ts": now_ms}
    bad: dict[bytes, str] = {
        b"garbage": "not_json",
        b"": "not_json",
        b"[1,2]": "not_object",
        b"\xff\xfe\x00": "not_json",
        b'{"event_id":"\xe4","customer_id":"c","ts":1}': "not_json",
        b"x" * _LARGE: "not_json",
        b"[" * _DEPTH: "not_json",
        b'{"a":' * _DEPTH: "not_json",
        _message(event, event_id=5): "wrong_type",
        _message(event, ts=str(now_ms)): "wrong_type",
        _message(event, ts=now_ms + 0.5): "wrong_type",
        _message(event, customer_id=None): "missing_field",
        b"{}": "missing_field",
        _message(event, event_id="x" * 129): "too_long",
        _message(event, event_id="ahead", ts=now_ms + 3_600_000): "future_ts",
        _message(event, event_id="minus", ts=-1): "bad_value",
        _message(event)[:-1] + b',"score":NaN}': "not_json",
        _message(event)[:-1] + b',"note":"\\ud800"}': "not_json",
    }
    good = [
        _message(event, event_id="large", note="x" * _LARGE),
        _message(event, event_id="odd", page=7, extra={"a": [1]}),
    ]
    topic = "bank.click"
    stage.brokers.send([(topic, b"poison", raw, 0) for raw in [*bad, *good]] + [(topic, None, None, 1)])
    stage.poison.letters.update(bad)
    stage.poison.events += [b'{"stream":"click",' + message[1:] for message in good]


def _message(event: dict[str, object], **changes: object) -> bytes:
    return json.dumps({**event, **changes}, separators=(",", ":")).encode()


@scenario("clock-behind", "the engine's clock is an hour behind, then right", Setup(lateness="30s"), own_begin=True)
def clock_behind(stage: Stage) -> None:
    """Events are further ahead of it than `max_ahead`: dead letters `future_ts`, all of which can be sent again."""
    _wrong_clock(stage, -3600)


@scenario("clock-ahead", "the engine's clock is an hour ahead, then right", exact=False, own_begin=True)
def clock_ahead(stage: Stage) -> None:
    """Partitions read to their end follow the clock: all events are late, for an hour, by the contract."""
    _wrong_clock(stage, 3600)


def _wrong_clock(stage: Stage, offset_s: int) -> None:
    wrong = {"PYTHONPATH": os.pathsep.join([str(_WRONG_CLOCK), str(ROOT)]), "WRONG_CLOCK_S": str(offset_s)}
    stage.begin(wrong)
    stage.load(10, 60)
    code = stage.engine.stop()
    if code:
        stage.notes["exit_code"] = code
    stage.engine.start()
    stage.load(10, 30)
