"""What came of rules' tests against what they expect, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isclose
from typing import Any
from zoneinfo import ZoneInfo

from flows.rule_testing import Case, Outcome
from rules.model import Position, Rule
from rules.rule_tests import Expected

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """One test that failed: ``faults`` are lines for people, each with the place it is about."""

    rule_id: str
    test: str
    position: Position
    faults: tuple[tuple[Position, str], ...]


def verdict(case: Case, outcome: Outcome) -> Failure | None:
    """The failure of a case, or null if everything expected came and nothing else was emitted."""
    test = case.test
    faults = [(test.position, f"an event was refused: {reason}") for reason in outcome.refused]
    left = list(outcome.decisions)
    for expected in test.expected:
        found = next((decision for decision in left if fits(expected, decision)), None)
        if found is None:
            faults.append((expected.position, f"expected {_wanted(expected, case.rule)}, came {_came(case, outcome)}"))
        else:
            left.remove(found)
    if all(expected_fault[0] == test.position for expected_fault in faults):
        extra = [decision for decision in left if decision["decision"] == "emitted"]
        if extra:
            what = "none" if not test.expected else "no more"
            faults.append((test.position, f"expected {what}, came {_told(extra, case.rule)}"))
    return Failure(case.rule.id, test.name, test.position, tuple(faults)) if faults else None


def fits(expected: Expected, decision: Mapping[str, Any]) -> bool:
    """Whether a decision is one that was expected."""
    return (
        decision["kind"] == expected.kind
        and decision["decision"] == expected.decision
        and expected.reason in (None, decision["reason"])
        and expected.customer in (None, decision["customer_id"])
        and expected.holding in (None, decision["holding_id"])
        and expected.at_ms in (None, decision["ts"])
        and _holds(expected.features, decision["features"])
        and _holds(expected.payload, decision["payload"])
    )


def _holds(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return all(name in given and _same(value, given[name]) for name, value in wanted.items())


def _same(wanted: Any, given: Any) -> bool:
    """Equal as JSON; numbers to nine digits."""
    if isinstance(wanted, bool) or isinstance(given, bool):
        return wanted is given
    if isinstance(wanted, int | float) and isinstance(given, int | float):
        return isclose(wanted, given, rel_tol=1e-9)
    return bool(wanted == given)


def _wanted(expected: Expected, rule: Rule) -> str:
    parts = [expected.kind]
    if expected.decision != "emitted" or expected.reason:
        parts.append(" ".join(filter(None, (expected.decision, expected.reason))))
    parts += [f"of {expected.customer}"] if expected.customer else []
    parts += [f"about {expected.holding}"] if expected.holding else []
    parts += [f"at {_local(expected.at_ms, rule)}"] if expected.at_ms is not None else []
    parts += [f"{key} {_json(value)}" for key, value in _subsets(expected)]
    return " ".join(parts)


def _subsets(expected: Expected) -> Iterator[tuple[str, Any]]:
    if expected.features:
        yield "features", expected.features
    if expected.payload:
        yield "payload", expected.payload


def _came(case: Case, outcome: Outcome) -> str:
    return _told(outcome.decisions, case.rule)


def _told(decisions: Sequence[Mapping[str, Any]], rule: Rule) -> str:
    if not decisions:
        return "nothing"
    told = "; ".join(_one(decision, rule) for decision in decisions[:_SHOWN])
    return told + (f"; and {len(decisions) - _SHOWN} more" if len(decisions) > _SHOWN else "")


def _one(decision: Mapping[str, Any], rule: Rule) -> str:
    state = "" if decision["decision"] == "emitted" else f" suppressed {decision['reason']}"
    whom = f" of {decision['customer_id']}" + (f" about {decision['holding_id']}" if decision["holding_id"] else "")
    what = f" features {_json(decision['features'])} payload {_json(decision['payload'])}"
    return f"{decision['kind']}{state}{whom} at {_local(decision['ts'], rule)}{what}"


def _local(ts_ms: int, rule: Rule) -> str:
    local = datetime.fromtimestamp(ts_ms // 1000, ZoneInfo(rule.timezone)).strftime("%Y-%m-%d %H:%M:%S")
    local += f".{ts_ms % 1000:03d}" if ts_ms % 1000 else ""
    return local.removesuffix(":00")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
