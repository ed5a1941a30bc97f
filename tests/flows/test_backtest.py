"""`cem backtest` over a small event file: every figure by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from flows.backtest.charts import columns, lines, pairs
from flows.backtest.compare import compare
from flows.cli import app
from flows.loading import load
from flows.replay import ReplayJob, replay
from operators.decision import decision_digest

T = 1_760_000_000_000  # 2025-10-09 16:53:20 in Shanghai
HOUR, DAY = 3_600_000, 86_400_000

OLD = """\
version: 1
timezone: Asia/Shanghai
rules:
  - id: search
    version: 1
    trigger: click["prepay" in query]
    let: {searches: 'count(click["prepay" in query], last="7d")'}
    when: searches >= 2
    cooldown: 30d
    then: [{ticket: {queue: manager, subject: "{searches}"}}]
  - id: same
    trigger: click[action == "help"]
    then: [{notify: {channel: app}}, {tag: {name: helped}}]
  - id: gone
    trigger: txn
    then: [{alert: {severity: low}}]
  - id: worded
    trigger: feedback
    then: [{ticket: {queue: care, subject: old words}}]
"""
NEW = """\
version: 1
timezone: Asia/Shanghai
rules:
  - id: search
    version: 2
    trigger: click["prepay" in query]
    let: {searches: 'count(click["prepay" in query], last="7d")'}
    when: searches >= 2
    cooldown: 1h
    then: [{ticket: {queue: manager, subject: "{searches}"}}]
  - id: same
    version: 7
    trigger: click[action == "help"]
    then: [{notify: {channel: app}}, {tag: {name: helped}}]
  - id: worded
    version: 2
    trigger: feedback
    then: [{ticket: {queue: care, subject: new words}}]
  - id: extra
    class: survey
    trigger: click[action == "help"]
    then: [{survey: {metric: csat}}]
