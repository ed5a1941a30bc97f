"""Every worked case through the engine: rules and events in, exactly the expected decisions and counts out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference.compare import COUNTS, compare_with_expected
from tests.reference.engine import read_lines, run_engine
from tests.reference.worked import FILES, FOLDER, load_worked

# What the command line has to pass on: a policy, several partitions, every option.
BY_COMMAND = ["deferred", "order", "rises", "late"]
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
