"""Runs rules' tests through the engine: many tests in one replay, none of which can see another.

Every test has customers of its own. Rules with ``per=`` look at the events of all customers that share a value, so
tests that share such a value go into different replays.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flows.replay import ACTIONS, DEAD_LETTERS, ReplayJob, replay
from rules.model import Aggregate, AnchorField, Call, Expr, Rule, RuleSet, Score
from rules.rewrite import rewritten
from rules.rule_tests import SCORE_FIELD, RuleTest, StoryEvent
from rules.walk import expressions, walk

RULES_A_REPLAY = 200
_MARK = "⁂"
"""Between a customer's name in a test and the test's number; nobody writes it in a test."""


@dataclass(slots=True)
class Outcome:
    """What came of a test: decisions of its rule (as the contract has them, customers by their names) in the order of
    time, and events that the engine refused."""

    decisions: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """One test of one rule. ``rule`` may be a changed one: its tests are still those of the original."""

    rule: Rule
    test: RuleTest


def run_cases(cases: Sequence[Case]) -> list[Outcome]:
    """What comes of each case."""
    outcomes = [Outcome() for _ in cases]
    with tempfile.TemporaryDirectory(prefix="cem-rules-test-") as folder:
        for pack in _packs(cases):
            for part in _parts(pack, cases):
                _run(Path(folder), part, cases, outcomes)
    return outcomes


def testable(rule: Rule, own_id: str) -> Rule:
    """The rule as it is tested: live, under another id, with scores read from the test's events."""

    def scored(expr: Expr) -> Expr:
        if not isinstance(expr, Score):
            return expr
        streams = dict.fromkeys(selector.stream for selector in rule.triggers)
        fields = tuple(AnchorField(stream, SCORE_FIELD + expr.model) for stream in streams)
        return fields[0] if len(fields) == 1 else Call("coalesce", fields) if fields else expr

    return replace(rewritten(rule, scored), id=own_id, status="live", tests=())


def _packs(cases: Sequence[Case]) -> Iterator[list[int]]:
    """Numbers of cases that may share a replay: no two of them share a value by which one of them looks at others."""
    numbers_of: dict[int, list[int]] = {}
    for number, case in enumerate(cases):
        numbers_of.setdefault(id(case.test), []).append(number)
    looks = {test: frozenset().union(*(_entity_fields(cases[n].rule) for n in own)) for test, own in numbers_of.items()}
    names = frozenset().union(*looks.values())
    packs: list[_Pack] = []
    for test, own in numbers_of.items():
        values = {
            (name, json.dumps(event.fields[name], sort_keys=True))
            for event in cases[own[0]].test.events
            for name in names & event.fields.keys()
        }
        asked = {value for value in values if value[0] in looks[test]}
        pack = next((pack for pack in packs if not asked & pack.values and not values & pack.asked), None)
        if pack is None:
            pack = _Pack()
            packs.append(pack)
        pack.numbers += own
        pack.values |= values
        pack.asked |= asked
    for pack in packs:
        yield pack.numbers


@dataclass(slots=True)
class _Pack:
    """``values``: those of all its events; ``asked``: those by which its rules look at other customers."""

    numbers: list[int] = field(default_factory=list)
    values: set[tuple[str, str]] = field(default_factory=set)
    asked: set[tuple[str, str]] = field(default_factory=set)


def _entity_fields(rule: Rule) -> frozenset[str]:
    nodes = (node for expr in expressions(rule) for node in walk(expr))
    return frozenset(node.per for node in nodes if isinstance(node, Aggregate) and node.per is not None)


def _parts(pack: Iterable[int], cases: Sequence[Case]) -> Iterator[list[int]]:
    """The pack in parts of not too many rules."""
    parts: list[int] = []
    rules: set[int] = set()
    for number in pack:
        rules.add(id(cases[number].rule))
        if len(rules) > RULES_A_REPLAY:
            yield parts
            parts, rules = [], {id(cases[number].rule)}
        parts.append(number)
    if parts:
        yield parts


def _run(folder: Path, numbers: Sequence[int], cases: Sequence[Case], outcomes: list[Outcome]) -> None:
    rules: dict[int, Rule] = {}
    numbers_of: dict[int, list[int]] = {}  # cases by the test: changed rules share the events of one test
    for number in numbers:
        case = cases[number]
        rules.setdefault(id(case.rule), testable(case.rule, f"r{len(rules)}"))
        numbers_of.setdefault(id(case.test), []).append(number)
    lines: list[tuple[int, str, int]] = []
    for test_number, own in numbers_of.items():
        for place, event in enumerate(cases[own[0]].test.events):
            lines.append((event.ts_ms, _line(event, place, test_number), test_number))
    lines.sort(key=lambda line: line[0])
    events = folder / "events.ndjson"
    events.write_text("".join(f"{line}\n" for _, line, _ in lines), encoding="utf-8")
    until_ms = max(cases[number].test.until_ms for number in numbers)
    job = ReplayJob(RuleSet(tuple(rules.values())), (events,), folder / "out", max_jump_ms=0, until_ms=until_ms)
    replay(job)
    by_rule = {
        (rules[id(cases[number].rule)].id, test_number): number for test_number, own in numbers_of.items()
        for number in own
    }  # fmt: skip
    for decision in _decisions(folder / "out" / ACTIONS):
        test_number = decision["customer_id"].rpartition(_MARK)[2]
        number = by_rule.get((decision["rule_id"], int(test_number)), -1)
        if number >= 0 and decision["ts"] <= cases[number].test.until_ms:
            text = json.dumps(decision, ensure_ascii=False).replace(f"{_MARK}{test_number}", "")
            outcomes[number].decisions.append({**json.loads(text), "rule_id": cases[number].rule.id})
    for letter in _decisions(folder / "out" / DEAD_LETTERS):
        test_number = lines[int(letter["source"].rpartition(":")[2]) - 1][2]
        for number in numbers_of[test_number]:
            outcomes[number].refused.append(f"{letter['reason']} {letter['field'] or ''}".rstrip())


def _line(event: StoryEvent, place: int, test_number: int) -> str:
    event_id = event.event_id or f"e{place + 1}"
    head = {"stream": event.stream, "event_id": event_id, "customer_id": f"{event.customer}{_MARK}{test_number}"}
    return json.dumps({**event.fields, **head, "ts": event.ts_ms}, ensure_ascii=False)


def _decisions(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(found, key=lambda decision: decision.get("ts", 0))
