"""`cem explain` of what a ticket's clocks and stages have led to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.loading import load
from flows.replay import ReplayJob, replay

RULES = """\
version: 1
rules:
  - id: unhappy
    trigger: feedback[score <= 2]
    then: [{ticket: {queue: care, to: M7}}]
"""
POLICY = """\
version: 1
caps: [{class: service, max: 2, per: 30d}]
tickets:
  calendar: china
  levels: [{name: care, first_response: 2h, escalate_to: head}]
"""
AT = 1_767_094_200_000  # Tuesday 2025-12-30 19:30 in Shanghai
DAY = 86_400_000


@pytest.fixture
def run(tmp_path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    events = [
        {"stream": "feedback", "event_id": "f1", "ts": AT, "score": 1},
        {"stream": "ticket", "event_id": "m1", "ts": AT + DAY, "ticket_id": "", "stage": "resolved", "note": "called"},
        {"stream": "feedback", "event_id": "f2", "ts": AT + 2 * DAY, "score": 1},
    ]
    paths = {name: str(tmp_path / name) for name in ("rules.yaml", "policy.yaml", "events.ndjson")}
    for _ in range(2):  # the first run tells the ticket's id
        text = "".join(json.dumps({"customer_id": "C1"} | event) + "\n" for event in events)
        (tmp_path / "events.ndjson").write_text(text, encoding="utf-8")
        loaded = load([tmp_path / "rules.yaml"], tmp_path / "policy.yaml", [])
        assert loaded.rules is not None, loaded.problems
        job = ReplayJob(loaded.rules, (tmp_path / "events.ndjson",), tmp_path / "out", loaded.policy)
        replay(job)
        made = [json.loads(line) for line in (tmp_path / "out" / "actions.ndjson").read_text().splitlines()]
        events[1]["ticket_id"] = made[0]["action_id"]
    asked = ["explain", "--rules", paths["rules.yaml"], "--policy", paths["policy.yaml"]]
    return [*asked, "--events", paths["events.ndjson"], "--action"], made


def test_a_breach(run: tuple[list[str], list[dict[str, Any]]]) -> None:
    command, made = run
    breach = next(one for one in made if one["payload"].get("event") == "breach")
    said = CliRunner().invoke(app, [*command, breach["action_id"]])
    assert said.exit_code == 0, said.output
    for part in (
        "Breach at 2025-12-31 11:00:00", "Escalated to head", "2 hours of open time (calendar china)", "level care",
        "opened by unhappy at 2025-12-30 19:30:00", "note = called", "created → resolved",
    ):  # fmt: skip
        assert part in said.output, part
    history = said.output[said.output.index("What happened to it") :].splitlines()[2:7]
    assert [line.split()[2] for line in history] == ["opened", "warning", "breach", "message", "illegal_transition"]


def test_lines_that_a_run_does_not_take_are_passed_over(
    run: tuple[list[str], list[dict[str, Any]]], tmp_path: Path
) -> None:
    command, made = run
    about = {"stream": "ticket", "event_id": "x", "customer_id": "C1", "ticket_id": made[0]["action_id"]}
    wrong = [about, about | {"ts": AT}, about | {"ts": "soon", "stage": "closed"}, about | {"ts": AT, "stage": ["x"]}]
    with (tmp_path / "events.ndjson").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in wrong)
        file.write(json.dumps(about)[:-1] + "\n")
    breach = next(one for one in made if one["payload"].get("event") == "breach")
    said = CliRunner().invoke(app, [*command, breach["action_id"], "--json"])
    assert said.exit_code == 0, said.output
    history = [one["what"] for one in json.loads(said.stdout)["history"]]
    assert [what for what in history if what.startswith("message")] == ["message resolved"]


def test_an_illegal_transition(run: tuple[list[str], list[dict[str, Any]]]) -> None:
    command, made = run
    wrong = next(one for one in made if one["payload"].get("event") == "illegal_transition")
    said = CliRunner().invoke(app, [*command, wrong["action_id"], "--json"])
    answer = json.loads(said.stdout)
    assert answer["question"] == "why_escalated"
    assert answer["ticket"]["action_id"] == made[0]["action_id"]
    assert any("said resolved while it was created" in sentence for sentence in answer["summary"])


def test_escalations_are_no_contacts(run: tuple[list[str], list[dict[str, Any]]]) -> None:
    command, made = run
    tickets = [one for one in made if one["kind"] == "ticket"]
    assert [one["reason"] for one in tickets] == [None, "open_ticket"]  # three escalations did not fill the cap of two
    said = CliRunner().invoke(app, [*command, tickets[0]["action_id"]])
    assert "Emitted" in said.output
    assert "0 of at most 2" in said.output


def test_dead_letters_and_deliveries_again_are_no_messages(run: tuple[list[str], list[dict[str, Any]]]) -> None:
    command, made = run
    path = Path(command[command.index("--events") + 1])
    lines = path.read_text(encoding="utf-8").splitlines()
    ticket = made[0]["action_id"]
    cut_off, listed = lines[1][:-9], json.dumps(["ticket", ticket])
    without_stage = json.dumps({**json.loads(lines[1]), "stage": None})
    text = "\n".join([*lines[:2], cut_off, listed, without_stage, *lines[1:], ""])
    path.write_text(text, encoding="utf-8")
    wrong = next(one for one in made if one["payload"].get("event") == "illegal_transition")
    said = CliRunner().invoke(app, [*command, wrong["action_id"], "--json"])
    assert said.exit_code == 0, said.output
    history = [one["what"] for one in json.loads(said.stdout)["history"]]
    assert history.count("message resolved") == 1
    assert "illegal_transition" in history
