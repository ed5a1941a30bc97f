"""Tickets over restarts with another policy or other rules: what is followed on, and what no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import files_source
from flows.kernels import warm_up
from flows.loading import load
from flows.replay import ReplayJob, replay
from operators.decision import decision_digest
from tests.tickets.sla import local_ms

OPENED = local_ms("2026-03-02 09:00")
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
OTHER = "  - {id: other, trigger: label, when: False, then: [{tag: {}}]}\n"
ASKED = "  - {id: asked, trigger: click, then: [{ticket: {queue: desk}}]}\n"
RULES = f"version: 1\nrules:\n{OTHER}{ASKED}"
POLICY = """\
version: 1
tickets:
  calendar: china
  levels: [{name: l, escalate_to: head, first_response: 1h, resolution: 8h, statutory: 15d, warn: 0%}]
"""
TICKET = decision_digest(["asked", 1, "C1", "click", "o", OPENED, None, "ticket", 0])
FILLERS, BATCH_BYTES = 40, 700
Run = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Three runs over one state: the ticket is opened, what changed is at work, all is as it was."""
    warm_up()
    monkeypatch.setattr(files_source, "BATCH_BYTES", BATCH_BYTES)
    read, left = files_source._FilePartition.next_batch, [0]

    def next_batch(self: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("interrupted on purpose")
        return read(self)

    monkeypatch.setattr(files_source._FilePartition, "next_batch", next_batch)

    def line(event_id: str, at_ms: int, **said: Any) -> str:
        return json.dumps({"event_id": event_id, "customer_id": "C1", "ts": OPENED + at_ms, **said}) + "\n"

    def fillers(at_ms: int) -> list[str]:
        about = {"stream": "label", "subject_event_id": "x", "label": True}
        return [line(f"f{at_ms + n}", at_ms + n, **about) for n in range(FILLERS)]

    def message(event_id: str, at_ms: int, stage: str) -> str:
        return line(event_id, at_ms, stream="ticket", ticket_id=TICKET, stage=stage)

    def go(policy: str = POLICY, rules: str = RULES) -> list[tuple[Any, ...]]:
        parts = [
            [line("o", 0, stream="click"), *fillers(60_000)],
            [message("m1", 2 * HOUR_MS, "analysing"), *fillers(2 * DAY_MS)],
            [message(f"m{n}", 3 * DAY_MS, "accepted") for n in (2, 3)] + fillers(30 * DAY_MS),
        ]
        path = tmp_path / "events.ndjson"
        path.write_text("".join(text for part in parts for text in part), encoding="utf-8")
        sizes = [sum(map(len, part)) for part in parts]
        steps = [(POLICY, RULES, sizes[0] * 2 // 3), (policy, rules, sizes[1]), (POLICY, RULES, 10**9)]
        for policy_text, rules_text, size in steps:
            (tmp_path / "policy.yaml").write_text(policy_text, encoding="utf-8")
            (tmp_path / "rules.yaml").write_text(rules_text, encoding="utf-8")
            loaded = load([tmp_path / "rules.yaml"], tmp_path / "policy.yaml", [])
            assert loaded.rules is not None, loaded.problems
            left[0] = size // BATCH_BYTES
            interrupted = False
            try:
                replay(
                    ReplayJob(
                        loaded.rules, (path,), tmp_path / "out", loaded.policy, lateness_ms=0,
                        state=tmp_path / "state", epoch_ms=0,
                    )
                )  # fmt: skip
            except BaseException as error:
                interrupted = "on purpose" in repr(error) + repr(error.__cause__)
            assert interrupted == (size < 10**9)
        told = []
        for text in (tmp_path / "out" / "actions.ndjson").read_bytes().splitlines():
            decision = json.loads(text)
            said = decision["payload"]
            if decision["kind"] == "escalate":
                told.append((said["event"], said.get("clock"), (decision["ts"] - OPENED) / HOUR_MS, said.get("to")))
        return told

    return go


FIRST = ("breach", "first_response", 1, "head")
SKIPPED = ("illegal_transition", None, 2, "head")
LATER = [
    ("breach", "resolution", 24.5, "head"), *[("illegal_transition", None, 72, "head")] * 2,
    ("breach", "statutory", 15 * 24 + 15, "head"),
]  # fmt: skip


def test_all_the_same(run: Run) -> None:
    assert run() == [FIRST, SKIPPED, *LATER]


def test_a_ticket_keeps_its_limits(run: Run) -> None:
    assert run(POLICY.replace("8h", "1h").replace("15d", "1d")) == [FIRST, SKIPPED, *LATER]


def test_without_its_level_nobody_is_told_and_the_limits_stay(run: Run) -> None:
    first, skipped, resolution, *later = run(POLICY.replace("name: l,", "name: other,"))
    assert [first[:3], skipped[:3], resolution[:3]] == [FIRST[:3], SKIPPED[:3], LATER[0][:3]]
    assert [first[3], skipped[3], resolution[3]] == [None, None, None]
    assert later == LATER[1:]


@pytest.mark.parametrize(
    ("policy", "rules"),
    [
        ("version: 1\n", RULES),
        (POLICY, f"version: 1\nrules:\n{OTHER}"),
        (POLICY, f"version: 1\nrules:\n{OTHER}{ASKED.replace('trigger', 'status: paused, trigger')}"),
    ],
    ids=["no tickets", "no rule", "paused"],
)
def test_what_is_followed_no_more_stays_so(run: Run, policy: str, rules: str) -> None:
    assert run(policy, rules) == []
