"""What the engine is compared with decides as the engine does."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import flink_sql, idiomatic
from benchmarks.alternatives import RULES, Runs, difference, figures, run_engine, table
from benchmarks.customer_files import write_customer_files
from benchmarks.result import Result, decision_keys
from flows.simulate import simulate
from rules.load import load_rules


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Simulated events by stream, with enough stories for every rule to fire."""
    folder = tmp_path_factory.mktemp("events")
    report = simulate(folder, customers=60, days=20, seed=5, story_rate=0.1)
    return [path for path in report.files if path.name != "truth.ndjson"]


def decisions_of(out: Path) -> list[dict[str, Any]]:
    decisions = [json.loads(line) for line in out.read_bytes().splitlines()]
    keys = ("rule_id", "customer_id", "ts", "anchor_event_id", "features")
    return sorted(({key: decision[key] for key in keys} for decision in decisions), key=json.dumps)


@pytest.mark.parametrize("careful", [False, True], ids=["plain", "careful"])
@pytest.mark.parametrize("partitions", [1, 2])
def test_operators_decide_as_the_engine(events: list[Path], tmp_path: Path, partitions: int, careful: bool) -> None:
    files = write_customer_files(events, tmp_path / "events", partitions)
    engine, operators = tmp_path / "engine.ndjson", tmp_path / "operators.ndjson"
    expected = run_engine(files, engine)
    found = idiomatic.run(files, operators, careful=careful)
    assert decisions_of(operators) == decisions_of(engine)
    assert (found.events, found.decisions) == (expected.events, expected.decisions)
    rules, _ = load_rules([RULES])
    assert rules is not None
    assert {rule for rule, _, _ in decision_keys(engine)} == {rule.id for rule in rules.rules}


def test_careful_operators_take_what_the_engine_takes(events: list[Path], tmp_path: Path) -> None:
    (tidy,) = write_customer_files(events, tmp_path / "events", 1)
    chance = random.Random(8)
    lines = [line for line in tidy.read_bytes().splitlines() for _ in range(1 + (chance.random() < 0.1))]
    arrival_ms = {n: json.loads(line)["ts"] + chance.randrange(9_999) for n, line in enumerate(lines)}
    untidy = tmp_path / "untidy.ndjson"
    untidy.write_bytes(b"\n".join([b'{"stream":', *(lines[n] for n in sorted(arrival_ms, key=arrival_ms.__getitem__))]))
    engine, operators = tmp_path / "engine.ndjson", tmp_path / "operators.ndjson"
    run_engine([untidy], engine)
    idiomatic.run([untidy], operators, careful=True)
    assert decisions_of(operators) == decisions_of(engine)
    (bad_line,) = idiomatic.dead_letters_of(operators).read_bytes().splitlines()
    assert json.loads(bad_line)["raw"] == '{"stream":'


def test_careful_operators_wait_for_what_may_come_before(tmp_path: Path) -> None:
    others = [(f"C{n}", "login", 15_000) for n in range(2, 3_000)]  # more than the source hands over at a time
    first = ("C1", "first", 10_000)
    arrivals = [("C1", "second", 15_000), ("C1", "third", 16_000), *others, first, first]
    logins = [
        {"stream": "click", "event_id": event_id, "customer_id": customer, "ts": ts, "action": "login"}
        for customer, event_id, ts in [*arrivals, ("C1", "much-later", 5_000_000)]
    ]
    events, out = tmp_path / "events.ndjson", tmp_path / "out.ndjson"
    events.write_text("".join(json.dumps(login) + "\n" for login in logins), encoding="utf-8")
    idiomatic.run([events], out, careful=True)
    assert decision_keys(out) == {("login-burst", "C1", "second"), ("login-burst", "C1", "third")}


def test_customer_files_hold_each_customer_in_order(events: list[Path], tmp_path: Path) -> None:
    files = write_customer_files(events, tmp_path / "events", 2)
    lines = [path.read_bytes().splitlines() for path in files]
    given = Counter(line for path in events for line in path.read_bytes().splitlines())
    assert Counter(line for some in lines for line in some) == given
    customers = [{json.loads(line)["customer_id"] for line in some} for some in lines]
    assert all(customers)
    assert not customers[0] & customers[1]
    for some in lines:
        times = [json.loads(line)["ts"] for line in some]
        assert times == sorted(times)


def test_disagreement_is_told_with_examples() -> None:
    text = difference("x", {("r", "c", "e1"), ("r", "c", "e2")}, {("r", "c", "e2"), ("r", "c", "e3")})
    assert text == (
        "x: decisions differ from the engine's: 1 of the engine's are missing, as [('r', 'c', 'e1')], "
        "and 1 are its own, as [('r', 'c', 'e3')]"
    )


def test_ratios_are_to_the_engine() -> None:
    engine = Runs("engine", [Result(2.0, 3.0, 100, 7), Result(1.0, 2.0, 100, 7), Result(9.0, 9.0, 100, 7)], 7)
    other = Runs("other", [Result(8.0, 6.0, 100, 6)], 5)
    rendered = table([engine, other])
    cells = [list(column.cells) for column in rendered.columns]
    assert [cell[1] for cell in cells] == [
        "other", "8.00", "8.00..8.00", "12", "60000.00", "4.00", "2.00", "6", "5"
    ]  # fmt: skip
    assert [run["seconds"] for run in figures([engine])["alternatives"][0]["runs"]] == [2.0, 1.0, 9.0]


def test_flink_without_its_start() -> None:
    again, start = Result(30.0, 50.0, 10_000, 90), Result(10.0, 20.0, 1_000, 1)
    result = flink_sql.FlinkResult(60.0, 80.0, 10_000, 90, again, start)
    assert result.marginal == Result(20.0, 30.0, 9_000, 89)
    too_small = flink_sql.FlinkResult(60.0, 80.0, 10_000, 90, Result(19.0, 50.0, 10_000, 90), start)
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
def test_flink_decides_as_the_engine(events: list[Path], tmp_path: Path) -> None:
    files = write_customer_files(events, tmp_path / "events", 1)
    engine, flink = tmp_path / "engine.ndjson", tmp_path / "flink.ndjson"
    expected = run_engine(files, engine)
    found = flink_sql.run(files, flink, warm=False)
    assert decision_keys(flink) == decision_keys(engine)
    assert (found.events, found.decisions) == (expected.events, expected.decisions)
