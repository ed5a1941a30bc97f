"""Rule files -> one checked ``RuleSet``, with every problem of every file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from rules.diagnostics import Diagnostic, Problems
from rules.load_rule import load_rule, rule_id_of
from rules.mapping_reader import MappingReader
from rules.model import Position, Rule, RuleSet
from rules.yaml_source import Map, Node, Scalar, Seq, describe, read_yaml


def load_rules(paths: Sequence[Path], models: Collection[str] | None = ()) -> tuple[RuleSet | None, list[Diagnostic]]:
    """The rules of all files as one set, and all problems; no set exactly if one of them is an error.

    ``models`` are the names of the models that are configured (a score of another one is a warning); null if that is
    not known.
    Problems come by file, line and column. Never raises for bad input.
    """
    problems = Problems()
    rules: list[Rule] = []
    ids: dict[str, Position] = {}
    contents: list[bytes] = []
    for path in map(Path, paths):
        problems.rule_id = None
        before = len(problems.found)
        root = read_yaml(path, problems, contents)
        if root is not None:
            _name_rules(root, problems, before)
            rules += _file_rules(root, problems, ids, models)
    problems.rule_id = None
    found = problems.in_order(str(path) for path in paths)
    if problems.errors:
        return None, found
    sources = zip((Path(path).name for path in paths), contents, strict=True)  # each was read, or that is an error
    return RuleSet(tuple(rules), tuple(sources)), found


def _name_rules(root: Node, problems: Problems, start: int) -> None:
    """Give the problems that were found while reading the YAML (from number ``start`` on) the ids of their rules."""
    rules = root.entries.get("rules") if isinstance(root, Map) else None
    if rules is None or not isinstance(rules[1], Seq) or len(problems.found) == start:
        return
    spans = [(item, rule_id_of(item)) for item in rules[1].items if isinstance(item, Map)]
    for number, problem in enumerate(problems.found[start:], start):
        place = problem.position.line, problem.position.column
        for item, rule_id in spans:
            first, end = item.position, item.end
            if rule_id and (first.line, first.column) <= place < (end.line, end.column):
                problems.found[number] = replace(problem, rule_id=rule_id)


def _file_rules(root: Node, problems: Problems, ids: dict[str, Position], models: Collection[str] | None) -> list[Rule]:
    if not isinstance(root, Map):
        message = f"a rule file must be a mapping, not {describe(root)}"
        problems.add("E101", root.position, message, "{version: 1, timezone: Asia/Shanghai, rules: […]}")
        return []
    if "rules" not in root.entries and any(key in root.entries for key in ("holdout", "caps", "quiet_hours")):
        message = "a rule file needs the key `rules`; this looks like a policy file"
        problems.add("E103", root.position, message, f"check it with `cem rules check --policy {root.position.file}`")
        return []
    if "rules" not in root.entries and "models" in root.entries:
        message = "a rule file needs the key `rules`; this looks like a models file"
        problems.add("E103", root.position, message, f"check it with `cem rules check --models {root.position.file}`")
        return []
    reader = MappingReader(root, "a rule file", problems)
    reader.known_keys(("version", "timezone", "rules"))
    reader.file_version()
    timezone = reader.timezone()
    if "rules" not in root.entries:
        reader.require("rules")
        return []
    key, node = root.entries["rules"]
    if isinstance(node, Scalar) and node.value is None:
        node = Seq(key.position, [])
    if not isinstance(node, Seq):
        reader.wrong_type(node, "rules", "a list", "begin each rule with `- id:`")
        return []
    if not node.items:
        problems.add("W101", node.position, "the file has no rules")
    rules = []
    for item in node.items:
        problems.rule_id = None
        rule = load_rule(item, timezone, problems, ids, models)
        if rule is not None:
            rules.append(rule)
    return rules
