"""What is worked out of runs' figures, and the page that shows it."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.report import as_markdown
from benchmarks.results import Figure, Goal, ScenarioResult, Spread, as_json, figure_of, is_met, machine
from benchmarks.soak import growth


def runs(*seconds: float, **more: Any) -> list[dict[str, Any]]:
    return [{"events": 1000, "seconds": s, "result_hash": "aa"} | more for s in seconds]


RATIO = Goal("a to b", Figure("a", "rate"), Figure("b", "rate"), at_least=2.0)
COST = Goal("a's p99", Figure("a", "latency.p99"), at_most=10)


def result(**alternatives: list[dict[str, Any]]) -> ScenarioResult:
    return ScenarioResult("rules", "by rules", {"seed": 7, "events": 1000}, dict(alternatives), goals=(RATIO, COST))


def test_a_ratio_is_of_the_same_repetition_and_the_median_of_them() -> None:
    made = result(a=runs(1.0, 2.0, 4.0), b=runs(2.0, 8.0, 20.0))
    assert made.measured(RATIO) == Spread(4.0, 2.0, 5.0)


def test_a_goal_without_its_runs_is_not_measured() -> None:
    assert result(a=runs(1.0)).measured(RATIO) is None
    assert result(a=runs(1.0), b=runs(1.0)).measured(COST) is None


def test_a_goal_is_met_at_its_bound_and_not_beyond() -> None:
    assert is_met(RATIO, Spread(2.0, 1.0, 3.0))
    assert not is_met(RATIO, Spread(1.99, 1.0, 3.0))
    assert is_met(COST, Spread(10, 1, 20))
    assert not is_met(COST, Spread(10.1, 1, 20))


def test_figures_are_found_by_path_and_worked_out() -> None:
    figures = {
        "events": 30, "seconds": 2, "latency": {"p99": 4.5}, "peak_rss_bytes": 5000, "base_rss_bytes": 1000,
        "customers": 4,
    }  # fmt: skip
    assert figure_of(figures, "rate") == 15
    assert figure_of(figures, "latency.p99") == 4.5
    assert figure_of(figures, "bytes_per_customer") == 1000
    assert figure_of(figures, "latency.p42") is None
    assert figure_of({"peak_rss_bytes": 1}, "bytes_per_customer") is None


def test_decisions_that_differ_are_named_with_their_alternatives() -> None:
    made = result(a=runs(1.0, 1.0), b=runs(1.0, result_hash="bb"))
    assert made.differing([["a"], ["b"]]) == []
    assert made.differing([["a", "b"]]) == ["rules: result_hash differs between a: aa, b: bb"]
    made.runs["a"][1]["result_hash"] = "cc"
    assert made.differing([["a"]]) == ["rules: result_hash differs between a: aa, a: cc"]


def test_a_run_with_a_difference_is_named() -> None:
    made = result(a=runs(1.0), b=[*runs(1.0), *runs(1.0, difference="1 decisions are missing")])
    assert made.differing([["a"]]) == []
    assert made.differing([["a", "b"]]) == ["rules: b: 1 decisions are missing"]


def test_costs_are_shown_by_the_base() -> None:
    made = result(a=runs(1.0, 2.0), b=runs(4.0, 6.0))
    made.base = "a"
    assert made.cost("b") == Spread(3.5, 3.0, 4.0)
    page = as_markdown([made], machine(), "short")
    assert "times the cost of “a”" in page
    assert "| b | 208 (167 – 250) | 5 (4 – 6) | 3.5 (3 – 4) | aa |" in page


def test_the_page_shows_goals_rates_and_what_was_skipped() -> None:
    made = result(a=runs(1.0, 2.0, latency={"p99": 12.5}), b=runs(2.0, 2.0))
    made.skipped["c"] = "not installed"
    page = as_markdown([made], machine(), "short")
    assert "| rules | a to b | ≥ 2 | 1.5 (1 – 2) | **no** |" in page
    assert "| rules | a's p99 | ≤ 10 | 12.5 | **no** |" in page
    assert "| a | 750 (500 – 1,000) | 1.5 (1 – 2) | 12.5 | aa |" in page
    assert "| b | 500 | 2 |  | aa |" in page
    assert "Skipped: c: not installed" in page


def test_the_figures_are_json_with_every_run() -> None:
    found = json.loads(json.dumps(as_json([result(a=runs(1.0, 2.0), b=runs(4.0, 4.0))], machine(), "short")))
    scenario = found["scenarios"]["rules"]
    assert len(scenario["alternatives"]["a"]["runs"]) == 2
    assert scenario["alternatives"]["a"]["rate"]["median"] == 750
    [goal] = scenario["goals"]
    assert goal["measured"]["median"] == 3.0
    assert goal["met"] is True


def test_growth_compares_the_end_with_the_middle() -> None:
    assert growth([0, 0, 50, 100, 100, 100, 100, 100, 100, 100]) == 1
    assert growth([float(n) for n in range(1, 11)]) == 19 / 11
    assert growth([1.0]) is None
