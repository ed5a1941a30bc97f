"""Habits of customers as features of models, in the engine: the same however events come and whatever ends a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flows import files_source
from flows.kernels import warm_up
from tests.seeds import seeds
from tests.test_models import (
    Bench,
    events_of,
    interrupted_after,  # noqa: F401 - a fixture
    run_until_cut_off,
    shuffled,
)

MODELS = """\
version: 1
timezone: Asia/Shanghai
models:
  - name: habits
    kind: surprise
    scores: txn[direction == "out"]
    warm_up: 100
    ranked_among: 1000
    parameters: {first: 100}
    features:
      amount: unusual_amount(txn[direction == "out"].amount)
      hour: unusual_hour(txn)
      device: unusual_value(txn.device_id)
      pace: unusual_pace(txn[direction == "out"])
"""
MORE = """\
  - name: more
    kind: half_space_trees
    scores: txn
    parameters: {window: 100, trees: 5, height: 5}
    features:
      often: count(txn, last="3d")
      inward: unusual_amount(txn[direction == "in"].amount)
      pace: unusual_pace(txn)
      outward: unusual_pace(txn[direction == "out"])
"""
RULES = """\
version: 1
rules:
  - id: every
    trigger: txn[direction == "out"]
    let: {score: score("habits")}
    then: [{tag: {score: "{score:.3f}"}}]
"""
Interrupted = Callable[[int], None]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, MODELS, RULES)


def scores(bench: Bench, out: str) -> dict[str, float | None]:
    return {
        decision["anchor_event_id"]: decision["features"]["score"]
        for decision in bench.decisions(out)
        if decision["rule_id"] == "every"
    }


def test_what_is_unlike_the_customer_scores_high_and_says_why(bench: Bench) -> None:
    events = events_of(1)
    odd = next(event for event in reversed(events) if event.get("direction") == "out")
    odd |= {"amount": 90_000.0, "device_id": "d-new"}
    bench.run([events])
    last = next(one for one in bench.decisions() if one["anchor_event_id"] == odd["event_id"])
    assert last["models"]["habits"]["score"] > 0.99
    assert next(iter(last["models"]["habits"]["because"])) == "amount"


def test_amounts_with_many_digits_are_numbers_too(bench: Bench) -> None:
    events = events_of(2, 600)
    bench.run([events], "short")
    bench.run(
        [[event | {"amount": event["amount"] + 1e-9} if "amount" in event else event for event in events]], "long"
    )
    short, long = scores(bench, "short"), scores(bench, "long")
    assert sum(score is not None for score in short.values()) > 100
    assert all(score is None or long[name] == pytest.approx(score, abs=1e-3) for name, score in short.items())


@pytest.mark.parametrize(("parts", "workers"), [(1, 1), (3, 1), (3, 2)])
def test_arrival_batches_and_processes_change_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, parts: int, workers: int
) -> None:
    events = events_of(3)
    bench.run([events], "whole")
    if workers == 1:
        warm_up()
        monkeypatch.setattr(files_source, "BATCH_BYTES", 900)
    bench.run(shuffled(events, parts, 3), "dealt", workers=workers)
    assert bench.decisions("dealt") == bench.decisions("whole")


@pytest.mark.parametrize("seed", seeds(1, 6))
def test_interrupted_runs_go_on_as_if_nothing_was(
    bench: Bench,
    interrupted_after: Interrupted,  # noqa: F811
    seed: int,
) -> None:
    parts = shuffled(events_of(seed, 600), 2, seed)
    bench.run(parts, "whole")
    rng, interruptions = Random(seed), 0
    for _ in range(6):
        interrupted_after(rng.randrange(2, 25))
        interruptions += run_until_cut_off(bench, parts)
    interrupted_after(0)
    run_until_cut_off(bench, parts)
    assert interruptions >= 2
    assert bench.decisions("cut") == bench.decisions("whole")


def test_habits_go_on_when_another_model_is_added(
    bench: Bench,
    interrupted_after: Interrupted,  # noqa: F811
) -> None:
    parts: list[list[dict[str, Any]]] = [events_of(6, 900)]
    bench.run(parts, "whole")
    interrupted_after(40)
    assert run_until_cut_off(bench, parts)
    (bench.folder / "models.yaml").write_text(MODELS.replace("models:\n", "models:\n" + MORE), encoding="utf-8")
    more = RULES + '  - {id: more, trigger: txn, when: score("more") > 0.9, then: [{tag: {name: more}}]}\n'
    (bench.folder / "rules.yaml").write_text(more, encoding="utf-8")
    bench.rules = bench.load()
    interrupted_after(0)
    assert not run_until_cut_off(bench, parts)
    assert scores(bench, "cut") == scores(bench, "whole")
