"""Every worked case through the engine: rules and events in, exactly the expected decisions and counts out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference.compare import COUNTS, compare_with_expected
from tests.reference.engine import difference, read_lines, run_engine
from tests.reference.generate import Case
from tests.reference.worked import FILES, FOLDER, load_worked

# What the command line has to pass on: a policy, several partitions, every option.
BY_COMMAND = ["deferred", "order", "late", "own-until", "own-dedup-border"]
FLAGS = {"lateness_ms": "--lateness", "dedup_ms": "--dedup", "until_ms": "--until"}
ROOT = FOLDER.parent.parent


def difference_from(expect: dict, out: Path) -> str | None:
    """The first difference of what a replay wrote from what a case expects."""
    summary = json.loads((out / "summary.json").read_bytes())
    counts = {name: summary[name] for name in COUNTS}
    assert summary["dead_letters"].keys() <= {letter["reason"] for letter in read_lines(out / "dead_letters.ndjson")}
    assert sum(summary["dead_letters"].values()) == len(read_lines(out / "dead_letters.ndjson"))
    counts["dead_letters"] = sum(summary["dead_letters"].values())
    return compare_with_expected(expect, read_lines(out / "actions.ndjson"), counts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_worked_case(path: Path, tmp_path: Path) -> None:
    case, expect = load_worked(path)
    run_engine(case, tmp_path)
    assert difference_from(expect, tmp_path / "out") is None


@pytest.mark.parametrize("name", BY_COMMAND)
def test_worked_case_by_the_command_line(name: str, tmp_path: Path) -> None:
    case, expect = load_worked(FOLDER / f"{name}.yaml")
    case.save(tmp_path)
    command = [sys.executable, "-m", "flows.cli", "replay", "--rules", "rules-0.yaml", "--out", "out"]
    for number in range(len(case.partitions)):
        command += ["--events", f"part-{number}.ndjson"]
    if case.policy:
        command += ["--policy", "policy.yaml"]
    for option, value in case.options.items():
        command += [FLAGS[option], str(value) if option == "until_ms" else f"{value}ms"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert difference_from(expect, tmp_path / "out") is None


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    case, expect = load_worked(FOLDER / "absence.yaml")
    run_engine(case, tmp_path)
    wrong_count = expect | {"late": 1}
    less = expect | {"decisions": expect["decisions"][1:]}
    other = expect | {"decisions": [d | {"late": True} for d in expect["decisions"]]}
    for wrong in (wrong_count, less, other):
        assert difference_from(wrong, tmp_path / "out") is not None


def replayed(tmp_path: Path, rules: list[str], partitions: list[list[dict]], **options: int) -> Path:
    """The folder of what the engine writes, which is what the reference writes too."""
    lines = [[json.dumps(event).encode() for event in part] for part in partitions]
    case = Case(rules, None, lines, options)
    assert difference(case, tmp_path) is None
    return tmp_path / "out"


def test_rule_files_keep_their_timezones_and_share_one_order(tmp_path: Path) -> None:
    """The calendar is the file's, priorities and ids go over all files."""
    text = """
version: 1
timezone: {zone}
rules:
  - id: {name}
    priority: {priority}
    trigger: click
    let: {{today: 'count(click, this="day")', hr: hour(ts)}}
    then: [{{tag: {{}}}}]
  - {{id: {name}-tick, trigger: {{daily: "00:00"}}, then: [{{tag: {{}}}}]}}
"""
    files = [
        text.format(zone="Asia/Shanghai", name="east", priority=10),
        text.format(zone="America/New_York", name="west", priority=20),
    ]
    noon_ms = 1_760_011_200_000  # 2025-10-09 12:00 UTC: 20:00 in Shanghai, 08:00 in New York
    clicks = [
        {"stream": "click", "event_id": f"e{n}", "customer_id": "C", "ts": noon_ms + n * 4 * 3_600_000 - 1}
        for n in range(1, 4)
    ]
    profile = {"stream": "profile", "event_id": "p", "customer_id": "C", "ts": noon_ms}
    decisions = read_lines(replayed(tmp_path, files, [[profile, *clicks]]) / "actions.ndjson")
    found = {(d["rule_id"], d["anchor_event_id"]): d["features"] for d in decisions if d["anchor_event_id"]}
    assert [d["rule_id"] for d in decisions if d["anchor_event_id"] == "e1"] == ["west", "east"]
    assert [found["east", f"e{n}"] for n in (1, 2, 3)] == [
        {"today": 1, "hr": 23},
        {"today": 1, "hr": 3},
        {"today": 2, "hr": 7},
    ]
    assert [found["west", f"e{n}"] for n in (1, 2, 3)] == [
        {"today": 1, "hr": 11},
        {"today": 2, "hr": 15},
        {"today": 3, "hr": 19},
    ]
    ticks = [(d["rule_id"], d["ts"] - noon_ms) for d in decisions if d["anchor_event_id"] is None]
    assert ticks == [("east-tick", 4 * 3_600_000)]


@pytest.mark.parametrize(("max_jump_ms", "dead"), [(1000, [1001, 3000]), (999, [1000, 1001, 3000]), (0, [])])
def test_a_jump_ahead_is_a_dead_letter_but_the_first(max_jump_ms: int, dead: list[int], tmp_path: Path) -> None:
    """Against the highest `ts` of the partition so far, which a dead letter does not raise."""
    rules = "version: 1\nrules:\n  - {id: r, trigger: click, then: [{tag: {}}]}\n"
    first_ms = 1_760_000_000_000
    times = [0, 1001, 1000, 500, 3000]
    events = [
        {"stream": "click", "event_id": f"e{n}", "customer_id": "C", "ts": first_ms + ms} for n, ms in enumerate(times)
    ]
    out = replayed(tmp_path, [rules], [events], max_jump_ms=max_jump_ms)
    letters = read_lines(out / "dead_letters.ndjson")
    assert {(letter["reason"], letter["field"]) for letter in letters} <= {("future_ts", "ts")}
    assert sorted(json.loads(letter["raw"])["ts"] - first_ms for letter in letters) == dead
