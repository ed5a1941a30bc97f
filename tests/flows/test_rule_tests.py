"""`cem rules test`: tests pass and fail as they should, none sees another, unheld thresholds are told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.loading import load
from flows.rule_test_command import run_mutants, run_tests
from rules.model import RuleSet
from rules.mutants import nudged

SEARCHES = """version: 1
timezone: Asia/Shanghai
rules:
  - id: searches
    trigger: click["还款" in query]
    let:
      searches: count(click["还款" in query], last="7d")
    when: searches >= 3
    unless: {event: click[action == "submit"], within: 24h}
    cooldown: 30d
    then: [notify: {channel: app, text: "{searches}次"}]
    tests:
"""
DEVICE = """version: 1
timezone: Asia/Shanghai
rules:
  - id: device
    trigger: txn[direction == "out"]
    let:
      people: distinct(txn[direction == "out"].customer_id, last="1h", per="device_id")
      odd: score("habits")
    when: people >= 2 and not odd < 0.5
    then: [alert: {text: "{txn.device_id} {txn.customer_id}"}]
    tests:
"""


def run(folder: Path, rules: str, tests: str, *options: str) -> tuple[int, str]:
    path = folder / "rules.yaml"
    lines = [f"      {line}\n" for line in tests.strip("\n").splitlines()]
    path.write_text(rules + "".join(lines), encoding="utf-8")
    result = CliRunner().invoke(app, ["rules", "test", str(path), *options])
    return result.exit_code, result.stdout


def results(folder: Path, rules: str, tests: str, *options: str) -> tuple[int, Any]:
    code, text = run(folder, rules, tests, "--json", *options)
    return code, json.loads(text)


def test_a_deadline_and_its_border(tmp_path: Path) -> None:
    code, found = results(tmp_path, SEARCHES, """
- name: not done
  events: [click: {query: 还款, times: 3, every: 1d}]
  expect: [notify: {at: +24h, features: {searches: 3}, payload: {text: 3次}}]
- name: done at the deadline
  events:
    - click: {query: 还款, times: 3, every: 1d}
    - click: {action: submit, at: +24h}
  expect: none
- name: the end comes first
  events: [click: {query: 还款, times: 3, every: 1d}]
  until: +23h
  expect: none
- name: not again for 30 days
  events: [click: {query: 还款, times: 4, every: 2d}]
  expect:
    - notify
    - notify: {decision: suppressed, reason: cooldown}
""")  # fmt: skip
    assert [rule["failures"] for rule in found["rules"]] == [[]]
    assert (code, found["rules"][0]["tests"]) == (0, 4)


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("none", "expected none, came notify of C1 at 2026-03-05 10:00"),
        ("[notify: {at: +25h}]", "expected notify at 2026-03-05 11:00, came notify of C1 at 2026-03-05 10:00"),
        ("[notify: {features: {searches: 4}}]", 'expected notify features {"searches": 4}, came notify'),
        ("[notify: {payload: {text: 4次}}]", 'expected notify payload {"text": "4次"}, came notify'),
        ("[notify: {customer: B}]", "expected notify of B, came notify of C1"),
        ("[notify, notify]", "expected notify, came notify of C1"),
        ("[notify: {decision: suppressed, reason: cap}]", "expected notify suppressed cap, came notify of C1"),
    ],
)
def test_what_fails_is_told_with_its_place(tmp_path: Path, expect: str, said: str) -> None:
    tests = f"- name: one\n  events: [click: {{query: 还款, times: 3, every: 1d}}]\n  expect: {expect}\n"
    code, text = run(tmp_path, SEARCHES, tests)
    assert code == 1
    line = 13 if expect == "none" else 15
    assert f"rules.yaml:{line}: searches, one: {said}" in text


def test_an_event_that_the_engine_refuses_fails_the_test(tmp_path: Path) -> None:
    code, found = results(tmp_path, SEARCHES, """
- name: bad
  events: [txn: {direction: out}]
  expect: none
- name: good
  events: [click: {query: 还款}]
  expect: none
