"""What a policy says of tickets is checked against the rules that open them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

RULES = """\
version: 1
rules:
  - {id: complaint, trigger: click, then: [{ticket: {queue: complaints, tier: gold}}, {tag: {color: red}}]}
"""
POLICY = """\
version: 1
tickets: {{calendar: always, routes: [{{for: {{tier: gold}}, set: {{desk: vip}}}}], levels: [{}]}}
"""


def _check(folder: Path, level: str) -> tuple[int, list[str]]:
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "policy.yaml").write_text(POLICY.format(level), encoding="utf-8")
    paths = [str(folder / "rules.yaml"), "--policy", str(folder / "policy.yaml")]
    result = CliRunner().invoke(app, ["rules", "check", *paths])
    return result.exit_code, [line.replace(f"{folder}/", "") for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("{quee: complaints}", "no ticket of the rules has `quee` in its payload (did you mean `queue`?)"),
        ("{clas: risk}", "no ticket of the rules has `clas` in its payload (did you mean `class`?)"),
        ("{color: red}", "no ticket of the rules has `color` in its payload (one of rule, class, desk, queue, tier)"),
        ("{rule: complant}", "no rule `complant` in the files that are checked (did you mean `complaint`?)"),
    ],
)
def test_a_condition_that_no_ticket_can_meet(tmp_path: Path, condition: str, said: str) -> None:
    code, lines = _check(tmp_path, f"{{name: a, for: {condition}}}")
    assert code == 0
    (line,) = lines
    assert line.startswith("policy.yaml:2:")
    assert line.endswith(f"W503 -: {said}")


def test_conditions_that_tickets_can_meet(tmp_path: Path) -> None:
    met = "{name: a, for: {queue: complaints, rule: complaint, class: risk, desk: vip}}"
    assert _check(tmp_path, met) == (0, [])
