"""The rules that a state folder keeps are those that were put there."""

from __future__ import annotations

from flows.rule_history import keep_rules, kept_rules
from rules.load import load_rules

RULE = "version: 1\nrules:\n  - {id: r-%d, trigger: click, then: [{tag: {}}]}\n"


def test_many_files_keep_their_order(tmp_path):
    paths = [tmp_path / f"rules-{number}.yaml" for number in range(102)]
    for number, path in enumerate(paths):
        path.write_text(RULE % number, encoding="utf-8")
    rules, problems = load_rules(paths)
    assert rules is not None, problems
    kept = kept_rules(tmp_path, keep_rules(tmp_path, rules))
    assert [rule.id for rule in kept.rules] == [rule.id for rule in rules.rules]
