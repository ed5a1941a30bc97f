"""Comparing decisions: as the worked cases are judged, every field, numbers within 1e-9."""

from __future__ import annotations

import json
import math
from typing import Any

FIELDS = (
    *("rule_id", "kind", "ts", "decision", "reason", "would_be", "open_ticket_id", "features", "payload", "action_id"),
    *("rule_version", "class", "priority", "customer_id", "anchor_event_id", "holding_id", "late"),
)

COUNTS = ("dead_letters", "duplicates", "late", "pending")


def same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def order(decision: dict[str, Any]) -> tuple[Any, ...]:
    return (decision["ts"], decision["customer_id"], decision["action_id"], decision["decision"])


def compare(want: list[dict[str, Any]], got: list[dict[str, Any]]) -> str | None:
    """The first difference, for people, or None. Fields that `want` lacks are not compared."""
    want, got = sorted(want, key=order), sorted(got, key=order)
    for w, g in zip(want, got, strict=False):
        if order(w) != order(g):
            first, who = (w, "missing") if order(w) < order(g) else (g, "unexpected")
            return f"{who}: {json.dumps(first, ensure_ascii=False)}"
        for name in FIELDS:
            if name in w and not same(w[name], g.get(name)):
                return (
                    f"{w['rule_id']} {w['customer_id']} ts={w['ts']} anchor={w['anchor_event_id']}"
                    f" holding={w['holding_id']} {w['action_id']}: {name}: want {w[name]!r}, got {g.get(name)!r}"
                )
    if len(want) != len(got):
        more, who = (want, "missing") if len(want) > len(got) else (got, "unexpected")
        return f"{who}: {json.dumps(more[min(len(want), len(got))], ensure_ascii=False)}"
    return None


def compare_dead_letters(want: list[dict[str, Any]], got: list[dict[str, Any]]) -> str | None:
    """The first difference of dead letters, whatever their order and source, or None."""
    names = ("raw", "encoding", "reason", "field")
    wanted = sorted(json.dumps([letter[name] for name in names]) for letter in want)
    found = sorted(json.dumps([letter[name] for name in names]) for letter in got)
    for w, g in zip(wanted, found, strict=False):
        if w != g:
            return f"missing: {w[:300]}" if w < g else f"unexpected: {g[:300]}"
    return None if len(wanted) == len(found) else f"want {len(wanted)} dead letters, got {len(found)}"


def compare_with_expected(expect: dict[str, Any], decisions: list[dict[str, Any]], found: dict[str, int]) -> str | None:
    """The first difference from a worked case's `expect`; `found` has every name of COUNTS."""
    wanted = {name: expect.get(name, 0) for name in COUNTS}
    return compare(expect["decisions"], decisions) or (None if wanted == found else f"want {wanted}, got {found}")
