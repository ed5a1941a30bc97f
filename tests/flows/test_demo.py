"""The parts of the demonstration: scores, words, spoiled data, tables."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.demo.explain import part_played, pick_ticket, what_happened
from flows.demo.run import demo_rules
from flows.demo.score import STORY_RULES, StoryScore, score
from flows.demo.show import Show
from flows.demo.spoil import BROKEN_EACH, spoil
from flows.simulate.stories import STORIES
from flows.words import REASONS, as_written, in_words
from rules.load import load_rules

DAY = 86_400_000
RULES = {"story": "rule"}
Record = dict[str, Any]


def instance(number: int, customer: str | list[str], start: int, end: int, *, expected: bool = True) -> Record:
    who = {"customer_id": customer} if isinstance(customer, str) else {"customer_ids": customer}
    told = {"story": "story", "story_id": f"story-{number}", "start_ts": start, "end_ts": end, "event_ids": []}
    return who | told | {"expected": expected}


def decision(customer: str, ts: int, rule: str = "rule", **fields: Any) -> Record:
    made = {"customer_id": customer, "ts": ts, "rule_id": rule, "holding_id": None, "decision": "emitted"}
    return made | {"kind": "ticket", "reason": None, "action_id": f"{rule}-{customer}-{ts}"} | fields


def scored(truth: list[Record], decisions: list[Record]) -> StoryScore:
    (only,) = score(truth, decisions, RULES, grace_ms=100)
    return only


# ---- scores


def test_a_decision_finds_its_instance_from_the_start_to_the_grace_after_the_end() -> None:
    truth = [instance(i, f"C{i}", 1000, 2000) for i in range(4)]
    found = scored(truth, [decision("C0", 1000), decision("C1", 2100), decision("C2", 999), decision("C3", 2101)])
    assert (found.expected, found.found, found.missed, found.false_alarms) == (4, 2, ("story-2", "story-3"), 2)
    assert (found.precision, found.recall) == (0.5, 0.5)


def test_several_decisions_within_one_instance_count_once() -> None:
    found = scored([instance(1, "C1", 0, 50)], [decision("C1", 10), decision("C1", 20), decision("C1", 20)])
    assert (found.found, found.false_alarms, found.precision, found.recall) == (1, 0, 1.0, 1.0)


def test_a_suppressed_decision_counts() -> None:
    held = decision("C1", 10, decision="suppressed", reason="holdout")
    assert scored([instance(1, "C1", 0, 50)], [held]).recall == 1.0


def test_any_of_several_customers_finds_the_instance() -> None:
    found = scored([instance(1, ["C1", "C2"], 0, 50)], [decision("C2", 10)])
    assert (found.found, found.false_alarms) == (1, 0)


def test_a_decoy_is_a_false_alarm_and_the_entries_of_a_firing_are_one() -> None:
    truth = [instance(1, "C1", 0, 50), instance(2, "C2", 0, 50, expected=False)]
    alerts = [decision("C2", 10, kind=kind) for kind in ("alert", "ticket")]
    found = scored(truth, [*alerts, decision("C2", 11), decision("C1", 5)])
    assert (found.expected, found.found, found.false_alarms) == (1, 1, 2)
    assert found.precision == pytest.approx(1 / 3)


def test_other_rules_and_other_customers_find_nothing() -> None:
    found = scored([instance(1, "C1", 0, 50)], [decision("C1", 10, "other"), decision("C9", 10)])
    assert (found.found, found.missed, found.false_alarms) == (0, ("story-1",), 1)


def test_without_anything_there_is_no_precision_and_no_recall() -> None:
    assert (scored([], []).precision, scored([], []).recall) == (None, None)


# ---- rules and words


def test_the_shipped_rules_are_clean_and_cover_every_story() -> None:
    rules, _ = demo_rules()
    path = Path(__file__).parents[2] / "rules" / "packs" / "demo.yaml"
    assert load_rules([path])[1] == []
    assert set(STORY_RULES) == set(STORIES)
    assert set(STORY_RULES.values()) <= {rule.id for rule in rules.rules}
    assert all(rule.title for rule in rules.rules)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('count(click["a" in query], last="7d")', 'number of click events with "a" in query in the last 7 days'),
        ('sum(txn[currency == "CNY"].amount, this="month")',
         'total amount of txn events with currency == "CNY" this month'),
        ('distinct(txn.customer_id, last="1h", per="device_id")',
         "number of different customer_id among txn events in the last hour, of all customers with the same device_id"),
        ('novel(txn.city, prior="90d")', "city not seen in 90 days among txn events"),
        ("1 - (ts - 2 - 3) * -ts > 0 or not (ts > 1 and (ts < 2 or ts in [3, None]))",
         "1 - (ts - 2 - 3) * -ts > 0 or not (ts > 1 and (ts < 2 or ts in [3, None]))"),
        ("streak(click, by=\"day\")", "days in a row with click events"),
        ("(txn.amount - 1) / profile.aum > 0.5 and not txn.ok",
         "(txn.amount - 1) / profile.aum > 0.5 and not txn.ok"),
    ],
)  # fmt: skip
def test_expressions_in_words(source: str, words: str, tmp_path: Path) -> None:
    text = f"version: 1\nrules:\n  - id: r\n    trigger: txn\n    let: {{x: {source!r}}}\n    then: [{{tag: {{}}}}]\n"
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    rules, problems = load_rules([tmp_path / "r.yaml"])
    assert rules is not None, problems
    assert in_words(rules.rules[0].lets[0][1]) == words


def test_every_let_and_condition_of_the_shipped_rules_has_words() -> None:
    rules, _ = demo_rules()
    for rule in rules.rules:
        for _, expression in rule.lets:
            assert in_words(expression)
        assert rule.when is None or as_written(rule.when)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"stream": "click", "action": "submit", "page": "p", "step": "s", "error_code": "E1"},
         "submit, page p, step s: error E1"),
        ({"stream": "txn", "kind": "transfer", "amount": 1234.5, "direction": "out", "counterparty_id": "x"},
         "transfer 1,234.50 to x"),
        ({"stream": "txn", "kind": "salary", "amount": 9, "direction": "in"}, "salary 9.00 in"),
        ({"stream": "feedback", "metric": "nps", "score": 0, "text": "差"}, "nps 0: 差"),
    ],
)  # fmt: skip
def test_events_in_words(event: Record, text: str) -> None:
    assert what_happened(event) == text


def test_the_ticket_that_tells_most() -> None:
    def held(customer: str, ts: int, reason: str) -> Record:
        return decision(customer, ts, "s", decision="suppressed", reason=reason)

    plain, beside, richer = decision("C1", 0, "a"), decision("C2", DAY, "b"), decision("C3", 2 * DAY, "b")
    other = decision("C4", 0, "a", kind="alert")
    near = [held("C2", 2 * DAY, "cap"), held("C3", DAY, "cap"), held("C3", DAY, "holdout"), held("C1", 8 * DAY, "cap")]
    assert pick_ticket([other, plain, beside, richer, *near], ["a", "b"]) == richer
    assert pick_ticket([other, plain, beside], ["a", "b"]) == plain
    assert pick_ticket([other, *near], ["a", "b"]) is None


@pytest.mark.parametrize(
    ("event_id", "ts", "part"),
    [
        ("e0", 99, ""),
        ("e1", 100, ""),
        ("anchor", 100, "set it off"),
        ("e2", 101, "after: the rule was already waiting"),
        ("e3", 201, "after: the ticket was already there"),
    ],
)
def test_what_came_after_a_rule_was_set_off_did_not_lead_to_its_ticket(event_id: str, ts: int, part: str) -> None:
    rule = next(rule for rule in demo_rules()[0].rules if rule.unless is not None)
    ticket = decision("C1", 200, anchor_event_id="anchor")
    assert part_played({"event_id": event_id, "ts_ms": ts}, ticket, rule, anchor_ms=100) == part


# ---- spoiling


def test_spoiling_breaks_repeats_and_delays_but_loses_nothing(tmp_path: Path) -> None:
    def line(i: int) -> str:
        event = {"stream": "click", "event_id": f"e{i}", "customer_id": "C1", "ts": i, "channel": "app"}
        return json.dumps(event, separators=(",", ":"))

    texts, spare = [line(i) for i in range(5000)], {f"e{i}".encode() for i in range(0, 5000, 2)}
    path = tmp_path / "click.ndjson"
    written = []
    for seed in (1, 1, 2):
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        mess = spoil(path, seed, spare)
        written.append(path.read_text(encoding="utf-8").splitlines())
    assert written[0] == written[1] != written[2]
    assert set(texts) <= set(written[0])
    assert len(set(written[0]) - set(texts)) == mess.broken == 5 * BROKEN_EACH
    assert len(written[0]) == len(texts) + mess.broken + mess.duplicates
    assert [text for text in written[0] if text in texts[::2]] == texts[::2]
    assert mess.duplicates > 0
    assert mess.late > 0


# ---- the whole


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", [30, 60, 80, 100, 120])
def test_tables_cut_no_number_off(width: int, terminal: bool) -> None:
    def printed(show: Callable[[Show], None]) -> str:
        out = io.StringIO()
        show(Show(Console(file=out, width=width, force_terminal=terminal, no_color=True)))
        return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())

    longest = max(STORY_RULES.values(), key=len)
    found = StoryScore("s" * 22, longest, 1200, 1000, tuple("x" * 200), 3)
    text = printed(lambda show: show.scores([found]))
    assert {"s" * 22, longest, "1200", "1000", "200", "3", "0.997", "0.833"} <= set(text.split())

    rules, _ = demo_rules()
    outcomes = ("emitted", *REASONS)
    decisions = {
        rule.id: {name: 10**6 + 100 * i + j for j, name in enumerate(outcomes)} for i, rule in enumerate(rules.rules)
    }
    text = printed(lambda show: show.decisions({"decisions": decisions}, rules))
    numbers = {f"{n:,}" for counts in decisions.values() for n in counts.values()}
    totals = {f"{sum(counts[name] for counts in decisions.values()):,}" for name in outcomes}
    assert {*outcomes, *decisions, *numbers, *totals} <= set(text.split())
    if width >= 60:
        assert max(map(len, text.splitlines())) <= width