"""


def event(stream: str, event_id: str, customer: str, ts: int, **fields: Any) -> dict[str, Any]:
    return {"stream": stream, "event_id": event_id, "customer_id": customer, "ts": ts, **fields}


EVENTS = [
    *(event("click", f"a{n}", "A", T + n * DAY, query="prepay") for n in range(3)),
    *(event("click", f"b{n}", "B", T + n * DAY + 1, query="prepay") for n in range(2)),
    event("click", "h", "C", T + 2 * DAY + 2, action="help"),
    event("txn", "x", "D", T + 2 * DAY + 3, amount=1, direction="in"),
    event("feedback", "f", "A", T + 2 * DAY + 4, metric="comment"),
    event("click", "quiet", "E", T + 2 * DAY + 5),
    event("click", "z", "A", T + 2 * DAY + 30_000),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    (folder / "old.yaml").write_text(OLD, encoding="utf-8")
    (folder / "new.yaml").write_text(NEW, encoding="utf-8")
    in_order = sorted(EVENTS, key=lambda event: event["ts"])
    (folder / "events.ndjson").write_text("\n".join(map(json.dumps, in_order)), encoding="utf-8")
    return folder


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["backtest", "--events", str(folder / "events.ndjson"), *options])


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    sides = ["--rules", str(folder / "old.yaml"), "--rules", str(folder / "new.yaml")]
    result = run(folder, *sides, "--out", str(folder / "out"), "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert json.loads((folder / "out" / "backtest.json").read_text(encoding="utf-8")) == found
    return found


def test_a_shorter_cooldown_changes_one_decision(report: dict[str, Any]) -> None:
    rule = report["rules"]["search"]
    assert (rule["old"], rule["new"]) == ({"emitted": 2, "cooldown": 1}, {"emitted": 2, "open_ticket": 1})
    assert (rule["changed"], rule["changed_in"]) == (1, {"reason": 1})
    assert (rule["added"]["emitted"], rule["removed"]["emitted"], rule["now_emitted"]) == (0, 0, 0)


def test_another_version_alone_is_no_change(report: dict[str, Any]) -> None:
    rule = report["rules"]["same"]
    assert rule["old"] == rule["new"] == {"emitted": 2}
    assert (sum(rule["added"].values()), sum(rule["removed"].values()), rule["changed"]) == (0, 0, 0)


def test_rules_that_come_and_go(report: dict[str, Any]) -> None:
    rules = report["rules"]
    assert rules["gone"]["removed"] == {"emitted": 1, "suppressed": 0}
    assert rules["gone"]["customers"] == {"old": 1, "new": 0, "gained": 0, "lost": 1}
    assert rules["extra"]["added"] == {"emitted": 1, "suppressed": 0}
    assert rules["extra"]["customers"] == {"old": 0, "new": 1, "gained": 1, "lost": 0}
    assert rules["worded"]["changed_in"] == {"payload": 1}


def test_load_by_queue_and_local_day(report: dict[str, Any]) -> None:
    assert report["days"] == ["2025-10-10", "2025-10-11"]
    assert report["queues"] == {
        "manager": {"old": [2, 0], "new": [2, 0]},
        "care": {"old": [0, 1], "new": [0, 1]},
    }


def test_contacts_per_customer(report: dict[str, Any]) -> None:
    assert report["customers"] == 5
    # A: a search ticket and a care ticket; B: a search ticket; C: a message, and with the new rules a survey
    assert report["contacts"] == {
        "old": {"0": 2, "1": 2, "2": 1, "3+": 0},
        "new": {"0": 2, "1": 1, "2": 2, "3+": 0},
    }


def test_each_change_is_a_line(report: dict[str, Any], folder: Path) -> None:
    changes = [json.loads(line) for line in (folder / "out" / "changes.ndjson").read_text("utf-8").splitlines()]
    found = sorted((one["change"], one["rule_id"], one["anchor_event_id"]) for one in changes)
    assert found == [
        ("added", "extra", "h"), ("changed", "search", "a2"), ("changed", "worded", "f"), ("removed", "gone", "x"),
    ]  # fmt: skip
    (worded,) = [one for one in changes if one["rule_id"] == "worded"]
    assert (worded["old"]["payload"]["subject"], worded["new"]["payload"]["subject"]) == ("old words", "new words")


def test_the_page_has_charts_that_are_well_formed(report: dict[str, Any], folder: Path) -> None:
    text = (folder / "out" / "backtest.html").read_text(encoding="utf-8")
    charts = re.findall(r"<svg.*?</svg>", text)
    assert len(charts) == 4  # rules, two queues (neither differs), contacts
    for chart in charts:
        ElementTree.fromstring(chart)
    assert "old.yaml" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_charts_escape_and_scale() -> None:
    bars = ElementTree.fromstring(pairs(["a<b"], [1], [4]))
    widths = [float(bar.attrib["width"]) for bar in bars if bar.tag.endswith("rect")]
    assert widths[1] == 4 * widths[0]
    assert next(text.text for text in bars if text.tag.endswith("text")) == "a<b"
    line = ElementTree.fromstring(lines("q & r", ["2025-01-01", "2025-01-02"], [0, 2], [2, 0]))
    old, new = [one.attrib["points"].split() for one in line if one.tag.endswith("polyline")]
    assert [point.split(",")[1] for point in old] == [point.split(",")[1] for point in reversed(new)]
    ElementTree.fromstring(columns(["1"], [0], [0]))


def test_text_for_people(folder: Path) -> None:
    several = ["--old", str(folder / "old.yaml"), "--new", str(folder / "new.yaml")]
    result = run(folder, *several)
    assert result.exit_code == 0, result.output
    cells = [line.split() for line in result.stdout.splitlines()]
    assert ["gone", "1", "0", "0", "1", "0", "0", "1"] in cells
    assert ["search", "cooldown", "1", "0"] in cells
    assert ["2", "1", "2", "+1"] in cells
    assert "10 events of 5 customers; decisions 2025-10-10 to 2025-10-11" in result.stdout


def test_policies_of_one_side(folder: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: 1\ncaps: [{class: "*", max: 1, per: 30d}]\n', encoding="utf-8")
    rules = str(folder / "old.yaml")
    result = run(folder, "--rules", rules, "--rules", rules, "--new-policy", str(policy), "--json")
    found = json.loads(result.stdout)["rules"]
    assert (found["worded"]["new"], found["worded"]["no_longer_emitted"]) == ({"cap": 1}, 1)
    assert found["same"]["new"] == {"emitted": 1, "cap": 1}
    assert found["gone"]["changed"] == 0


def test_an_event_that_comes_again_after_the_dedup_horizon(tmp_path: Path) -> None:
    """Its decision has the same id as the first one's, and is one of its own all the same."""
    rules, events = tmp_path / "r.yaml", tmp_path / "e.ndjson"
    rules.write_text("version: 1\nrules:\n  - {id: r, trigger: click, then: [{tag: {}}]}\n", encoding="utf-8")
    click = event("click", "e", "A", T)
    later = event("txn", "t", "A", T + DAY, amount=1, direction="in")
    events.write_text("\n".join(map(json.dumps, (click, later, click))), encoding="utf-8")
    loaded = load([rules])
    assert loaded.rules is not None
    for side in ("old", "new"):
        replay(ReplayJob(loaded.rules, (events,), tmp_path / side))
    files = [tmp_path / side / "actions.ndjson" for side in ("old", "new")]
    assert len(files[0].read_text(encoding="utf-8").splitlines()) == 2
    change = compare(files[0], files[1], {"r": "UTC"}).rules["r"]
    assert (change.old, change.new) == ({"emitted": 2}, {"emitted": 2})
    assert (sum(change.added.values()), sum(change.removed.values()), change.changed) == (0, 0, 0)


