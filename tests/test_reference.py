"""The reference evaluator decides the contract's worked cases as they say."""

from pathlib import Path

import pytest

from tests.reference.compare import compare
from tests.reference.evaluator import evaluate
from tests.reference.rules import load_yaml

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_worked_case(path: Path) -> None:
    case = load_yaml(path.read_text(encoding="utf-8"))
    options = case.get("options") or {}
    named = {"lateness": "lateness_ms", "dedup": "dedup_ms", "until": "until_ms"}
    partitions = [[line.encode("utf-8") for line in part] for part in case["partitions"]]
    result = evaluate(
        [case["rules"]], case.get("policy"), partitions, **{named[name]: value for name, value in options.items()}
    )
    expect = case["expect"]
    assert compare(expect["decisions"], result.decisions) is None
    assert len(result.dead_letters) == expect.get("dead_letters", 0)
    assert result.duplicates == expect.get("duplicates", 0)
    assert result.late == expect.get("late", 0)
    assert result.pending == expect.get("pending", 0)
