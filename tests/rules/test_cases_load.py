"""The rules and policies of every worked case load without an error."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rules.load import load_rules
from rules.policy import load_policy

CASES = sorted((Path(__file__).parent.parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case_loads(case: Path, tmp_path: Path) -> None:
    content = YAML(typ="safe", pure=True).load(case.read_text(encoding="utf-8"))
    rules_file = tmp_path / "rules.yaml"
    rules_file.write_text(content["rules"], encoding="utf-8")
    rule_set, found = load_rules([rules_file])
    assert rule_set is not None, [str(problem) for problem in found]
    assert [problem for problem in found if problem.is_error] == []
    assert len(rule_set.rules) == content["rules"].count("id: ")
    if "policy" in content:
        policy_file = tmp_path / "policy.yaml"
        policy_file.write_text(content["policy"], encoding="utf-8")
        policy, found = load_policy(policy_file)
        assert policy is not None, [str(problem) for problem in found]
        assert found == []


def test_there_are_cases() -> None:
    assert len(CASES) >= 30
