"""Models and what nobody means to give them: the results are defined, and nothing grows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.loading import load_model_files
from rules.models import KINDS
from state.model_rows import ModelRows
from state.online_classifier import ClassifierSettings, OnlineClassifier
from tests.test_models import HOUR_MS, START_MS, Bench, run_interrupted

HEAD = "version: 1\nmodels:\n"
PARAMETERS = {"half_space_trees": "{window: 20, trees: 5, height: 4}", "surprise": "{first: 20}",
              "classifier": "{first_rows: 20, first_positives: 3}"}  # fmt: skip


def model(
    name: str, kind: str, features: dict[str, str], scores: str = "txn", more: str = "", parameters: str = ""
) -> str:
    lines = "".join(f"      {key}: '{text}'\n" for key, text in features.items())
    return (
        f"  - name: {name}\n    kind: {kind}\n    scores: '{scores}'\n    warm_up: 1\n    ranked_among: 100\n{more}"
        f"    features:\n{lines}    parameters: {parameters or PARAMETERS[kind]}\n"
    )


def reads(*models: str, trigger: str = "txn") -> str:
    lets = ", ".join(f"{name}: 'score(\"{name}\")'" for name in models)
    return f"version: 1\nrules:\n  - {{id: r, trigger: {trigger}, let: {{{lets}}}, then: [{{tag: {{}}}}]}}\n"


def txn(number: int, at_ms: int = 0, **fields: Any) -> dict[str, Any]:
    base = {"stream": "txn", "event_id": f"t{number}", "customer_id": f"c{number % 7}",
            "ts": START_MS + number * 60_000 + at_ms, "amount": 10.0 + number % 13, "direction": "out"}  # fmt: skip
    return base | fields


def label(number: int, of: str, at_ms: int, *, fraud: Any = True, **fields: Any) -> dict[str, Any]:
    return {"stream": "label", "event_id": f"l{number}", "customer_id": f"c{int(of[1:]) % 7}", "ts": START_MS + at_ms,
            "subject_event_id": of, "label": fraud} | fields  # fmt: skip


def scores(bench: Bench, events: list[dict[str, Any]], *names: str, **more: Any) -> dict[str, dict[str, Any]]:
    """The scores by name and event."""
    bench.run([sorted(events, key=lambda event: event["ts"])], **more)
    decisions = [d for d in bench.decisions() if d["rule_id"] == "r"]
    return {name: {d["anchor_event_id"]: d["features"][name] for d in decisions} for name in names}


def check(found: dict[str, Any]) -> list[float]:
    known = [score for score in found.values() if score is not None]
    assert all(math.isfinite(score) and 0 < score < 1 for score in known)
    return known


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_say_nothing_or_are_beyond_all_measure(tmp_path: Path, kind: str) -> None:
    features = {
        "nothing": "txn.fee", "constant": "1", "tiny": "txn.amount / 1e-310",
        "huge": "txn.amount / 1e-200 / 1e-200", "least": "0 - txn.amount / 1e-200 / 1e-200", "amount": "txn.amount",
        "by_zero": "txn.amount / (txn.amount - txn.amount)", "is_odd": "txn.amount % 2 == 1",
    }  # fmt: skip
    bench = Bench(tmp_path, HEAD + model("m", kind, features), reads("m"))
    events = [txn(i, amount=1e12 if i == 250 else 10.0 + i % 13) for i in range(300)]
    events += [label(i, f"t{i}", i * 60_000 + 30_000, fraud=i % 5 == 0) for i in range(300)]
    found = scores(bench, events, "m")["m"]
    assert len(check(found)) > 200
    parts = [
        part for d in bench.decisions() if "models" in d for part in (d["models"]["m"].get("because") or {}).values()
    ]
    assert parts
    assert all(math.isfinite(part) for part in parts)
    if kind != "classifier":
        assert found["t250"] == max(check(found))


def rows_of(count: int, *, first: int = 0, is_label: bool = False, positive: Any = False, ts_ms: Any = 0) -> ModelRows:
    keys = np.stack([np.arange(first, first + count), np.full(count, 9)], axis=1).astype(np.uint64)
    return ModelRows(
        np.broadcast_to(np.asarray(ts_ms, np.int64), count).copy(), np.full(count, is_label), keys,
        np.broadcast_to(np.asarray(positive), count).copy(), np.ones((count, 2)),
    )  # fmt: skip


def test_a_million_late_labels_leave_no_trace() -> None:
    learner = OnlineClassifier(2, ClassifierSettings(wait_ms=1_000, max_waiting=2_000))
    learner.take(rows_of(1_000))
    learner.take(rows_of(1_000, first=1_000, ts_ms=10_000))  # the first ones' time is over
    learner.sections(everything=True)
    used = learner.used_bytes
    for _ in range(10):
        learner.take(rows_of(100_000, is_label=True, positive=True, ts_ms=10_000))
    assert learner.counters["unknown"] == 1_000_000 - 10_000
    assert learner.counters["repeated"] == 9_000
    assert learner.counters["expired"] == 1_000
    assert learner.waiting == 1_000
    assert learner.used_bytes == used  # labels need no room
    assert sum(part.nbytes for part in learner.sections(everything=False).values()) < 200_000


def test_labels_that_name_nothing_come_first_twice_or_too_late(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, HEAD + model("m", "classifier", {"amount": "txn.amount"}, more="    keep: 1h\n"), reads("m")
    )
    events = [txn(i) for i in range(100)]
    events += [
        label(0, "t999", 1), label(1, "t10", 5 * 60_000), label(2, "t20", 21 * 60_000),
        label(3, "t20", 22 * 60_000, fraud=False), label(4, "t20", 23 * 60_000), label(5, "t30", 95 * 60_000),
        label(6, "t40", 60 * 60_000, fraud=None), label(7, "t41", 60 * 60_000, fraud="yes"),
        label(8, "t42", 60 * 60_000, customer_id="c5"), {**label(9, "t43", 60 * 60_000), "subject_event_id": ""},
        {**label(10, "t43", 60 * 60_000), "subject_event_id": None},
    ]  # fmt: skip
    summary = bench.run([sorted(events, key=lambda event: event["ts"])])
    counted = summary["models"]["m"]
    assert counted["events"] == 100
    assert counted["positives"] == 1
    assert counted["learned"] <= 3  # t20, and those whose label is no truth value


def test_models_score_every_stream(tmp_path: Path) -> None:
    streams = {"click": "click", "feedback": "feedback", "profile": "profile", "ticket": "ticket", "label": "label"}
    models = "".join(
        model(name, "surprise", {"n": f'count({stream}, last="1d")', "at": "hour(ts)"}, scores=stream)
        for name, stream in streams.items()
    )
    models += model("learns", "classifier", {"at": "hour(ts)"}, scores="label")
    rules = "version: 1\nrules:\n" + "".join(
        f"  - {{id: {name}, trigger: {stream}, let: {{s: 'score(\"{model}\")'}}, then: [{{tag: {{}}}}]}}\n"
        for name, stream, model in [*((x, x, x) for x in streams), ("learns", "label", "learns")]
    )
    bench = Bench(tmp_path, HEAD + models, rules)
    more: dict[str, dict[str, Any]] = {
        "click": {"page": "home"}, "feedback": {"text": "好"}, "profile": {"tier": "gold"},
        "ticket": {"ticket_id": "x", "stage": "reopened"}, "label": {"subject_event_id": "label1", "label": True},
    }  # fmt: skip
    events = [
        {"stream": stream, "event_id": f"{stream}{i}", "customer_id": "c1", "ts": START_MS + i * HOUR_MS} | more[stream]
        for i in range(60)
        for stream in streams
    ]
    summary = bench.run([events])
    assert summary["dead_letters"] == {}
    assert {name: summary["models"][name]["events"] for name in [*streams, "learns"]} == dict.fromkeys(
        [*streams, "learns"], 60
    )
    known = {d["rule_id"] for d in bench.decisions() if d["features"]["s"] is not None}
    assert known == set(streams)


def test_as_many_features_as_there_may_be_and_one_more(tmp_path: Path) -> None:
    features = {f"f{i}": f"txn.amount * {i + 1}" for i in range(64)}
    models = "".join(model(kind, kind, features) for kind in KINDS)
    bench = Bench(tmp_path, HEAD + models, reads(*KINDS))
    events = [txn(i) for i in range(200)] + [label(i, f"t{i}", i * 60_000 + 1, fraud=i % 3 == 0) for i in range(200)]
    for found in scores(bench, events, *KINDS).values():
        assert len(check(found)) > 100
    (tmp_path / "models.yaml").write_text(HEAD + model("m", "surprise", features | {"more": "1"}), encoding="utf-8")
    models_found, problems = load_model_files([tmp_path / "models.yaml"])
    assert models_found is None
    assert [problem.code for problem in problems] == ["E109"]


def test_a_model_that_matches_nothing_and_two_of_one_kind(tmp_path: Path) -> None:
    features = {"amount": "txn.amount", "often": 'count(txn, last="1h")'}
    models = (
        model("none", "surprise", features, scores='txn[direction == "sideways"]')
        + model("a", "surprise", features)
        + model("b", "surprise", features)
    )
    bench = Bench(tmp_path, HEAD + models, reads("none", "a", "b"))
    events = [txn(i) for i in range(100)]
    found = scores(bench, events, "none", "a", "b")
    assert set(found["none"].values()) == {None}
    assert found["a"] == found["b"]
    assert check(found["a"])


def test_late_events_are_scored_in_the_order_in_which_they_count(tmp_path: Path) -> None:
    features = {"gap": 'ts - max(txn.ts, prior="1d")', "amount": "txn.amount"}
    bench = Bench(tmp_path, HEAD + model("m", "surprise", features), reads("m"))
    events = [txn(i) for i in range(100)]
    late = [*events[:60], *(txn(200 + i, -190 * 60_000) for i in range(5)), *events[60:]]
    summary = bench.run([late], lateness_ms=0)
    assert summary["late"] == 5
    found = {d["anchor_event_id"]: d for d in bench.decisions()}
    assert len(found) == 105
    assert all(found[f"t{200 + i}"]["late"] for i in range(5))
    check({name: decision["features"]["m"] for name, decision in found.items()})


RULES = """\
version: 1
rules:
  - id: said
    trigger: [txn, click]
    when: coalesce(score("m"), 2) > 0.7
    then: [{notify: {channel: app, text: "{score('m'):.3f} {score('m')}"}}]
  - id: left
    trigger: 'txn[amount > 20]'
    let: {s: 'score("m")'}
    unless: {event: click, within: 1h}
    then: [{tag: {s: "{s}"}}]
  - id: each
    trigger: {daily: "09:00"}
    each: holdings
    when: is_null(score("m"))
    then: [{tag: {s: "{score('m')}", of: "{holding.holding_id}"}}]
