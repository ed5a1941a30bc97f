"""Helpers: rules from text."""

from pathlib import Path
from tempfile import TemporaryDirectory

from rules.diagnostics import Diagnostic
from rules.load import load_rules
from rules.model import Expr, Rule, RuleSet


def load_text(*texts: str) -> tuple[RuleSet | None, list[Diagnostic]]:
    """Each text as a file of one set, named 0.yaml, 1.yaml, …"""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.yaml" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text.encode())
        return load_rules(paths)


def rule(body: str, head: str = "version: 1\n") -> Rule:
    """The one rule whose keys are ``body``, besides an id and, if it has none, a trigger and an action."""
    lines = [line for line in body.strip("\n").split("\n") if line]
    if not any(line.startswith("trigger:") for line in lines):
        lines.append("trigger: txn")
    if not any(line.startswith("then:") for line in lines):
        lines.append("then: [{tag: {}}]")
    text = head + "rules:\n  - id: r\n" + "".join(f"    {line}\n" for line in lines)
    rules, found = load_text(text)
    assert rules is not None, [str(problem) for problem in found]
    return rules.rules[0]


def expr(text: str, **keys: str) -> Expr:
    """The expression ``text`` as a let of a rule with the given other keys."""
    quoted = "'" + text.replace("'", "''") + "'"
    body = "".join(f"{key}: {value}\n" for key, value in keys.items())
    return rule(f"{body}let: {{value: {quoted}}}").lets[0][1]


def codes(found: list[Diagnostic]) -> list[str]:
    return [problem.code for problem in found]
