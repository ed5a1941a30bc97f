"""What the engine is compared with decides as the engine does."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks import five_rules, flink_sql, idiomatic
from benchmarks.event_times import Population
from benchmarks.measure_other import AGAIN, comparison, other
from benchmarks.population import write_population
from benchmarks.result import START_LINES, RepeatedResult, Result, decision_keys, write_start
from rules.load import load_rules


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    """The benchmark's events in order, in so many files; enough of them for every rule to fire."""
    folder = tmp_path_factory.mktemp("events")
    population = Population(120, events_each=100, jitter_ms=0)
    return {n: list(write_population(folder / str(n), population, n).paths) for n in (1, 2)}


def decisions_of(out: Path) -> list[dict[str, Any]]:
    decisions = [json.loads(line) for line in out.read_bytes().splitlines()]
    keys = ("rule_id", "customer_id", "ts", "anchor_event_id", "features")
    return sorted(({key: decision[key] for key in keys} for decision in decisions), key=json.dumps)


@pytest.mark.parametrize("careful", [False, True], ids=["plain", "careful"])
@pytest.mark.parametrize("partitions", [1, 2])
def test_operators_decide_as_the_engine(
    events: dict[int, list[Path]], tmp_path: Path, partitions: int, careful: bool
) -> None:
    files = events[partitions]
    engine, operators = tmp_path / "engine.ndjson", tmp_path / "operators.ndjson"
    expected = five_rules.run(files, engine, warm=False)
    found = idiomatic.run(files, operators, careful=careful)
    assert decisions_of(operators) == decisions_of(engine)
    assert (found.events, found.decisions) == (expected.events, expected.decisions)
    rules, _ = load_rules([five_rules.RULES])
    assert rules is not None
    assert {rule for rule, _, _ in decision_keys(engine)} == {rule.id for rule in rules.rules}


def test_careful_operators_take_what_the_engine_takes(events: dict[int, list[Path]], tmp_path: Path) -> None:
    (tidy,) = events[1]
    chance = random.Random(8)
    lines = [line for line in tidy.read_bytes().splitlines() for _ in range(1 + (chance.random() < 0.1))]
    arrival_ms = {n: json.loads(line)["ts"] + chance.randrange(9_999) for n, line in enumerate(lines)}
    untidy = tmp_path / "untidy.ndjson"
    untidy.write_bytes(b"\n".join([b'{"stream":', *(lines[n] for n in sorted(arrival_ms, key=arrival_ms.__getitem__))]))
    engine, operators = tmp_path / "engine.ndjson", tmp_path / "operators.ndjson"
    five_rules.run([untidy], engine, warm=False)
    idiomatic.run([untidy], operators, careful=True)
    assert decisions_of(operators) == decisions_of(engine)
    (bad_line,) = idiomatic.dead_letters_of(operators).read_bytes().splitlines()
    assert json.loads(bad_line)["raw"] == '{"stream":'


def test_careful_operators_wait_for_what_may_come_before(tmp_path: Path) -> None:
    others = [(f"C{n}", "login", 15_000) for n in range(2, 3_000)]  # more than the source hands over at a time
    first = ("C1", "first", 10_000)
    arrivals = [("C1", "second", 15_000), ("C1", "third", 16_000), ("C1", "fourth", 17_000), *others, first, first]
    logins = [
        {"stream": "click", "event_id": event_id, "customer_id": customer, "ts": ts, "action": "login"}
        for customer, event_id, ts in [*arrivals, ("C1", "much-later", 5_000_000)]
    ]
    events, out = tmp_path / "events.ndjson", tmp_path / "out.ndjson"
    events.write_text("".join(json.dumps(login) + "\n" for login in logins), encoding="utf-8")
    idiomatic.run([events], out, careful=True)
    assert decision_keys(out) == {("login-burst", "C1", "fourth")}  # the first once, and before the others


def test_decisions_that_differ_are_told_with_examples(tmp_path: Path) -> None:
    files = {"a": ["e1", "e2"], "b": ["e2", "e3"], "c": ["e1", "e2", "e2"]}
    for name, anchors in files.items():
        lines = [json.dumps({"rule_id": "r", "customer_id": "c", "anchor_event_id": anchor}) for anchor in anchors]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    a, b, c = (tmp_path / name for name in files)
    assert comparison(a, a) == {"agreeing": 2, "difference": ""}
    assert comparison(a, b) == {
        "agreeing": 1,
        "difference": "1 decisions are missing, as [('r', 'c', 'e1')], and 1 are its own, as [('r', 'c', 'e3')]",
    }
    assert comparison(a, c) == {"agreeing": 2, "difference": "+1 decisions that were made before"}


def test_alternatives_are_measured_alike_and_compared(events: dict[int, list[Path]], tmp_path: Path) -> None:
    kept, given = str(tmp_path / "kept"), {"events": [str(path) for path in events[1]]}
    engine = other(given | {"module": "benchmarks.five_rules", "keep": kept})
    assert engine["further"][AGAIN]["decisions"] == engine["decisions"] > 0
    assert engine["events"] == 12_000
    flow = other(given | {"module": "benchmarks.idiomatic", "options": {"careful": True}, "expected": kept})
    assert (flow["agreeing"], flow["difference"], flow["further"]) == (engine["decisions"], "", {})
    doubled = other({"events": given["events"] * 2, "module": "benchmarks.idiomatic", "expected": kept})
    assert doubled["difference"]


def test_the_start_is_the_first_lines_of_each_file(events: dict[int, list[Path]], tmp_path: Path) -> None:
    starts = write_start(events[2], tmp_path / "start")
    for path, start in zip(events[2], starts, strict=True):
        lines = start.read_bytes().splitlines()
        assert len(lines) == START_LINES
        assert path.read_bytes().startswith(start.read_bytes())


def test_a_result_without_its_start() -> None:
    again, start = Result(30.0, 50.0, 10_000, 90), Result(10.0, 20.0, 1_000, 1)
    result = RepeatedResult(60.0, 80.0, 10_000, 90, again, start)
    assert result.marginal == Result(20.0, 30.0, 9_000, 89)
    too_small = RepeatedResult(60.0, 80.0, 10_000, 90, Result(19.0, 50.0, 10_000, 90), start)
    assert too_small.marginal is None


@pytest.mark.parametrize("named", [None, "no/such/python"])
def test_without_flink_one_line_says_how_to_get_it(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flink_sql, "find_spec", lambda _: None)
    monkeypatch.delenv(flink_sql.INTERPRETER, raising=False)
    if named:
        monkeypatch.setenv(flink_sql.INTERPRETER, named)
    lack = flink_sql.missing()
    assert lack.startswith("Flink SQL skipped: ")
    assert "\n" not in lack
    assert (named or "pip install apache-flink==") in lack
    with pytest.raises(flink_sql.FlinkError, match="skipped"):
        flink_sql.run([], Path("unused"))


@pytest.mark.slow
@pytest.mark.skipif(bool(flink_sql.missing()), reason=flink_sql.missing() or "-")
def test_flink_decides_as_the_engine(events: dict[int, list[Path]], tmp_path: Path) -> None:
    files = events[1]
    engine, flink = tmp_path / "engine.ndjson", tmp_path / "flink.ndjson"
    expected = five_rules.run(files, engine, warm=False)
    found = flink_sql.run(files, flink, warm=False)
    assert decision_keys(flink) == decision_keys(engine)
    assert (found.events, found.decisions) == (expected.events, expected.decisions)
