"""Expressions as text parse to what they were made of."""

from __future__ import annotations

import json
from random import Random

import pytest
from rule_files import expr

from rules import model as m
from rules.load import load_rules
from rules.unparse import duration_text, selector_text, unparse
from tests.reference.generate_rules import random_rules
from tests.reference.rules import load_yaml


def loaded(path, text):
    path.write_text(text, encoding="utf-8")
    rules, problems = load_rules([path])
    assert rules is not None, problems
    return rules.rules


@pytest.mark.parametrize("seed", range(20))
def test_random_rules_come_back(seed, tmp_path):
    text = random_rules(Random(seed), 12)
    rules = loaded(tmp_path / "rules.yaml", text)
    raw = load_yaml(text)
    for entry, rule in zip(raw["rules"], rules, strict=True):
        entry["let"] = {name: unparse(value) for name, value in rule.lets}
        if rule.when is not None:
            entry["when"] = unparse(rule.when)
        if rule.triggers:
            entry["trigger"] = [selector_text(selector) for selector in rule.triggers]
        if rule.unless is not None:
            entry["unless"]["event"] = [selector_text(selector) for selector in rule.unless.selectors]
    again = loaded(tmp_path / "again.yaml", json.dumps(raw))
    for rule, other in zip(rules, again, strict=True):
        for name in ("lets", "when", "triggers", "unless"):
            assert getattr(other, name) == getattr(rule, name), (rule.id, name)


@pytest.mark.parametrize(
    "text",
    [
        "not (ts > 1 or ts < 0)", "(1 + 2) * 3", "1 - (2 - 3)", "-(1 + ts)", "- -ts", "(1 < 2) == True", "not not ts",
        "(ts or 1) and 2", "ts in [1, 'a', None]", "'\"' in click.query", "days_until(profile.birthday, yearly=True)",
        "hour(ts) + round(txn.amount, 2)", "1e300 + 0.1", "(1 < ts) < 2", "1 + (-2)", "rises(ts > 1) and ts",
        'seq(click[page == "a"], txn, last="90s") or novel(txn.city, prior="1500ms")',
        'streak(sum(txn.amount) / count(txn) > 3, by="month") + streak(click, by="day")',
        'count(txn, this="week") + last(txn.amount) + age(txn[amount > 5])', 'std(txn.amount, prior="7d", per="city")',
    ],
)  # fmt: skip
def test_a_text_comes_back(text):
    parsed = expr(text)
    assert expr(unparse(parsed)) == parsed, unparse(parsed)


def test_unequal_literals_have_unequal_texts():
    texts = {unparse(m.Literal.of(value)) for value in (1, 1.0, True, "1", None)}
    assert len(texts) == 5


def test_durations():
    assert [duration_text(ms) for ms in (1, 1_000, 3_600_000, 604_800_000)] == ["1ms", "1s", "1h", "7d"]
