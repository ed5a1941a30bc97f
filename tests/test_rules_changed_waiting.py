"""What waits when the rules change: deadlines, held decisions, open tickets, profiles, days of date rules."""

from __future__ import annotations

import json

import pytest

from flows.replay import ReplayJob, replay
from rules.load import load_rules
from rules.planner import make_plan
from rules.policy import Policy, load_policy
from tests.test_engine_resumed import InterruptedRunError, interrupted_after

__all__ = ["interrupted_after"]  # a fixture

START_MS = 1_772_582_400_000  # 2026-03-04, 08:00 in Shanghai
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HEAD = "version: 1\ntimezone: Asia/Shanghai\nrules:\n"
BATCHES = 6


@pytest.fixture
def run(tmp_path, interrupted_after):
    """Decisions of old rules over the events before a change, and of new ones over those after it."""

    def go(before, after, old, new, policy="", new_timezone="Asia/Shanghai"):
        number = iter(range(10_000))

        def line(at_ms, **fields):
            message = {"event_id": f"e{next(number)}", "customer_id": "c", "ts": START_MS + at_ms, **fields}
            return json.dumps(message, ensure_ascii=False) + "\n"

        # the change comes within these, which concern nobody
        filler = [line(2 * HOUR_MS + i, stream="label", subject_event_id="x", label=True) for i in range(200)]
        events = tmp_path / "events.ndjson"
        events.write_text(
            "".join([*(line(**e) for e in before), *filler, *(line(**e) for e in after)]), encoding="utf-8"
        )
        (tmp_path / "policy.yaml").write_text(policy, encoding="utf-8")
        contact_policy, problems = load_policy(tmp_path / "policy.yaml") if policy else (Policy.default(), [])
        assert contact_policy is not None, problems

        def job(text, timezone="Asia/Shanghai"):
            path = tmp_path / "rules.yaml"
            path.write_text(HEAD.replace("Asia/Shanghai", timezone) + text, encoding="utf-8")
            rules, problems = load_rules([path])
            assert rules is not None, problems
            return ReplayJob(
                rules, (events,), tmp_path / "out", contact_policy, lateness_ms=0, state=tmp_path / "state", epoch_ms=0
            )

        interrupted_after(BATCHES)
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - the runtime's own error holds ours
            replay(job(old))
        assert InterruptedRunError.__name__ in repr(caught.value) + repr(caught.value.__cause__)
        interrupted_after(None)
        told: list[str] = []
        replay(job(new, new_timezone), tell=told.append)
        assert told, "the state was written under the old rules"
        lines = (tmp_path / "out" / "actions.ndjson").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return go


CLICK, SUBMIT = {"stream": "click", "action": "look"}, {"stream": "click", "action": "submit"}
UNLESS = """\
  - id: hesitation
    trigger: click[action == "look"]
    unless: {event: 'click[action == "%s"]', within: 1d}
    then: [{%s: {text: "%s"}}]
"""
LATER = {"stream": "label", "subject_event_id": "x", "label": True, "at_ms": 3 * DAY_MS}


def test_a_deadline_goes_on_with_what_was_seen_when_it_was_armed(run):
    old, new = UNLESS % ("submit", "tag", "before"), UNLESS % ("submit", "tag", "after")
    (decision,) = run([CLICK | {"at_ms": 0}], [LATER], old, new)
    assert (decision["ts"], decision["payload"]) == (START_MS + DAY_MS, {"text": "before"})


def test_an_event_after_the_change_disarms_by_the_new_rule(run):
    old, new = UNLESS % ("cancel", "tag", "x"), UNLESS % ("submit", "tag", "x")
    assert run([CLICK | {"at_ms": 0}], [SUBMIT | {"at_ms": 3 * HOUR_MS}, LATER], old, new) == []


@pytest.mark.parametrize(
    "other", ["  - {id: else, trigger: txn, then: [{tag: {}}]}\n", UNLESS % ("submit", "notify", "x")]
)
def test_a_deadline_that_no_rule_can_decide_is_dropped(run, other):
    assert run([CLICK | {"at_ms": 0}], [LATER], UNLESS % ("submit", "tag", "x"), other) == []


