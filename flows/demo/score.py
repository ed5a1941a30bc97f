"""Precision and recall of the demonstration's rules against the stories that were put into the data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DAY_MS = 86_400_000

STORY_RULES: dict[str, str] = {
    "repeated_prepay_search": "prepay-hesitation",
    "mortgage_browsing": "mortgage-interest",
    "idle_cash": "idle-cash",
    "maturing_holding": "holding-matures",
    "journey_friction": "journey-friction",
    "low_score_after_errors": "low-score-after-errors",
    "churn_risk": "churn-risk",
    "salary_growth": "salary-growth",
    "account_takeover": "account-takeover",
    "device_farm": "device-farm",
}
"""The rule of `rules/packs/demo.yaml` that looks for each story of the simulator."""

GRACE_MS = DAY_MS
"""A decision held over quiet hours comes at most 12 h after its story is complete; a day is sensible for a person."""


@dataclass(frozen=True, slots=True)
class StoryScore:
    """How a rule did on one kind of story; `missed` are story ids, `false_alarms` counts firings."""

    story: str
    rule_id: str
    expected: int
    found: int
    missed: tuple[str, ...]
    false_alarms: int

    @property
    def precision(self) -> float | None:
        """Found among all that the rule reported; null if it reported nothing."""
        reported = self.found + self.false_alarms
        return self.found / reported if reported else None

    @property
    def recall(self) -> float | None:
        """Found among all that were there; null if there were none."""
        return self.found / self.expected if self.expected else None


def score(
    truth: Iterable[Mapping[str, Any]],
    decisions: Iterable[Mapping[str, Any]],
    rules: Mapping[str, str] = STORY_RULES,
    grace_ms: int = GRACE_MS,
) -> list[StoryScore]:
    """Scores each story kind of `rules` (story -> rule id), in that order.

    An expected instance is found if its rule has a decision, emitted or suppressed (also `shadow`: the rule saw it),
    for one of its customers with `start_ts <= ts <= end_ts + grace_ms`; several such decisions count once. Every
    other firing of the rule, on a decoy too, is a false alarm; the entries of one firing's `then` count once.

    Parameters
    ----------
    truth
        Records of `truth.ndjson`.
    decisions
        Records of `actions.ndjson`, of any rules.
    """
    instances = defaultdict(list)
    for record in truth:
        if record["expected"]:
            instances[record["story"]].append(record)
    firings = defaultdict(set)
    for decision in decisions:
        firings[decision["rule_id"]].add((decision["customer_id"], decision["ts"], decision["holding_id"]))
    return [_score_one(story, rule, instances[story], firings[rule], grace_ms) for story, rule in rules.items()]


def matches(record: Mapping[str, Any], customer_id: str, ts: int, grace_ms: int = GRACE_MS) -> bool:
    """Whether a decision for this customer at `ts` (ms) belongs to the instance of a story."""
    within = bool(record["start_ts"] <= ts <= record["end_ts"] + grace_ms)
    return within and customer_id in customers_of(record)


def customers_of(record: Mapping[str, Any]) -> list[str]:
    """The customers of a truth record, which has one or several."""
    return record["customer_ids"] if "customer_ids" in record else [record["customer_id"]]


def _score_one(
    story: str, rule_id: str, instances: list[Mapping[str, Any]], firings: set[tuple[str, int, str | None]],
    grace_ms: int,
) -> StoryScore:  # fmt: skip
    by_customer = defaultdict(list)
    for record in instances:
        for customer in customers_of(record):
            by_customer[customer].append(record)
    found: set[str] = set()
    false_alarms = 0
    for customer, ts, _ in firings:
        hit = [record["story_id"] for record in by_customer[customer] if matches(record, customer, ts, grace_ms)]
        found.update(hit)
        false_alarms += not hit
    missed = tuple(record["story_id"] for record in instances if record["story_id"] not in found)
    return StoryScore(story, rule_id, len(instances), len(found), missed, false_alarms)