""")  # fmt: skip
    assert code == 1
    messages = [failure["message"] for failure in found["rules"][0]["failures"]]
    assert messages == ["an event was refused: missing_field amount"]


def test_tests_do_not_see_each_other(tmp_path: Path) -> None:
    """Both use the same device at the same time: together they would be two customers of it."""
    one = "events: [txn: {amount: 1, direction: out, device_id: D, customer: %s}]\n  expect: none\n"
    code, found = results(tmp_path, DEVICE, f"- name: a\n  {one % 'A'}- name: b\n  {one % 'B'}")
    assert (code, found["rules"][0]["failed"]) == (0, 0)


def test_several_customers_and_given_scores(tmp_path: Path) -> None:
    code, found = results(tmp_path, DEVICE, """
- name: two of them
  events:
    - txn: {amount: 1, direction: out, device_id: D, customer: A}
    - txn: {amount: 1, direction: out, device_id: D, customer: B, scores: {habits: 0.9}}
  expect: [alert: {customer: B, features: {people: 2, odd: 0.9}, payload: {text: D B}}]
- name: as usual
  events:
    - txn: {amount: 1, direction: out, device_id: D, customer: A}
    - txn: {amount: 1, direction: out, device_id: D, customer: B, scores: {habits: 0.4}}
  expect: none
""")  # fmt: skip
    assert (code, found["rules"][0]["failures"]) == (0, [])


def test_a_rule_without_tests_is_told(tmp_path: Path) -> None:
    code, text = run(tmp_path, SEARCHES.removesuffix("    tests:\n"), "")
    assert code == 0
    assert text.splitlines()[1].split() == ["searches", "none", "-"]


def test_a_threshold_that_no_test_holds_is_told(tmp_path: Path) -> None:
    tests = "- name: a\n  events: [click: {query: 还款, times: 3, every: 1d}]\n  expect: [notify: {at: +24h}]\n"
    code, found = results(tmp_path, SEARCHES, tests, "--mutate")
    assert code == 1
    assert found["mutations"]["changed"] == 8
    unnoticed = {(m["was"], m["now"]) for m in found["mutations"]["unnoticed"]}
    assert unnoticed == {("7d", "10584m"), ("7d", "9576m"), ("30d", "756h"), ("30d", "684h")}
    places = {m["place"].rpartition("rules.yaml:")[2] for m in found["mutations"]["unnoticed"]}
    assert places == {"7:51", "10:15"}


def test_nudges() -> None:
    assert nudged("3") == ("4", "2")
    assert nudged("0") == ("1",)
    assert nudged("0.5") == ("0.525", "0.475")
    assert nudged("24h") == ("1512m", "1368m")


ROOT = Path(__file__).parents[2]
PACKS = [
    path for path in sorted((ROOT / "rules/packs").glob("*.yaml")) if "policy" not in path.name and path.stem != "demo"
]


def pack() -> RuleSet:
    loaded = load(PACKS)
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.rules is not None
    return loaded.rules


def test_the_pack_passes_its_tests() -> None:
    results_by_rule = run_tests(pack())
    assert len(results_by_rule) >= 40
    assert [failure for result in results_by_rule for failure in result.failures] == []


def test_the_rules_of_the_pack_say_what_they_are_for() -> None:
    for rule in pack().rules:
        said = (rule.title, rule.reason, rule.owner, rule.script, rule.tests)
        assert all(said), rule.id


def test_every_rule_of_the_pack_has_its_row() -> None:
    text = (ROOT / "docs/packs.md").read_text(encoding="utf-8").split("## What it found", 1)[0]
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \|", text, re.MULTILINE)
    assert sorted(listed) == sorted((rule.id, rule.title) for rule in pack().rules)


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_threshold_of_the_pack_is_held(path: Path) -> None:
    loaded = load([path])
    assert loaded.rules is not None
    changed, unnoticed = run_mutants(loaded.rules, [path], ("habits", "unusual_txn"))
    assert changed > 3
    assert [f"{m.rule.id} {m.was} {m.now}" for m in unnoticed] == []


def test_the_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/rules.md").read_text(encoding="utf-8").split("## Tests in the file", 1)[1]
    rules, shown = (
        re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for kind in ("yaml", "console")
    )
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(rules[0], encoding="utf-8")
    result = CliRunner().invoke(app, ["rules", "test", "--mutate", "my.yaml"])
    lines = shown[1].splitlines()[1:]
    assert result.stdout.splitlines() == lines[:-1]
    assert result.stderr.rpartition(" (")[0] == lines[-1].rpartition(" (")[0]
