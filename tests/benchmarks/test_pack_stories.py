"""The pack against the stories of all its scenarios in a small bank; what the stories promise; how cases count."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pack_stories import PackJob, below, lines, pack_rules, run, score_pack, stories_of
from flows.demo.score import StoryScore, customers_of
from flows.simulate import simulate
from flows.simulate.clock import DAY_MS, HOUR_MS
from flows.simulate.stories import PACK_STORIES, STORIES

Record = dict[str, Any]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StoryScore]]:
    folder = tmp_path_factory.mktemp("bank")
    return folder, run(PackJob(customers=200, days=100), 71, folder)


def records(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


# ---- the pack


def test_every_rule_of_the_pack_finds_its_stories_and_little_else(bank: tuple[Path, list[StoryScore]]) -> None:
    scores = bank[1]
    assert [s.rule_id for s in scores] == [rule.id for rule in pack_rules().rules]
    assert all(s.expected for s in scores), [s.rule_id for s in scores if not s.expected]
    # One case is a large share of a rule's here. The limit of .95 is for large banks; in this one all is right.
    assert [(s.rule_id, s.missed, s.false_alarms) for s in scores if s.missed or s.false_alarms] == []


def test_every_story_has_a_rule_and_every_rule_a_story() -> None:
    wanted = {name for rule in pack_rules().rules for name in stories_of(rule.id)}
    found_by_record = {"birthday", "survey_transfer", "survey_ticket", "reopen_unhappy"}
    assert wanted - found_by_record == set(PACK_STORIES)


def test_decoys_are_no_cases(bank: tuple[Path, list[StoryScore]]) -> None:
    truth = records(bank[0] / "events" / "truth.ndjson")
    kinds = {record["story"] for record in truth if not record["expected"]}
    assert kinds == set(PACK_STORIES)
    cases = defaultdict(list)
    for record in truth:
        if record["expected"]:
            for customer in customers_of(record):
                cases[record["story"], customer].append(record)
    for decoy in (record for record in truth if not record["expected"]):
        for customer in customers_of(decoy):
            for case in cases[decoy["story"], customer]:
                overlap = case["start_ts"] <= decoy["end_ts"] and decoy["start_ts"] <= case["end_ts"]
                assert not overlap, (decoy, case)


def test_what_happens_by_itself_is_in_the_truth(bank: tuple[Path, list[StoryScore]]) -> None:
    folder = bank[0] / "events"
    told = Counter(record["story"] for record in records(folder / "truth.ndjson") if record["expected"])
    clicks, profiles = records(folder / "click.ndjson"), records(folder / "profile.ndjson")
    transfers = [e for e in clicks if e.get("journey") == "transfer" and e["action"] == "finish"]
    assert told["survey_transfer"] == sum(e["ts"] % 5 == 0 for e in transfers) > 100
    tickets = records(folder / "ticket.ndjson")
    assert told["survey_ticket"] == sum(e["stage"] == "resolved" for e in tickets) > 5
    first = date(1970, 1, 1) + timedelta(days=(min(e["ts"] for e in profiles) + 8 * HOUR_MS) // DAY_MS)
    in_run = {(first + timedelta(days=n)).strftime("%m-%d") for n in range(100)}
    celebrated = {e["customer_id"] for e in profiles if e["tier"] != "mass" and e["birthday"][5:] in in_run}
    assert told["birthday"] == len(celebrated) > 3
    low = [e for e in records(folder / "feedback.ndjson") if e["metric"] == "csat" and e["score"] <= 2]
    assert told["csat_low"] == len(low) > 5


def test_stories_that_do_not_fit_are_left_out_and_said_so(tmp_path: Path) -> None:
    report = simulate(tmp_path, customers=150, days=20, seed=1, story_rate=0.01, stories="pack")
    assert report.left_out["net_deposits_three_months"] == 75
    assert {"regular_inflows_idle", "activity_fallen", "salary_growth"} <= report.left_out.keys()
    assert not report.left_out.keys() & report.stories.keys()
    assert report.stories.keys() | report.left_out.keys() >= set(PACK_STORIES)


def test_the_demonstration_is_told_as_ever(tmp_path: Path) -> None:
    report = simulate(tmp_path, customers=150, days=34, seed=1, story_rate=0.01)
    assert set(report.stories) == set(STORIES)
    assert report.left_out == {}


def test_an_unknown_set_of_stories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stories must be one of demo, pack"):
        simulate(tmp_path, customers=1, days=1, seed=1, stories="all")


# ---- how cases are counted


def case(number: int, customer: str, start: int, end: int, story: str = "csat_low", **more: Any) -> Record:
    told = {"story": story, "story_id": f"{story}-{number}", "customer_id": customer, "event_ids": ["e"]}
    return told | {"start_ts": start, "end_ts": end, "expected": True} | more


def firing(customer: str, ts: int, rule: str = "csat-low", holding: str | None = None) -> Record:
    return {"rule_id": rule, "customer_id": customer, "ts": ts, "holding_id": holding, "decision": "suppressed"}


def test_a_rule_is_scored_over_all_its_stories() -> None:
    truth = [case(1, "A", 0, 9, "far_from_habits"), case(2, "B", 0, 9, "far_from_all")]
    decisions = [firing("A", 5, "unusual-payment"), firing("A", 5, "habits-confirm")]
    unusual, habits = score_pack(truth, decisions, ["unusual-payment", "habits-confirm"])
    assert (unusual.expected, unusual.found, unusual.missed) == (2, 1, ("far_from_all-2",))
    assert (habits.expected, habits.found) == (1, 1)


def test_other_firings_are_false_alarms_and_those_of_a_day_are_one() -> None:
    alone = [firing("B", day * DAY_MS) for day in (1, 2, 3, 5)]
    decoy = case(2, "B", 0, 9 * DAY_MS, expected=False)
    (scored,) = score_pack([case(1, "A", 0, 9), decoy], [firing("A", 5), *alone], ["csat-low"])
    assert (scored.found, scored.false_alarms) == (1, 2)
    assert below([scored]) == ["csat-low"]


def test_payments_of_other_stories_are_left_out_of_the_models_rules_alone() -> None:
    truth = [case(1, "A", 0, 9, "far_from_habits"), case(2, "B", 0, 9, "churn_risk")]
    decisions = [firing("A", 5, "habits-confirm"), firing("B", 5, "habits-confirm"), firing("B", 5)]
    habits, csat = score_pack(truth, decisions, ["habits-confirm", "csat-low"])
    assert (habits.found, habits.false_alarms) == (1, 0)
    assert csat.false_alarms == 1


def test_the_table_and_the_limit() -> None:
    good = StoryScore("s", "good", 20, 19, ("s-1",), 1)
    bad = StoryScore("s", "bad", 20, 18, ("s-1", "s-2"), 0)
    none = StoryScore("s", "none", 0, 0, (), 0)
    assert below([good, bad, none]) == ["bad", "none"]
    table = list(lines([good, bad, none]))
    assert table[1].split() == ["good", "20", "19", "1", "1", "0.950", "0.950"]
    assert table[3].split() == ["none", "0", "0", "0", "0", "-", "-"]