def test_tickets_are_closed_by_the_events_whatever_the_new_version(tmp_path: Path) -> None:
    """The events name tickets by the ids that the old version gave."""
    rule = "version: 1\nrules:\n  - {id: r, version: 3, trigger: click, then: [{ticket: {queue: q}}]}\n"
    old, new, events = tmp_path / "old.yaml", tmp_path / "new.yaml", tmp_path / "e.ndjson"
    old.write_text(rule, encoding="utf-8")
    new.write_text(rule.replace("version: 3", "version: 4"), encoding="utf-8")
    ticket_id = decision_digest(["r", 3, "A", "click", "e1", T, None, "ticket", 0])
    closed = event("ticket", "s", "A", T + HOUR, ticket_id=ticket_id, stage="closed")
    happened = [event("click", "e1", "A", T), closed, event("click", "e2", "A", T + 2 * HOUR)]
    events.write_text("\n".join(map(json.dumps, happened)), encoding="utf-8")
    sides = ["--rules", str(old), "--rules", str(new)]
    result = CliRunner().invoke(app, ["backtest", "--events", str(events), *sides, "--json"])
    rules = json.loads(result.stdout)["rules"]
    assert rules["r"]["old"] == rules["r"]["new"] == {"emitted": 2}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "give --rules OLD --rules NEW"),
        (["--rules", "old.yaml"], 2, "--rules is given twice"),
        (["--rules", "old.yaml", "--rules", "new.yaml", "--old", "old.yaml"], 2, "--rules has both sides"),
        (["--old", "old.yaml"], 2, "give --rules OLD --rules NEW"),
        (["--rules", "old.yaml", "--rules", "missing.yaml"], 1, "missing.yaml"),
        (["--rules", "old.yaml", "--rules", "new.yaml", "--events", "missing.ndjson"], 3, "missing.ndjson"),
    ],
)
def test_wrong_calls(folder: Path, options: list[str], code: int, said: str) -> None:
    places = [str(folder / one) if not one.startswith("--") else one for one in options]
    result = run(folder, *places)
    assert result.exit_code == code
    assert said in result.output
