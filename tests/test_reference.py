"""The reference evaluator decides the contract's worked cases as they say; the generators reach every corner."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.reference.compare import COUNTS, compare, compare_with_expected
from tests.reference.evaluator import evaluate
from tests.reference.generate import Case, random_case, random_stream
from tests.reference.generate_rules import random_rules
from tests.reference.rules import load_rules
from tests.reference.worked import FILES, load_worked

NO_RULES = "version: 1\nrules: []\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_worked_case(path: Path) -> None:
    case, expect = load_worked(path)
    result = case.run()
    counts = {"dead_letters": len(result.dead_letters)} | {
        name: getattr(result, name) for name in COUNTS if name != "dead_letters"
    }
    assert compare_with_expected(expect, result.decisions, counts) is None


@pytest.mark.parametrize(
    ("line", "reason", "field"),
    [
        (b"\xff", "not_json", None),
        (b"[" * 100_000, "not_json", None),
        (b'{"stream":"click","event_id":"\\ud800","customer_id":"C","ts":1}', "not_json", None),
        (b'{"stream":"click","event_id":"e","customer_id":"C","ts":1,"duration_ms":NaN}', "not_json", None),
        (b"[]", "not_object", None),
        (b'{"event_id":""}', "unknown_stream", "stream"),
        (b'{"stream":7}', "unknown_stream", "stream"),
        (b'{"stream":"txn","event_id":"","customer_id":7}', "bad_value", "event_id"),
        (b'{"stream":"txn","event_id":"e","customer_id":null}', "missing_field", "customer_id"),
        (b'{"stream":"txn","event_id":"e","customer_id":"%s"}' % (b"c" * 65), "too_long", "customer_id"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":1.0}', "wrong_type", "ts"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":true}', "wrong_type", "ts"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":253402300800000}', "bad_value", "ts"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":1' + b"0" * 5000 + b"}", "bad_value", "ts"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":31622400001}', "future_ts", "ts"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":31622400000}', "missing_field", "amount"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":1,"amount":1e400}', "bad_value", "amount"),
        (b'{"stream":"txn","event_id":"e","customer_id":"C","ts":1,"amount":true}', "wrong_type", "amount"),
        (b'{"stream":"label","event_id":"e","customer_id":"C","ts":1,"label":1}', "missing_field", "subject_event_id"),
    ],
)
def test_first_fault_is_named(line: bytes, reason: str, field: str | None) -> None:
    first = b'{"stream":"click","event_id":"first","customer_id":"C","ts":0}'
    result = evaluate([NO_RULES], None, [[first, b"  ", line]])
    assert [(letter["reason"], letter["field"], letter["line"]) for letter in result.dead_letters] == [
        (reason, field, 2)
    ]


def test_arrival_order_within_the_lateness_does_not_matter() -> None:
    rng = Random(7)
    rules = [random_rules(rng, 8)]
    shares = {"late_share": 0, "broken_share": 0, "duplicate_share": 0}
    (lines,) = random_stream(rng, 150, n_partitions=1, span_ms=5 * 86_400_000, **shares)
    want = evaluate(rules, None, [lines])
    assert want.late == 0
    assert want.decisions
    shuffled = list(lines)
    rng.shuffle(shuffled)
    got = evaluate(rules, None, [shuffled[::2], shuffled[1::2]], lateness_ms=100 * 86_400_000)
    assert compare(want.decisions, got.decisions) is None


def test_random_cases_reach_every_corner() -> None:
    seen: Counter[str] = Counter()
    fired = total = 0
    for seed in range(45):
        case: Case = random_case(Random(seed), n_events=100, n_rules=10)
        result = case.run()
        seen["late"] += result.late
        seen["duplicates"] += result.duplicates
        seen["pending"] += result.pending
        for decision in result.decisions:
            seen[f"{decision['reason']}/{decision['would_be']}"] += 1
        seen.update(letter["reason"] for letter in result.dead_letters)
        ids = {decision["rule_id"] for decision in result.decisions}
        for rule in load_rules(case.rules):
            total += 1
            fired += rule.id in ids
            if rule.id in ids:
                seen[
                    "each" if rule.each_holding else "daily" if rule.daily else rule.restart if rule.unless else ""
                ] += 1
    suppressed = ["holdout", "opt_out", "cooldown", "cap", "quiet_hours"]
    expected = [f"{reason}/None" for reason in [None, *suppressed, "open_ticket"]]
    expected += [f"shadow/{reason}" for reason in ["emitted", *suppressed]]
    expected += ["not_json", "not_object", "unknown_stream", "missing_field", "wrong_type", "bad_value", "too_long"]
    expected += ["future_ts", "late", "duplicates", "pending", "each", "daily", "first", "latest"]
    assert [name for name in expected if not seen[name]] == []
    assert total / 4 < fired < total
