"""Models in the engine: scores reach rules, and are the same however events come and whatever ends a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flows import files_source
from flows.kernels import warm_up
from flows.loading import load
from flows.replay import ReplayJob, replay
from tests.seeds import seeds

HOUR_MS = 3_600_000
START_MS = 1_760_000_000_000

MODELS = """\
version: 1
models:
  - name: odd
    version: 4
    kind: half_space_trees
    scores: txn[direction == "out"]
    warm_up: 200
    ranked_among: 500
    features:
      amount: txn.amount
      usual: mean(txn.amount, prior="7d")
      ratio: txn.amount / usual
      often: count(txn, last="1d")
      together: distinct(txn.customer_id, last="1d", per="device_id")
      at: hour(ts)
    parameters: {window: 100, trees: 5, height: 5}
  - name: fraud
    kind: classifier
    scores: txn
    keep: 10d
    warm_up: 50
    ranked_among: 500
    features:
      amount: txn.amount
      frauds: count(label[label], last="7d", per="device_id")
      gold: profile.tier == "gold"
"""

RULES = """\
version: 1
rules:
  - id: every
    trigger: txn
    let: {odd: score("odd"), fraud: score("fraud")}
    then: [{tag: {odd: "{odd:.3f}"}}]
  - id: oddest
    trigger: txn
    when: score("odd") >= 0.98
    class: risk
    then: [{alert: {why: "{score('odd')}"}}]
  - id: daily
    trigger: {daily: "09:00"}
    when: is_null(score("odd"))
    then: [{tag: {name: daily}}]
