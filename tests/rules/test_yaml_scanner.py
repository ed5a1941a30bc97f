"""Selectors in flow style need no quotes; everything that is valid YAML reads as it does without the addition."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rules.load import load_rules
from rules.yaml_scanner import SelectorScanner

PLAIN, EXTENDED = YAML(typ="safe", pure=True), YAML(typ="safe", pure=True)
EXTENDED.Scanner = SelectorScanner


def value(text: str) -> object:
    return EXTENDED.load(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{event: click[page == "a"], within: 1h}', {"event": 'click[page == "a"]', "within": "1h"}),
        ('[click[page == "a, ]b"], txn]', ['click[page == "a, ]b"]', "txn"]),
        (
            "{n: sum(txn[kind in ['a', 'b']].amount) + 1, m: 2}",
            {"n": "sum(txn[kind in ['a', 'b']].amount) + 1", "m": 2},
        ),
        ("{n: count(click[a]) - count(txn[b])}", {"n": "count(click[a]) - count(txn[b])"}),
        ("{a[b]: c}", {"a[b]": "c"}),
        ("[[a], b, [c[d]]]", [["a"], "b", ["c[d]"]]),
        ("n: count(click[a]) # as in YAML", {"n": "count(click[a])"}),
    ],
)
def test_brackets_belong_to_the_scalar_before_them(text: str, wanted: object) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize("text", ["{a: b[c}", "{a: b[c\n]}", "{a: b [c]}", '{a: b["c]}'])
def test_brackets_without_a_partner_or_apart_are_errors(text: str) -> None:
    with pytest.raises(YAMLError):
        value(text)


@given(st.text(alphabet="ab[]{},: \"'\n-#?", max_size=25))
def test_valid_yaml_reads_as_without_the_addition(text: str) -> None:
    try:
        wanted = PLAIN.load(text)
    except Exception:
        return  # no YAML, or YAML that makes no value: the addition may give it a meaning
    assert value(text) == wanted


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        'version: 1\nrules:\n  - {id: a, trigger: click[page == "x" and len(pgae) > oops(1)], then: [{tag: {}}]}\n',
        encoding="utf-8",
    )
    _, problems = load_rules([path])
    assert [(p.position.line, p.position.column, p.code) for p in problems] == [(3, 48, "W201"), (3, 56, "E204")]
