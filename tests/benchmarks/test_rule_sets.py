"""The benchmark's rules: valid without a word of warning, the same on every call, different among themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rule_sets import BANK, POLICY, rules_text, variations, write_rules
from rules.load import load_rules
from rules.model import RuleSet
from rules.policy import load_policy


def loaded(path: Path) -> RuleSet:
    rules, problems = load_rules([path])
    assert [str(problem) for problem in problems] == []
    assert rules is not None
    return rules


@pytest.mark.parametrize("count", [10, 30, 100, 300])
def test_so_many_rules_load_without_errors_and_warnings(tmp_path: Path, count: int) -> None:
    assert len(loaded(write_rules(tmp_path / "rules.yaml", count)).rules) == count


def test_other_seeds_give_valid_rules_too(tmp_path: Path) -> None:
    for seed in range(3):
        loaded(write_rules(tmp_path / "rules.yaml", 155, seed=seed))


def test_the_policy_loads() -> None:
    policy, problems = load_policy(POLICY)
    assert policy is not None
    assert problems == []


def test_thirty_are_the_bank_s_and_smaller_sets_lie_in_larger_ones(tmp_path: Path) -> None:
    bank = [rule.id for rule in loaded(BANK).rules]
    ids = {n: [rule.id for rule in loaded(write_rules(tmp_path / f"{n}.yaml", n)).rules] for n in (10, 30, 100, 300)}
    assert ids[30] == bank
    assert ids[10] == bank[:10]
    assert ids[100] == ids[300][:100]
    assert ids[100][:30] == bank


def test_the_same_seed_gives_the_same_text_and_another_one_others() -> None:
    assert rules_text(120) == rules_text(120)
    assert rules_text(120, seed=1) != rules_text(120, seed=2)


def test_no_two_made_rules_are_alike() -> None:
    made = [(str(rule["trigger"]), str(rule["let"]), rule["when"]) for rule in variations(270)]
    assert len(set(made)) == 270


def test_the_bank_s_rules_use_all_streams_and_what_the_language_has() -> None:
    text = BANK.read_text(encoding="utf-8")
    for word in (
        "click[", "txn[", "feedback[", "ticket[", "label[", "profile.", "holding.", "unless:", "each: holdings",
        "count(", "sum(", "mean(", "std(", "min(", "max(", "distinct(", "last(", "prev(", "age(", "novel(", "seq(",
        "daily:", "streak(", "rises(", "days_until(", "this=", "prior=", 'per="device_id"', 'per="terminal_id"',
    ):  # fmt: skip
        assert word in text, word
    per_rules = [entry for entry in text.split("\n  - id: ")[1:] if "per=" in entry]
    assert len(per_rules) == 2
