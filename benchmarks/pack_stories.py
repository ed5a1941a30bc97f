"""``python -m benchmarks.pack_stories --seeds 511 512 513``: the bank's pack against stories of all its scenarios.

For each seed it simulates a bank with the stories of the pack (`cem simulate --stories pack`), replays the pack without
a policy, and prints for each rule how many cases there were, how many it found, and what else it reported. Exit code 1
if a precision or recall is below the limit, or if a rule had nothing to find.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from flows.demo.score import StoryScore, customers_of, matches
from flows.loading import load
from flows.replay import ACTIONS, ReplayJob, replay
from flows.simulate import simulate
from flows.simulate.clock import DAY_MS, DEFAULT_START_MS
from flows.simulate.columns import STREAMS
from flows.table import table
from rules.model import RuleSet

THEMES = ("lending", "wealth", "marketing", "service", "voice", "surveys", "tickets", "risk")
LEAST = 0.95
GRACE_MS = 3_600_000
"""Without a policy a decision comes when its case is complete; within the hour the same thing may go on."""
EVENTS_PER_CUSTOMER_DAY = 8.0

_OTHER_NAMES = {
    "prepay-search": ("repeated_prepay_search",),
    "mortgage-three-days": ("mortgage_browsing",),
    "step-errors": ("journey_friction",),
    "money-to-other-banks": ("churn_risk",),
    "habits-confirm": ("far_from_habits",),
    "unusual-payment": ("far_from_habits", "far_from_all"),
}
BY_HABIT = ("habits-confirm", "unusual-payment")
"""Rules of the models. What other stories pay may well be unusual; nobody decided whether, so their customers are left
out of these two rules' cases."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PackJob:
    """How large a bank, for how long, and how often each story is told (per customer)."""

    customers: int = 3000
    days: int = 100
    story_rate: float = 0.008


def pack_rules() -> RuleSet:
    """The rules of all themes, with their models."""
    with as_file(files("rules") / "packs") as folder:
        loaded = load([folder / f"{theme}.yaml" for theme in THEMES])
    if loaded.rules is None:
        raise AssertionError("\n".join(map(str, loaded.problems)))
    return loaded.rules


def stories_of(rule_id: str) -> tuple[str, ...]:
    """The stories in `truth.ndjson` that a rule is to find."""
    return _OTHER_NAMES.get(rule_id, (rule_id.replace("-", "_"),))


def run(job: PackJob, seed: int, folder: Path) -> list[StoryScore]:
    """Simulates, replays and scores one seed; files go to ``folder``."""
    events = folder / "events"
    simulate(
        events, customers=job.customers, days=job.days, seed=seed, story_rate=job.story_rate, stories="pack",
        events_per_customer_day=EVENTS_PER_CUSTOMER_DAY,
    )  # fmt: skip
    rules = pack_rules()
    paths = tuple(events / f"{stream}.ndjson" for stream in STREAMS)
    replay(ReplayJob(rules, paths, folder / "out", until_ms=DEFAULT_START_MS + job.days * DAY_MS))
    truth, decisions = _records(events / "truth.ndjson"), _records(folder / "out" / ACTIONS)
    return score_pack(truth, decisions, [rule.id for rule in rules.rules])


def _records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def score_pack(truth: Iterable[Record], decisions: Iterable[Record], rule_ids: Sequence[str]) -> list[StoryScore]:
    """A rule's cases over all its stories: one per customer and instance.

    A case is found by any decision of the rule in its time, suppressed ones too. Other firings are false alarms; of
    one customer (and holding) those a day or less apart are one, as a rule that looks each day reports the same thing
    again.
    """
    told = list(truth)
    firings: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    for decision in decisions:
        key = (decision["customer_id"], decision["holding_id"] or "", decision["ts"])
        firings[decision["rule_id"]].add(key)
    return [_score(rule_id, told, firings[rule_id]) for rule_id in rule_ids]


def _score(rule_id: str, truth: Sequence[Record], firings: set[tuple[str, str, int]]) -> StoryScore:
    names = stories_of(rule_id)
    mine = [record for record in truth if record["story"] in names and record["expected"]]
    cases: dict[str, list[Record]] = defaultdict(list)
    for record in mine:
        for customer in customers_of(record):
            cases[customer].append(record)
    left_out = _others(truth) if rule_id in BY_HABIT else frozenset()
    found: set[str] = set()
    false_alarms = 0
    last: dict[tuple[str, str], int] = {}
    for customer, holding, ts in sorted(firings):
        hit = [record["story_id"] for record in cases[customer] if matches(record, customer, ts, GRACE_MS)]
        found.update(hit)
        if hit or customer in left_out:
            continue
        false_alarms += ts - last.get((customer, holding), -2 * DAY_MS) > DAY_MS
        last[customer, holding] = ts
    missed = tuple(record["story_id"] for record in mine if record["story_id"] not in found)
    return StoryScore(", ".join(names), rule_id, len(mine), len(found), missed, false_alarms)


def _others(truth: Sequence[Record]) -> frozenset[str]:
    """Customers who were cast in other stories than those of habits."""
    habits = {name for rule_id in BY_HABIT for name in stories_of(rule_id)}
    told = (record for record in truth if record["story"] not in habits and record["event_ids"])
    return frozenset(customer for record in told for customer in customers_of(record))


def lines(scores: Sequence[StoryScore]) -> Iterator[str]:
    """The table of a seed."""
    head = ("rule", "expected", "found", "missed", "false alarms", "precision", "recall")
    rows = [
        (s.rule_id, str(s.expected), str(s.found), str(len(s.missed)), str(s.false_alarms), _share(s.precision),
         _share(s.recall))
        for s in scores
    ]  # fmt: skip
    return table(head, rows, numbers=True)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def below(scores: Sequence[StoryScore]) -> list[str]:
    """The rules whose precision or recall is below the limit, or that had nothing to find."""
    return [s.rule_id for s in scores if min(s.precision or 0.0, s.recall or 0.0) < LEAST]


def main() -> int:
    """The command."""
    standard = PackJob()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pack_stories", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="one bank for each")
    parser.add_argument("--customers", type=int, default=standard.customers)
    parser.add_argument("--days", type=int, default=standard.days)
    parser.add_argument("--story-rate", type=float, default=standard.story_rate)
    parser.add_argument("--keep", type=Path, help="keep the events and decisions in this folder, by seed")
    given = parser.parse_args()
    job = PackJob(given.customers, given.days, given.story_rate)
    failed = False
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) if given.keep is None else given.keep / str(seed)
            scores = run(job, seed, folder)
        print(f"seed {seed}: {job.customers} customers, {job.days} days")
        print("\n".join(lines(scores)), flush=True)
        worse = below(scores)
        failed |= bool(worse)
        print(f"  below {LEAST}: {', '.join(worse) or 'none'}\n", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