QUIET = 'version: 1\nquiet_hours: {from: "08:00", to: "20:00", classes: [service], action: defer}\n'
SOON = "  - {id: %s, trigger: click, cooldown: %s, then: [{tag: {n: %d}}]}\n"


@pytest.mark.parametrize(("rule_id", "payloads"), [("now", [{"n": 1}]), ("other", [])])
def test_a_held_decision_goes_on_if_its_rule_does(run, rule_id, payloads):
    decisions = run([CLICK | {"at_ms": 0}], [LATER], SOON % ("now", "1h", 1), SOON % (rule_id, "1h", 2), QUIET)
    assert [d["payload"] for d in decisions] == payloads
    assert all(d["ts"] == START_MS + 12 * HOUR_MS for d in decisions)


def test_what_was_held_under_filled_windows_is_not_warming(run):
    held = '  - {id: r, trigger: click, let: {n: \'count(click, last="%s")\'}, then: [{tag: {n: "{n}"}}]}\n'
    decisions = run([CLICK | {"at_ms": 0}], [CLICK | {"at_ms": 3 * HOUR_MS}, LATER], held % "1h", held % "9d", QUIET)
    assert [(d["reason"], d["features"]["n"]) for d in decisions] == [("warming", 1), (None, 1)]


def test_nobody_is_contacted_twice_because_a_rule_changed(run):
    decisions = run(
        [CLICK | {"at_ms": 0}], [CLICK | {"at_ms": DAY_MS}], SOON % ("now", "7d", 1), SOON % ("now", "7d", 2)
    )
    assert [(d["payload"]["n"], d["reason"]) for d in decisions] == [(1, None), (2, "cooldown")]


def test_contacts_of_a_rule_that_is_gone_count_for_caps(run):
    cap = "version: 1\ncaps: [{class: service, max: 1, per: 7d}]\n"
    decisions = run(
        [CLICK | {"at_ms": 0}], [CLICK | {"at_ms": DAY_MS}], SOON % ("a", "1h", 1), SOON % ("b", "1h", 2), cap
    )
    assert [(d["rule_id"], d["reason"]) for d in decisions] == [("a", None), ("b", "cap")]


def test_a_ticket_stays_open(run):
    rule = "  - {id: t, trigger: click, then: [{ticket: {queue: %s, sla: 1h, subject: s}}]}\n"
    first, second = run([CLICK | {"at_ms": 0}], [CLICK | {"at_ms": DAY_MS}], rule % "a", rule % "b")
    assert (second["reason"], second["open_ticket_id"]) == ("open_ticket", first["action_id"])


PROFILE = {"stream": "profile", "tier": "gold", "city": "上海", "at_ms": 0,
           "holdings": [{"holding_id": "h", "amount": 500, "kind": "fund"}]}  # fmt: skip
TIER = '  - {id: r, trigger: click, when: profile.tier == "%s", then: [{tag: {who: "{profile.tier}"}}]}\n'


def test_a_condition_that_is_new_sees_the_profile_that_is_kept(run):
    decisions = run([PROFILE], [CLICK | {"at_ms": DAY_MS}], TIER % "silver", TIER % "gold")
    assert [d["payload"] for d in decisions] == [{"who": "gold"}]


def test_an_attribute_that_no_rule_read_counts_from_the_next_profile_on(run):
    new = '  - {id: r, trigger: click, when: is_null(profile.city) and profile.tier == "gold", then: [{tag: {}}]}\n'
    clicks = [CLICK | {"at_ms": DAY_MS}, PROFILE | {"at_ms": DAY_MS + 1}, CLICK | {"at_ms": DAY_MS + 2}]
    assert [d["ts"] - START_MS for d in run([PROFILE], clicks, TIER % "silver", new)] == [DAY_MS]


DAILY = """\
  - id: d
    trigger: {daily: "%s"}
    each: holdings
    when: holding.amount > %d
    then: [{tag: {amount: "{holding.amount}"}}]
"""


