"""Files, keys and defaults; sets of several files."""

from pathlib import Path

import pytest
from rule_files import codes, load_text, rule

from rules.load import load_rules
from rules.model import Action, AnchorField, Compare, Daily, Field, Literal, Position, Selector, Slot, Template, Unless

RULE = "version: 1\nrules:\n  - {id: %s, trigger: click, then: [{tag: {}}]}\n"


def test_defaults() -> None:
    got = rule("trigger: click")
    assert (got.version, got.title, got.status, got.rule_class, got.priority) == (1, "", "live", "service", 50)
    assert got.triggers == (Selector("click"),)
    assert (got.daily, got.each_holding, got.lets, got.when, got.unless) == (None, False, (), None, None)
    assert (got.cooldown_ms, got.actions, got.timezone) == (0, (Action("tag", {}),), "Asia/Shanghai")
    assert (got.position.line, got.position.column) == (3, 5)


def test_every_key() -> None:
    got = rule(
        """
version: 3
title: 标题
status: shadow
class: marketing
priority: 0
trigger: [click, 'txn[amount > 1]']
let: {n: 1, flag: true}
when: false
unless: {event: [ticket, label], within: 2h, restart: latest}
cooldown: 1w
then: [{ticket: {a: 1, b: [x, null, 1.5]}}, {notify: }]
"""
    )
    assert (got.version, got.title, got.status, got.rule_class, got.priority) == (3, "标题", "shadow", "marketing", 0)
    condition = Compare((">",), (Field("amount"), Literal.of(1)))
    assert got.triggers == (Selector("click"), Selector("txn", condition))
    assert got.lets == (("n", Literal.of(1)), ("flag", Literal.of(True)))
    assert got.when == Literal.of(False)
    assert got.unless == Unless((Selector("ticket"), Selector("label")), 7_200_000, "latest")
    assert got.cooldown_ms == 604_800_000
    assert got.actions == (Action("ticket", {"a": 1, "b": ["x", None, 1.5]}), Action("notify", {}))


@pytest.mark.parametrize(
    ("text", "size_ms"), [("0s", 0), ("7ms", 7), ("2s", 2000), ("3m", 180_000), ("2d", 172_800_000), ("02h", 7_200_000)]
)
def test_durations(text: str, size_ms: int) -> None:
    assert rule(f"cooldown: {text}").cooldown_ms == size_ms


def test_daily() -> None:
    assert rule('trigger: {daily: "00:05"}').daily == Daily(0, 5)
    assert rule("trigger: {daily: 23:59}").daily == Daily(23, 59)


def test_templates_in_payloads() -> None:
    got = rule("trigger: txn\nthen: [{tag: {a: ['{{{txn.kind:>9}}} x'], b: '{{}}', c: 'plain'}}]")
    slot = Slot(AnchorField("txn", "kind"), ">9")
    assert got.actions[0].payload == {"a": [Template(("{", slot, "} x"))], "b": "{}", "c": "plain"}


def test_lets_are_known_in_templates() -> None:
    got = rule("let: {n: 1}\nthen: [{tag: {a: '{ n }{n + 1:.2f}'}}]")
    parts = got.actions[0].payload["a"].parts
    assert [part.format for part in parts] == ["", ".2f"]


def test_several_files_are_one_set() -> None:
    rules, found = load_text(
        RULE % "a", "version: 1\ntimezone: UTC\nrules:\n  - {id: b, trigger: click, then: [{tag: {}}]}\n"
    )
    assert found == []
    assert rules is not None
    assert [(r.id, r.timezone) for r in rules.rules] == [("a", "Asia/Shanghai"), ("b", "UTC")]


def test_ids_are_unique_in_the_set_and_all_files_are_reported() -> None:
    rules, found = load_text(RULE % "a", "version: [", RULE % "a", RULE % "A")
    assert rules is None
    assert codes(found) == ["E003", "E107", "E106"]
    assert [Path(problem.position.file).name for problem in found] == ["1.yaml", "2.yaml", "3.yaml"]
    assert "0.yaml:3:10" in str(found[1].hint)


def test_missing_files_folders_and_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "gbk.yaml").write_bytes("version: 1\nrules: [提前]\n".encode("gbk"))
    (tmp_path / "nul.yaml").write_bytes(b"version: 1\nrules: \x00\n")
    names = ["missing.yaml", ".", "gbk.yaml", "nul.yaml"]
    rules, found = load_rules([tmp_path / name for name in names])
    assert rules is None
    assert codes(found) == ["E001", "E001", "E002", "E003"]
    assert [(p.position.line, p.position.column) for p in found] == [(1, 1), (1, 1), (2, 9), (2, 8)]


def test_byte_order_mark_and_windows_lines() -> None:
    text = "\ufeff" + (RULE % "a").replace("\n", "\r\n")
    rules, found = load_text(text, text.replace("id: a", "id: b").replace("click", "clik"))
    assert rules is None
    assert [(p.code, p.position.line, p.position.column) for p in found] == [("E215", 3, 22)]


def test_no_files_is_an_empty_set() -> None:
    rules, found = load_rules([])
    assert rules is not None
    assert (rules.rules, found) == ((), [])


def test_anchors_and_aliases() -> None:
    rules, found = load_text(
        "version: 1\nrules:\n  - {id: a, trigger: &t 'click[page == \"x\"]', then: &x [{tag: {}}]}\n"
        "  - {id: b, trigger: *t, then: *x}\n"
    )
    assert found == []
    assert rules is not None
    assert rules.rules[0].triggers == rules.rules[1].triggers


def test_aliases_can_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    rules, found = load_text("\n".join(lines))
    assert rules is None
    assert codes(found) == ["E008"]


def test_warnings_alone_do_not_refuse() -> None:
    rules, found = load_text("version: 1\nrules:\n  - {id: a, trigger: click, when: false, then: [{tag: {}}]}\n")
    assert rules is not None
    assert codes(found) == ["W301"]
    assert str(found[0]).endswith(
        "0.yaml:3:35: W301 a: the rule can never fire: the condition is always false "
        "(to switch it off use `status: paused`)"
    )


def test_a_diagnostic_in_one_line() -> None:
    _, found = load_text("version: 1\nrules: 5\n")
    assert str(found[0].position).endswith("0.yaml:2:8")
    assert found[0].position == Position(found[0].position.file, 2, 8)
    assert str(found[0]).endswith(
        ":2:8: E101 -: `rules` must be a list, not the number `5` (begin each rule with `- id:`)"
    )


def test_scores_of_configured_models_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text((RULE % "a").replace("then:", "when: 'score(\"m\") > 0.9', then:"))
    assert codes(load_rules([path])[1]) == ["W307"]
    assert load_rules([path], models=["m"])[1] == []


@pytest.mark.parametrize("trigger", ["ticket[satisfaction > 5]", "feedback[sentiment < -1]"])
def test_values_that_no_reader_refuses_are_not_called_impossible(trigger: str) -> None:
    _, found = load_text(RULE.replace("%s", "a").replace("click", f"'{trigger}'"))
    assert codes(found) == []
