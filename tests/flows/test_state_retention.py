"""What no window needs any more is dropped: over a long replay the state stays level."""

from __future__ import annotations

import json

from flows.state_inspect import inspect
from flows.state_rules import FolderRules
from flows.state_search import traces_of
from flows.state_verify import verify
from state import delta_store
from state.state_folder import StateFolder
from tests.flows.interrupted import run_until
from tests.reference.generate import Case

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
START_MS = 1_772_323_200_000

RULES = """\
version: 1
rules:
  - id: prepay
    trigger: click[page == "prepay"]
    let: {n: 'count(click[page == "prepay"], last="3d")', elements: 'distinct(click.element, last="2d")'}
    when: n >= 2
    cooldown: 2d
    then: [{tag: {name: hesitant}}]
  - id: unpaid
    trigger: click[page == "basket"]
    unless: {event: 'click[page == "paid"]', within: 1d}
    then: [{notify: {channel: app, text: "{click.query}"}}]
  - id: shared
    class: risk
    trigger: txn
    when: distinct(txn.customer_id, last="2d", per="device_id") >= 2
    then: [{alert: {queue: fraud}}]
"""
DAYS, PER_DAY = 40, 8


def case() -> Case:
    """Every day other customers and devices, for that day only; the time goes on evenly."""
    lines = []
    for day in range(DAYS):
        for number in range(PER_DAY * 4):
            customer = f"day-{day}-{number % PER_DAY}"
            event = {"event_id": f"{day}-{number}", "customer_id": customer}
            event["ts"] = START_MS + day * DAY_MS + number * (DAY_MS // (PER_DAY * 4))
            event |= {"stream": "click", "page": ("prepay", "basket")[number % 2], "query": customer, "element": "x"}
            lines.append(json.dumps(event).encode())
            paid = {"stream": "txn", "amount": 5, "direction": "out", "device_id": f"device-{day}-{number % 3}"}
            lines.append(json.dumps(event | paid | {"event_id": f"t{day}-{number}"}).encode())
    return Case([RULES], None, [lines], {"lateness_ms": HOUR_MS})


def test_the_state_stays_level(tmp_path, monkeypatch):
    monkeypatch.setattr(delta_store, "MIN_DELTAS_BYTES", 1)  # so that bases replace deltas as in a run of many events
    states = {}
    for days in (14, 36):
        folder = tmp_path / str(days)
        size = sum(len(line) + 1 for line in case().partitions[0])
        batch_bytes = size // DAYS
        assert run_until(case(), folder, batches=days, batch_bytes=batch_bytes)
        opened = StateFolder.inspect(folder / "state")
        found = inspect(opened, FolderRules(opened))
        assert verify(opened) == []
        states[days] = (
            found.survey.rows, found.survey.entities["device_id"], found.survey.remembered,
            sum(info.bytes for files in found.files.values() for info in files),
        )  # fmt: skip
        now_ms = min(found.survey.watermarks_ms)
        assert now_ms > START_MS + (days - 3) * DAY_MS
        assert min(found.oldest_ms.values()) > now_ms - 5 * DAY_MS
        today = (now_ms - START_MS) // DAY_MS
        for day in range(today - 10):
            traces = [str(trace) for number in range(PER_DAY) for trace in traces_of(opened, f"day-{day}-{number}")]
            assert not traces, traces
        assert list(traces_of(opened, f"day-{today - 1}-1"))
    for early, late in zip(states[14], states[36], strict=True):
        assert late < 1.5 * early + 10
    assert states[36][0] <= 6 * PER_DAY