@pytest.mark.parametrize(
    ("old", "new", "hours"),
    [
        ("09:00", "21:00", [1, 37, 61]),  # today's was before the change, at about 10:00
        ("21:00", "09:00", [2, 25, 49]),  # today's was still to come: at once
        ("21:00", "12:00", [4, 28, 52]),
    ],
)
def test_a_date_rule_at_another_time_of_day_comes_once_a_day(run, old, new, hours):
    decisions = run([PROFILE], [LATER], DAILY % (old, 100), DAILY % (new, 400))
    assert [(d["ts"] - START_MS) // HOUR_MS for d in decisions] == hours


def test_a_date_rule_begins_under_rules_that_had_none(run):
    old = '  - {id: r, trigger: click, when: profile.tier == "x", then: [{tag: {}}]}\n'
    decisions = run([PROFILE], [LATER], old, DAILY % ("09:00", 100))
    assert [(d["ts"] - START_MS) // HOUR_MS for d in decisions] == [25, 49]


def test_a_rule_that_is_paused_for_a_while_contacts_nobody_twice(run, tmp_path):
    paused = (SOON % ("now", "7d", 1)).replace("trigger", "status: paused, trigger")
    run([CLICK | {"at_ms": 0}], [CLICK | {"at_ms": DAY_MS}], SOON % ("now", "7d", 1), paused)
    rules, _ = load_rules([tmp_path / "rules.yaml"])
    assert make_plan(rules).cooldowns_ms == {"now": 7 * DAY_MS}, "what was emitted is remembered for as long"


READS_NO_PROFILE = "  - {id: r, trigger: click, then: [{tag: {}}]}\n"


def test_holdings_are_known_to_rules_that_come_after_those_that_read_no_profile(run):
    every = (DAILY % ("09:00", 100)).replace("    when: holding.amount > 100\n", "")
    after = [PROFILE | {"at_ms": 2 * DAY_MS, "customer_id": "c5"}]  # of the same shard
    after += [PROFILE | {"at_ms": 3 * DAY_MS}, LATER | {"at_ms": 4 * DAY_MS}]
    decisions = run([PROFILE], after, READS_NO_PROFILE, every)
    assert [(d["customer_id"], (d["ts"] - START_MS) // HOUR_MS) for d in decisions] == [
        ("c", 25), ("c", 49), ("c5", 49), ("c", 73), ("c5", 73),
    ]  # fmt: skip


def test_a_date_rule_is_evaluated_for_those_of_whose_profile_nothing_was_read(run):
    new = '  - {id: d, trigger: {daily: "09:00"}, then: [{tag: {}}]}\n'
    decisions = run([PROFILE], [LATER], READS_NO_PROFILE, new)
    assert [(d["ts"] - START_MS) // HOUR_MS for d in decisions] == [25, 49]


ZONED = "  - {id: z, trigger: click, when: 'count(click[hour(ts) == %d], last=\"7d\") == 0', then: [{tag: {}}]}\n"


def test_a_selector_by_the_clock_of_another_timezone_is_another_one(run):
    before, after = [CLICK | {"at_ms": 0}], [CLICK | {"at_ms": 3 * HOUR_MS}, LATER]
    decisions = run(before, after, ZONED % 20, ZONED % 20, new_timezone="Asia/Tokyo")
    assert [d["reason"] for d in decisions] == [None, "warming"]


TAG_ONLY = "  - {id: t, trigger: txn, then: [{tag: {}}]}\n"
NOTIFY = "  - {id: n, %s trigger: click, class: marketing, then: [{notify: {channel: app}}]}\n"
REFUSES = PROFILE | {"opt_out": ["marketing"]}


@pytest.mark.parametrize("old", [TAG_ONLY, TAG_ONLY + NOTIFY % "status: paused,"])
def test_who_opted_out_under_rules_that_look_at_no_profile_is_not_contacted(run, old):
    (decision,) = run([REFUSES], [CLICK | {"at_ms": DAY_MS}], old, TAG_ONLY + NOTIFY % "")
    assert decision["reason"] == "opt_out"


def test_a_date_rule_begins_under_rules_that_looked_at_no_profile(run):
    decisions = run([PROFILE], [LATER], TAG_ONLY, DAILY % ("09:00", 100))
    assert [(d["ts"] - START_MS) // HOUR_MS for d in decisions] == [25, 49]
