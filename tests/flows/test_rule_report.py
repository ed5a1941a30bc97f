"""What an operator is told when the rules are others than before."""

from __future__ import annotations

import pytest

from flows.loading import load
from flows.rule_report import change_report
from operators.plan_changes import PlanChange, warm_from_ms
from rules.load import load_rules
from rules.planner import make_plan

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HEAD = "version: 1\ntimezone: Asia/Shanghai\nrules:\n"
LETS = """\
  - {id: a, trigger: txn, let: {n: '%s'}, when: n > 1, then: [{tag: {}}]%s}
"""


@pytest.fixture
def plan(tmp_path):
    def make(*rules, more=""):
        path = tmp_path / "rules.yaml"
        path.write_text(HEAD + "".join(LETS.replace("id: a", f"id: r{i}") % (x, more) for i, x in enumerate(rules)))
        found, problems = load_rules([path])
        assert found is not None, problems
        return make_plan(found)

    return make


def report(old, new):
    return list(change_report(PlanChange(old, new), other_policy=False))


def test_nothing_is_said_of_the_same_rules(plan):
    assert list(change_report(None, other_policy=False)) == []


def test_rules_and_aggregates_are_told_apart(plan):
    old = plan('count(txn[direction == "out"], last="7d")', "count(click)")
    new = plan('count(txn[direction == "out"], last="7d")', 'sum(txn.amount, last="2h")', 'count(txn, this="week")')
    assert report(old, new) == [
        "The rules are others than before:",
        "  ~ r1: changed, warming for 2h",
        "  + r2: new, warming for 7d",
        "  aggregates kept: 1",
        "  aggregates beginning now, or filled in part: 2",
        '    sum(txn.amount, last="2h")',
        '    count(txn, this="week")',
        "  aggregates dropped: 1",
        "    count(click)",
    ]


def test_a_longer_window_warms_for_what_is_missing(plan):
    old, new = plan('sum(txn.amount, last="7d")'), plan('max(txn.amount, last="30d")')
    assert "  ~ r0: changed, warming for 23d" in report(old, new)
    shorter = report(new, old)
    assert not any("warming" in line for line in shorter), "a shorter window is in what is kept"


def test_what_waits_and_is_dropped_is_said(plan):
    text = ", unless: {event: click, within: 1h}"
    old = plan("count(txn)", more=text)
    gone = report(old, plan("count(txn)"))
    assert any("deadlines that waited are dropped" in line for line in gone)
    assert not any(
        "dropped" in line for line in report(old, plan("count(txn)", more=text.replace("1h", "2h"))) if "~" in line
    )
    assert any(line.startswith("  - r0: gone or paused;") for line in report(old, plan()))  # fmt: skip


def test_a_longer_cooldown_is_said(plan):
    short, long = (plan("count(txn)", more=f", cooldown: {size}") for size in ("1h", "7d"))
    line = "  ~ r0: changed; its cooldown grows from 1h to 7d: contacts longer ago than 1h may be forgotten"
    assert line in report(short, long)
    assert "  ~ r0: changed" in report(long, short)


@pytest.mark.parametrize(
    ("text", "filled_ms"),
    [
        ('sum(txn.amount, last="7d")', 10 * DAY_MS + 7 * DAY_MS - 1),
        ('sum(txn.amount, prior="1h")', 10 * DAY_MS + HOUR_MS - 1),
        ('count(txn, this="day")', 10 * DAY_MS + 16 * HOUR_MS),  # the next midnight in Shanghai
        ('distinct(txn.amount, last="1h", per="terminal_id")', 10 * DAY_MS + HOUR_MS - 1),
        ("count(txn)", None), ("last(txn.amount)", None), ('streak(txn, by="day")', None),
    ],
)  # fmt: skip
def test_a_rule_is_warm_when_its_windows_are_filled(plan, text, filled_ms):
    new = plan(text)
    since = PlanChange(plan("count(click)"), new).since({}, 10 * DAY_MS)
    assert warm_from_ms(new, since) == ({} if filled_ms is None else {0: filled_ms})


def test_what_was_there_from_the_beginning_stays_so_over_several_changes(plan):
    first, second = plan('count(txn, last="7d")'), plan('count(txn, last="30d")')
    since = PlanChange(first, second).since({}, 10 * DAY_MS)
    assert since == {"log txn": 3 * DAY_MS + 1}
    assert warm_from_ms(second, since) == {0: 33 * DAY_MS}
    assert warm_from_ms(first, PlanChange(second, first).since(since, 20 * DAY_MS)) == {0: 10 * DAY_MS}
    back = PlanChange(first, second).since(PlanChange(second, first).since(since, 20 * DAY_MS), 21 * DAY_MS)
    assert back == {"log txn": 14 * DAY_MS + 1}


MODELS = """\
version: 1
models:
  - {name: odd, kind: surprise, scores: txn, features: {amount: txn.amount, n: 'count(txn, last="%s")'}%s}
  - {name: even, kind: surprise, scores: txn, features: {amount: txn.amount}}
"""


@pytest.fixture
def plan_with_models(tmp_path):
    def make(*read, window="1d", more=""):
        path, models = tmp_path / "rules.yaml", tmp_path / "models.yaml"
        lets = (
            f"  - {{id: {name}, trigger: txn, let: {{s: 'score(\"{name}\")'}}, then: [{{tag: {{}}}}]}}\n"
            for name in read
        )
        path.write_text(HEAD + "".join(lets))
        models.write_text(MODELS % (window, more))
        found = load([path], models=[models])
        assert found.rules is not None, found.problems
        return make_plan(found.rules)

    return make


def test_models_that_begin_come_and_go_are_told(plan_with_models):
    old = plan_with_models("odd")
    assert report(old, plan_with_models("odd", "even"))[1:] == [
        "  + even: new",
        "  + model even: now runs; if it did before, it goes on from what it had learned",
        "  aggregates kept: 1",
        "  aggregates beginning now, or filled in part: 0",
        "  aggregates dropped: 0",
    ]
    assert report(old, plan_with_models("even"))[3:] == [
        "  + model even: now runs; if it did before, it goes on from what it had learned",
        "  - model odd: no longer runs, as no rule reads it; what it learned is kept",
        "  aggregates kept: 0",
        "  aggregates beginning now, or filled in part: 0",
        "  aggregates dropped: 1",
        '    count(txn, last="1d") (of models)',
    ]


def test_a_model_that_is_another_one_begins_anew(plan_with_models):
    old = plan_with_models("odd")
    anew = "  ~ model odd: another one now; it begins anew, and what it had learned is dropped"
    assert report(old, plan_with_models("odd", more=", version: 2"))[1] == anew
    longer = report(old, plan_with_models("odd", window="2d"))
    assert longer[1] == anew
    assert '    count(txn, last="2d") (of models)' in longer
    assert report(old, plan_with_models("odd", more=", mode: frozen, warm_up: 7, title: T"))[1] == (
        "  ~ model odd: goes on with another mode, warm_up"
    )


def test_another_text_model_is_told():
    (line,) = change_report(None, other_policy=False, other_text_model=True)
    assert line.startswith("The text model is another than before.")
