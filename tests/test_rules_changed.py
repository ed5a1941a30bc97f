"""Rules that change between two runs over one state: what they share goes on exactly, what is new warms up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

import operators.deciding
import operators.shard
from operators.plan_changes import PlanChange, PlanParts
from rules.load import load_rules
from rules.planner import make_plan
from tests.reference.compare import compare
from tests.reference.engine import read_lines, run_engine
from tests.reference.generate import random_case
from tests.reference.generate_rules import random_rules
from tests.reference.rules import load_yaml
from tests.test_engine_resumed import InterruptedRunError, interrupted_after

__all__ = ["interrupted_after"]  # a fixture
DAY_MS = 86_400_000
PERIOD_MS = {"day": 2 * DAY_MS, "week": 8 * DAY_MS, "month": 32 * DAY_MS}


def plan_of(texts: list[str], folder: Path):
    folder.mkdir(parents=True)
    paths = [folder / f"{number}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    rule_set, problems = load_rules(paths)
    assert rule_set is not None, problems
    return make_plan(rule_set)


def window_ms(plan, planned) -> int | None:
    """The longest window of a rule; none if it looks at something that has no window, or further than events."""
    read = [plan.customer.features[number] for number in planned.features]
    read += [plan.entities[name].features[number] for name, number in planned.entity_features]
    sizes = [PERIOD_MS.get(feature.period, feature.size_ms) for feature in read]
    endless = any(not size and not feature.window for size, feature in zip(sizes, read, strict=True))
    if planned.rises or planned.rule.unless or endless:
        return None
    return max(sizes, default=0)


def begins_empty(change: PlanChange, planned) -> int:
    """The longest window over something that the old rules did not keep at all."""
    new, old = PlanParts(change.new), PlanParts(change.old)
    read = [change.new.customer.features[number] for number in planned.features]
    unknown = [f for f in read if not set(new.kept(new.features.series[f.series])) & old.all_kept() and f.size_ms]
    return max((feature.size_ms for feature in unknown), default=0)


def firing(decision: dict[str, Any]) -> dict[str, Any]:
    """What a decision says of the rule that fired, without what was made of it."""
    left_out = ("decision", "reason", "would_be", "open_ticket_id")
    return {name: value for name, value in decision.items() if name not in left_out} | {"decision": ""}


class Change:
    """One case: a run under old rules is interrupted, another goes on under new ones."""

    def __init__(self, rng: Random, folder: Path) -> None:
        self.folder = folder
        self.case = random_case(rng, n_events=300, n_rules=1)
        with_policy = rng.random() < 0.5
        policy = load_yaml(self.case.policy) if self.case.policy and with_policy else None
        if policy is not None:
            policy.pop("caps", None)  # what other rules emit counts for them
            self.case = replace(self.case, policy=json.dumps(policy))
        else:
            self.case = replace(self.case, policy=None)
        shared, old, new = (random_rules(rng, 5, prefix=prefix) for prefix in ("s", "o", "n"))
        self.old, self.new = [shared, old], [shared, new]
        self.change = PlanChange(plan_of(self.old, folder / "old"), plan_of(self.new, folder / "new"))

    def run(self, rng: Random, interrupted_after, monkeypatch) -> int:
        """Event time at the change."""
        more = {"state": self.folder / "state", "epoch_ms": 0}
        interrupted_after(rng.randrange(6, 30))
        try:
            run_engine(replace(self.case, rules=self.old), self.folder / "case", **more)
        except BaseException as error:
            if not any(InterruptedRunError.__name__ in repr(e) for e in (error, error.__cause__)):
                raise
        else:
            pytest.skip("the first run came to its end")
        taken: list[int] = []
        restore = operators.shard.restore_decider

        def noted(decider, frames, now_ms):
            taken.append(now_ms)
            return restore(decider, frames, now_ms)

        for module in (operators.shard, operators.deciding):  # one stage, or the last of several
            monkeypatch.setattr(module, "restore_decider", noted)
        interrupted_after(None)
        run_engine(replace(self.case, rules=self.new), self.folder / "case", **more)
        assert len(set(taken)) == 1
        return taken[0]


IN_THE_SUITE = (1, 3, 8, 13, 18, 28)


@pytest.mark.parametrize(
    "seed", [seed if seed in IN_THE_SUITE else pytest.param(seed, marks=pytest.mark.slow) for seed in range(60)]
)
def test_random_rules(seed, tmp_path, interrupted_after, monkeypatch):
    rng = Random(f"changed {seed}")
    case = Change(rng, tmp_path)
    change_ms = case.run(rng, interrupted_after, monkeypatch)
    got = [d for d in read_lines(tmp_path / "case" / "out" / "actions.ndjson") if d["ts"] >= change_ms]
    want = [d for d in replace(case.case, rules=case.new).run().decisions if d["ts"] >= change_ms]
    shared = [d for d in got if d["rule_id"].startswith("s")]
    assert not [d for d in shared if "warming" in (d["reason"], d["would_be"])]
    found = compare([d for d in want if d["rule_id"].startswith("s")], shared)
    assert found is None, found
    known = set(case.change.old.fields["profile"]) if case.change.old.programs.keeps_profiles else set()
    for planned in case.change.new.rules:
        rule_id = planned.rule.id
        if rule_id.startswith("s"):
            continue
        own = [d for d in got if d["rule_id"] == rule_id]
        empty_ms = begins_empty(case.change, planned)
        early = [d for d in own if change_ms <= d["ts"] < change_ms + empty_ms - 1 and not planned.rule.unless]
        assert all("warming" in (d["reason"], d["would_be"]) for d in early), early
        longest_ms = window_ms(case.change.new, planned)
        text = repr(planned.rule)
        reads_unknown = ("ProfileField" in text or "HoldingField" in text) and not (
            set(case.change.new.fields["profile"]) <= known
        )
        if longest_ms is None or reads_unknown or case.case.policy:
            continue
        filled_ms = change_ms + longest_ms
        late = [d for d in own if d["ts"] >= filled_ms]
        assert not [d for d in late if "warming" in (d["reason"], d["would_be"])]
        found = compare(
            [firing(d) for d in want if d["rule_id"] == rule_id and d["ts"] >= filled_ms], [firing(d) for d in late]
        )
        assert found is None, found