"""


def events_of(seed: int, count: int = 1_500) -> list[dict[str, Any]]:
    """Payments of 30 customers with 10 devices, a few of them large, and labels two days later."""
    rng = Random(seed)
    events: list[dict[str, Any]] = [
        {
            "stream": "profile",
            "event_id": f"p{c}",
            "customer_id": f"c{c}",
            "ts": START_MS,
            "tier": rng.choice(["gold", "x"]),
        }
        for c in range(30)
    ]
    for i in range(count):
        customer, ts = f"c{rng.randrange(30)}", START_MS + 1 + i * 400_000 + rng.randrange(1_000)
        fraud = rng.random() < 0.05
        device = f"d{rng.randrange(3) if fraud else rng.randrange(10)}"
        payment = {"amount": round(rng.lognormvariate(3, 0.5) * (20 if fraud else 1), 2), "device_id": device}
        direction = rng.choice(["out", "out", "in"])
        events += [
            {"stream": "txn", "event_id": f"t{i}", "customer_id": customer, "ts": ts, "direction": direction} | payment,
            {"stream": "label", "event_id": f"l{i}", "customer_id": customer, "ts": ts + 48 * HOUR_MS,
             "subject_event_id": f"t{i}", "label": fraud, "device_id": device},
        ]  # fmt: skip
    return sorted(events, key=lambda event: event["ts"])


class Bench:
    """Runs of one set of rules and models over the same events."""

    def __init__(self, folder: Path, models: str = MODELS, rules: str = RULES) -> None:
        self.folder = folder
        self.told: list[str] = []
        (folder / "models.yaml").write_text(models, encoding="utf-8")
        (folder / "rules.yaml").write_text(rules, encoding="utf-8")
        self.rules = self.load()

    def load(self) -> Any:
        """The rules with the models, as they are in the files now."""
        loaded = load([self.folder / "rules.yaml"], models=[self.folder / "models.yaml"])
        assert loaded.rules is not None, "\n".join(map(str, loaded.problems))
        return loaded.rules

    def run(self, parts: Sequence[Sequence[dict[str, Any]]], out: str = "out", **more: Any) -> dict[str, Any]:
        """The summary; decisions are in ``self.decisions(out)``."""
        paths = []
        for number, events in enumerate(parts):
            paths.append(self.folder / f"part-{number}.ndjson")
            paths[-1].write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        return replay(ReplayJob(self.rules, tuple(paths), self.folder / out, **more), tell=self.told.append)

    def decisions(self, out: str = "out") -> list[dict[str, Any]]:
        """The decisions of a run, by id."""
        lines = (self.folder / out / "actions.ndjson").read_bytes().splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda decision: decision["action_id"])


def shuffled(events: Sequence[dict[str, Any]], parts: int, seed: int) -> list[list[dict[str, Any]]]:
    rng = Random(seed)
    dealt: list[list[dict[str, Any]]] = [[] for _ in range(parts)]
    for event in events:
        rng.choice(dealt).append(event)
    return [sorted(part, key=lambda event: event["ts"] + rng.randrange(9_000)) for part in dealt]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_scores_say_what_is_odd_and_why(bench: Bench) -> None:
    summary = bench.run([events_of(1)])
    decisions = bench.decisions()
    every = {decision["anchor_event_id"]: decision for decision in decisions if decision["rule_id"] == "every"}
    assert len(every) == 1_500
    scores = {name: d["features"]["odd"] for name, d in every.items() if d["features"]["odd"] is not None}
    assert 0 < min(scores.values()) < max(scores.values()) < 1
    assert summary["models"]["odd"]["scored"] == len(scores)
    assert summary["models"]["odd"]["events"] == len(scores) + 200  # as many warmed it up
    assert summary["models"]["fraud"]["labels"] == 1_500
    alerts = [decision for decision in decisions if decision["rule_id"] == "oddest"]
    assert alerts
    assert all(alert["models"]["odd"]["score"] >= 0.98 for alert in alerts)
    reasons = [alert["models"]["odd"]["because"] for alert in alerts]
    assert all(0 < len(why) <= 3 and list(why.values()) == sorted(why.values(), reverse=True) for why in reasons)
    assert {name for why in reasons for name in why} <= {"amount", "usual", "ratio", "often", "together", "at"}
    assert {alert["models"]["odd"]["version"] for alert in alerts} == {4}
    ticks = [decision for decision in decisions if decision["rule_id"] == "daily"]
    assert ticks
    assert {tick["models"]["odd"]["score"] for tick in ticks} == {None}


def test_events_that_a_model_does_not_score_have_no_score(bench: Bench) -> None:
    events = events_of(2)
    bench.run([events])
    inward = {event["event_id"] for event in events if event.get("direction") == "in"}
    scores = {d["anchor_event_id"]: d["features"]["odd"] for d in bench.decisions() if d["rule_id"] == "every"}
    assert {scores[name] for name in inward} == {None}


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


class InterruptedRunError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def interrupted_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets sources fail after so many batches, which are small; 0 for never."""
    warm_up()  # which reads files as well
    left = [0]
    read = files_source._FilePartition.next_batch

    def next_batch(self: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise InterruptedRunError
        return read(self)

    monkeypatch.setattr(files_source, "BATCH_BYTES", 4_000)
    monkeypatch.setattr(files_source._FilePartition, "next_batch", next_batch)

    def set_to(batches: int) -> None:
        left[0] = batches

    return set_to


def run_until_cut_off(bench: Bench, parts: Sequence[Sequence[dict[str, Any]]]) -> bool:
    """Go on with a run that keeps its state; whether it was interrupted."""
    try:
        bench.run(parts, "cut", state=bench.folder / "state", epoch_ms=0)
    except BaseException as error:
        if "InterruptedRun" not in repr(error) and "InterruptedRun" not in repr(error.__cause__):
            raise
        return True
    return False


def run_interrupted(bench: Bench, parts: Sequence[Sequence[dict[str, Any]]], batches: int) -> bool:
    """Go on with a run that keeps its state until so many small batches were read, 0 for all; whether it was ended."""
    warm_up()
    left = [batches]
    read = files_source._FilePartition.next_batch

    def next_batch(self: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise InterruptedRunError
        return read(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_source, "BATCH_BYTES", 8_000)
        patch.setattr(files_source._FilePartition, "next_batch", next_batch)
        return run_until_cut_off(bench, parts)


@pytest.mark.parametrize("seed", seeds(1, 6))
def test_interrupted_runs_go_on_as_if_nothing_was(
    bench: Bench, interrupted_after: Callable[[int], None], seed: int
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


def test_other_rules_go_on_with_what_the_models_learned(bench: Bench, interrupted_after: Callable[[int], None]) -> None:
    parts = [events_of(6, 900)]
    bench.run(parts, "whole")
    interrupted_after(40)
    assert run_until_cut_off(bench, parts)
    (bench.folder / "rules.yaml").write_text(RULES.replace("0.98", "0.97"), encoding="utf-8")
    bench.rules = bench.load()
    interrupted_after(0)
    assert not run_until_cut_off(bench, parts)
    cut, whole = (
        {d["anchor_event_id"]: d["features"] for d in bench.decisions(out) if d["rule_id"] == "every"}
        for out in ("cut", "whole")
    )
    assert cut == whole


def test_another_model_begins_anew(bench: Bench, interrupted_after: Callable[[int], None]) -> None:
    parts = [events_of(6, 900)]
    bench.run(parts, "whole")
    interrupted_after(40)
    assert run_until_cut_off(bench, parts)
    (bench.folder / "models.yaml").write_text(MODELS.replace("version: 4", "version: 5"), encoding="utf-8")
    bench.rules = bench.load()
    interrupted_after(0)
    assert not run_until_cut_off(bench, parts)
    cut, whole = (
        {d["anchor_event_id"]: d["models"] for d in bench.decisions(out) if d["rule_id"] == "every"}
        for out in ("cut", "whole")
    )
    assert {name: of["fraud"] for name, of in cut.items()} == {name: of["fraud"] for name, of in whole.items()}
    assert any("model odd: another one now; it begins anew" in line for line in bench.told)
    begun_anew = [name for name, of in cut.items() if of["odd"]["version"] == 5]
    assert len(begun_anew) > 50
    assert {cut[name]["odd"]["score"] for name in begun_anew} == {None}  # it is warming up again
    assert sum(whole[name]["odd"]["score"] is not None for name in begun_anew) > 50


def test_rules_that_read_a_shadow_model_are_shadow_rules(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MODELS.replace("    version: 4\n", "    version: 4\n    mode: shadow\n"))
    bench.run([events_of(1, 600)])
    by_rule = {(d["rule_id"], d["decision"], d["reason"]) for d in bench.decisions()}
    assert {("every", "suppressed", "shadow"), ("oddest", "suppressed", "shadow")} <= by_rule


def test_a_frozen_model_learns_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MODELS.replace("    version: 4\n", "    version: 4\n    mode: frozen\n"))
    summary = bench.run([events_of(1, 600)])
    assert "learned" not in summary["models"]["odd"]
    assert {d["features"]["odd"] for d in bench.decisions() if d["rule_id"] == "every"} == {None}


def test_a_model_that_is_frozen_later_scores_by_what_it_has_learned(
    bench: Bench, interrupted_after: Callable[[int], None]
) -> None:
    parts = [events_of(6, 900)]
    learned = bench.run(parts, "whole")["models"]["odd"]["learned"]
    interrupted_after(40)
    assert run_until_cut_off(bench, parts)
    before = {decision["action_id"] for decision in bench.decisions("cut")}
    frozen = MODELS.replace("    version: 4\n", "    version: 4\n    mode: frozen\n")
    (bench.folder / "models.yaml").write_text(frozen, encoding="utf-8")
    bench.rules = bench.load()
    interrupted_after(0)
    summary = bench.run(parts, "cut", state=bench.folder / "state", epoch_ms=0)
    assert 100 < summary["models"]["odd"]["learned"] < learned - 50
    later = [d for d in bench.decisions("cut") if d["rule_id"] == "every" and d["action_id"] not in before]
    assert any(decision["features"]["odd"] is not None for decision in later)


def test_models_that_no_rule_reads_do_not_run(tmp_path: Path) -> None:
    rules = "version: 1\nrules:\n  - {id: a, trigger: txn, then: [{tag: {name: a}}]}\n"
    bench = Bench(tmp_path, rules=rules)
    assert bench.rules.models == ()
    summary = bench.run([events_of(1, 60)])
    assert "models" not in summary
    assert "models" not in bench.decisions()[0]


def test_drift_is_told_and_not_adapted_to(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    events = events_of(5, 6_000)
    for event in events:
        if event["stream"] == "txn" and int(event["event_id"][1:]) < 3_000:  # what came first was all alike
            event |= {"amount": 10.0, "device_id": "d0"}
    bench.run([events])
    told = [decision for decision in bench.decisions() if decision["rule_id"] == "model:odd"]
    assert told
    assert {(d["kind"], d["customer_id"], d["payload"]["tag"]) for d in told} == {("tag", "model:odd", "drift")}
    assert max(d["ts"] for d in told) >= START_MS + 3_000 * 400_000