"""


def test_scores_in_payloads_deadlines_date_rules_and_lists_of_streams(tmp_path: Path) -> None:
    bench = Bench(tmp_path, HEAD + model("m", "surprise", {"amount": "txn.amount"}), RULES)
    holdings = [{"holding_id": "h1"}, {"holding_id": "h2"}]
    events = [txn(i) for i in range(400)]
    events += [{"stream": "profile", "event_id": f"p{c}", "customer_id": f"c{c}", "ts": START_MS, "holdings": holdings}
               for c in range(7)]  # fmt: skip
    events += [{"stream": "click", "event_id": f"k{i}", "customer_id": "c1", "ts": START_MS + i * HOUR_MS, "page": "x"}
               for i in range(5)]  # fmt: skip
    events.append(txn(1_500, amount=5.0))
    bench.run([sorted(events, key=lambda event: event["ts"])])
    decisions = bench.decisions()
    of = {name: [d for d in decisions if d["rule_id"] == name] for name in ("said", "left", "each")}
    clicks = [d for d in of["said"] if d["anchor_event_id"].startswith("k")]
    assert len(clicks) == 5
    assert {d["models"]["m"]["score"] for d in clicks} == {None}
    assert {d["payload"]["text"] for d in clicks} == {" "}
    scored = [d for d in of["said"] if d["models"]["m"]["score"] is not None]
    assert scored
    for decision in scored:
        score = decision["models"]["m"]["score"]
        assert score > 0.7
        assert decision["payload"]["text"].split(" ")[0] == f"{score:.3f}"
    late = [d for d in of["left"] if d["features"]["s"] is not None]
    assert late
    assert all(d["models"]["m"]["score"] == d["features"]["s"] for d in late)
    assert of["each"]
    assert {d["payload"]["of"] for d in of["each"]} == {"h1", "h2"}
    assert {d["payload"]["s"] for d in of["each"]} == {""}


def test_deadlines_keep_their_scores_over_an_interruption(tmp_path: Path) -> None:
    bench = Bench(tmp_path, HEAD + model("m", "surprise", {"amount": "txn.amount"}), RULES)
    events = [[txn(i) for i in range(400)]]
    bench.run(events, "whole")
    assert run_interrupted(bench, events, 4)
    assert not run_interrupted(bench, events, 0)
    assert bench.decisions("cut") == bench.decisions("whole")
