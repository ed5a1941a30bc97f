"""Runs a case through the engine, in this process or with several, and compares everything it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.replay import ReplayJob, replay
from rules.load import load_rules
from rules.policy import Policy, load_policy
from tests.reference.compare import compare, compare_dead_letters
from tests.reference.generate import Case


def run_engine(case: Case, folder: Path, workers: int = 1, **more: Any) -> dict[str, Any]:
    """The summary; decisions and dead letters are in ``folder/out``. ``more``: of the job."""
    case.save(folder)
    rule_set, problems = load_rules([folder / f"rules-{i}.yaml" for i in range(len(case.rules))])
    assert rule_set is not None, "\n".join(map(str, problems))
    policy: Policy | None = Policy.default()
    if case.policy:
        policy, problems = load_policy(folder / "policy.yaml")
        assert policy is not None, "\n".join(map(str, problems))
    events = tuple(folder / f"part-{i}.ndjson" for i in range(len(case.partitions)))
    return replay(ReplayJob(rule_set, events, folder / "out", policy, workers=workers, **case.options, **more))


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def difference(case: Case, folder: Path, workers: int = 1, **more: Any) -> str | None:
    """The first difference between the engine and the reference, or none."""
    summary = run_engine(case, folder, workers, **more)
    want = case.run()
    got_dead = read_lines(folder / "out" / "dead_letters.ndjson")
    counts = {"duplicates": want.duplicates, "late": want.late, "pending": want.pending, "events": want.events}
    got = {name: summary[name] for name in counts}
    got["events"] = {k: v for k, v in got["events"].items() if v}
    counts["events"] = {k: v for k, v in counts["events"].items() if v}
    return (
        compare(want.decisions, read_lines(folder / "out" / "actions.ndjson"))
        or compare_dead_letters(want.dead_letters, got_dead)
        or (None if counts == got else f"counts: want {counts}, got {got}")
    )
