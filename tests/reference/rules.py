"""Reading rule and policy texts. Nothing is checked: inputs are taken to be valid."""

from __future__ import annotations

import ast
import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from tests.reference.localtime import duration_ms

DEFAULT_ZONE = "Asia/Shanghai"


class _Core(SafeConstructor):
    """YAML 1.2 core has no dates: `2026-01-01` is a string."""


_Core.add_constructor("tag:yaml.org,2002:timestamp", lambda _loader, node: node.value)


@lru_cache(maxsize=64)  # a case is run many times while it is shrunk; nothing changes what is loaded
def load_yaml(text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Core
    return yaml.load(io.StringIO(text))


def parse(value: Any) -> ast.expr:
    """An expression, also one that YAML read as a number, a boolean, null or a list."""
    text = value if isinstance(value, str) else repr(value)
    return ast.parse(f"(\n{text}\n)", mode="eval").body


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass
class Rule:
    id: str
    version: int
    status: str
    klass: str
    priority: int
    zone: str
    cooldown_ms: int
    then: list[tuple[str, Any]]
    lets: dict[str, ast.expr]
    when: ast.expr
    trigger: list[ast.expr] = field(default_factory=list)  # empty for a date rule
    daily: str | None = None
    each_holding: bool = False
    unless: list[ast.expr] = field(default_factory=list)
    within_ms: int = 0
    restart: str = "first"

    @property
    def rank(self) -> tuple[int, str]:
        return (-self.priority, self.id)


def _rule(entry: dict[str, Any], zone: str) -> Rule:
    rule = Rule(
        id=entry["id"],
        version=entry.get("version", 1),
        status=entry.get("status", "live"),
        klass=entry.get("class", "service"),
        priority=entry.get("priority", 50),
        zone=zone,
        cooldown_ms=duration_ms(entry.get("cooldown", "0s")),
        then=[(kind, payload or {}) for action in entry["then"] for kind, payload in action.items()],
        lets={name: parse(value) for name, value in (entry.get("let") or {}).items()},
        when=parse(entry.get("when", True)),
    )
    trigger = entry["trigger"]
    if isinstance(trigger, dict):
        rule.daily = trigger["daily"]
        rule.each_holding = entry.get("each") == "holdings"
    else:
        rule.trigger = [parse(selector) for selector in _list(trigger)]
    if unless := entry.get("unless"):
        rule.unless = [parse(selector) for selector in _list(unless["event"])]
        rule.within_ms = duration_ms(unless["within"])
        rule.restart = unless.get("restart", "first")
    return rule


def load_rules(texts: list[str]) -> list[Rule]:
    """All rules that are evaluated, in the order in which they are decided."""
    rules = []
    for text in texts:
        document = load_yaml(text)
        zone = document.get("timezone", DEFAULT_ZONE)
        rules += [_rule(entry, zone) for entry in document["rules"]]
    return sorted((rule for rule in rules if rule.status != "paused"), key=lambda rule: rule.rank)
