"""Published data sets as events: the engine against the reference, and counts against the input.

The data is not part of the repository. `CEM_EVENTS_DIR` names a folder with one `.ndjson` file per set.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import pytest

from flows.replay import ReplayJob, replay
from rules.load import load_rules
from rules.policy import load_policy
from tests.reference.compare import compare
from tests.reference.engine import read_lines
from tests.reference.evaluator import evaluate

RULES = Path(__file__).parent.parent / "real" / "rules.yaml"
POLICY = RULES.with_name("policy.yaml")
FOLDER = os.environ.get("CEM_EVENTS_DIR")

pytestmark = pytest.mark.skipif(not FOLDER, reason="CEM_EVENTS_DIR names no folder of real event files")


def job(events: list[Path], out: Path, workers: int = 1) -> ReplayJob:
    rule_set, problems = load_rules([RULES])
    assert rule_set is not None, problems
    policy, problems = load_policy(POLICY)
    assert policy is not None, problems
    return ReplayJob(rule_set, tuple(events), out, policy, workers=workers)


def files() -> list[Path]:
    found = sorted(Path(FOLDER or "").glob("*.ndjson"))
    assert found, f"CEM_EVENTS_DIR={FOLDER}: no *.ndjson file there"
    return found


def sample(events: list[Path], folder: Path, customers_per_file: int, seed: int) -> list[Path]:
    """The events of some customers only, file by file; customers are drawn where they first appear."""
    sampled = []
    for path in events:
        lines = path.read_bytes().splitlines(keepends=True)
        ids = [json.loads(line)["customer_id"] for line in lines]
        wanted = set(Random(seed).sample(sorted(set(ids)), customers_per_file))
        target = folder / path.name
        target.write_bytes(b"".join(line for line, who in zip(lines, ids, strict=True) if who in wanted))
        sampled.append(target)
    return sampled


def test_a_sample_of_customers_equals_the_reference(tmp_path: Path) -> None:
    # fifty customers of each set; one seed, so that transactions and labels are of the same ones
    events = sample(files(), tmp_path, customers_per_file=50, seed=7)
    replay(job(events, tmp_path / "out"))
    want = evaluate(
        [RULES.read_text(encoding="utf-8")],
        POLICY.read_text(encoding="utf-8"),
        [path.read_bytes().splitlines() for path in events],
    )
    assert len(want.decisions) > 100
    assert compare(want.decisions, read_lines(tmp_path / "out" / "actions.ndjson")) is None


@pytest.mark.slow
def test_counts_of_the_whole_input_add_up(tmp_path: Path) -> None:
    events = files()
    summary = replay(job(events, tmp_path / "out", workers=2))
    lines = 0
    for path in events:
        with path.open("rb") as file:
            lines += sum(1 for _ in file)
    assert summary["dead_letters"] == {}
    assert sum(summary["events"].values()) == lines
    decided = sum(sum(by.values()) for by in summary["decisions"].values())
    with (tmp_path / "out" / "actions.ndjson").open("rb") as file:
        assert decided == sum(1 for _ in file)
