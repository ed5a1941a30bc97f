"""The rules of earlier runs are found again in a state folder, whatever their files are called and however many."""

from __future__ import annotations

import pytest

from flows.rule_history import keep_rules, kept_rules
from rules.load import load_rules
from state.disk import StateError

RULE = "version: 1\nrules: [{id: r%d, trigger: txn, let: {n: sum(txn.amount)}, then: [{tag: {}}]}]\n"


def rule_set(folder, names):
    folder.mkdir()
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        path.write_text(RULE % number, encoding="utf-8")
    rules, problems = load_rules(paths)
    assert rules is not None, problems
    return rules


@pytest.mark.parametrize("names", [[f"{i}.yaml" for i in range(101)], ["rules.tmp", "rules"], ["-1-a.yaml", "-"]])
def test_they_are_found_again(tmp_path, names):
    rules = rule_set(tmp_path / "given", names)
    own_id = keep_rules(tmp_path, rules)
    assert [rule.id for rule in kept_rules(tmp_path, own_id).rules] == [rule.id for rule in rules.rules]


def test_what_a_crash_left_behind_is_passed_over(tmp_path):
    own_id = keep_rules(tmp_path, rule_set(tmp_path / "given", ["rules.yaml"]))
    (tmp_path / "rules" / own_id / "00-rules.yaml.tmp").write_text("version: 1\nru")
    assert len(kept_rules(tmp_path, own_id).rules) == 1


def test_a_file_that_does_not_belong_there_is_named(tmp_path):
    own_id = keep_rules(tmp_path, rule_set(tmp_path / "given", ["rules.yaml"]))
    (tmp_path / "rules" / own_id / "note").write_text("mine")
    with pytest.raises(StateError, match=r"cannot be read: .*note:1:1: E101"):
        kept_rules(tmp_path, own_id)
