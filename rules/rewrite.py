"""A rule with some of its expressions exchanged for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from rules.model import Expr, Rule


def rewritten(rule: Rule, change: Callable[[Expr], Expr]) -> Rule:
    """``rule`` with ``change`` applied to every expression outside selectors, inner ones first."""
    return replace(
        rule,
        lets=_changed(rule.lets, change),
        when=_changed(rule.when, change),
        actions=_changed(rule.actions, change),
    )


def _changed(value: Any, change: Callable[[Expr], Expr]) -> Any:
    if isinstance(value, tuple):
        return tuple(_changed(item, change) for item in value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _changed(item, change) for key, item in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        return value
    new = replace(value, **{part.name: _changed(getattr(value, part.name), change) for part in fields(value)})
    return change(new) if isinstance(new, Expr) else new
