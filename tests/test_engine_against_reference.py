"""The engine decides random streams as the reference does, whatever their shape, their arrival and the processes.

A failure names its seed and a folder with the shrunk case: rules, policy, partitions and options as files.

    python -m pytest tests/test_engine_against_reference.py -m slow     # 200 streams of 2,000 events: minutes
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.reference.compare import compare
from tests.reference.engine import difference, read_lines, run_engine
from tests.reference.generate import Case, random_case, random_stream, time_of
from tests.reference.generate_rules import random_policy, random_rules
from tests.reference.generate_surveys import survey_case
from tests.reference.shrink import shrink

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True)
class Shape:
    """What `random_case` does not draw: extremes of one kind each."""

    n_rules: int = 8
    n_customers: int = 4
    n_partitions: int = 2
    lateness_ms: int = 10_000
    dedup_ms: int = HOUR_MS
    span_ms: int = 3 * DAY_MS
    start_ms: int | None = None
    late_share: float = 0.1
    duplicate_share: float = 0.1

    def case(self, rng: Random, n_events: int) -> Case:
        partitions = random_stream(
            rng, n_events, self.n_customers, self.n_partitions, min(self.lateness_ms, 30 * DAY_MS), self.late_share,
            self.duplicate_share, broken_share=0, dedup_ms=self.dedup_ms, span_ms=self.span_ms, start_ms=self.start_ms,
        )  # fmt: skip
        options = {"lateness_ms": self.lateness_ms, "dedup_ms": self.dedup_ms}
        return Case([random_rules(rng, self.n_rules)], random_policy(rng), partitions, options)


SHAPES = {
    "many partitions": Shape(n_partitions=30),
    "no dedup": Shape(dedup_ms=0, duplicate_share=0.4),
    "dedup for ever": Shape(dedup_ms=400 * DAY_MS, duplicate_share=0.4),
    "no lateness": Shape(lateness_ms=0, late_share=0.5),
    "never late": Shape(lateness_ms=10**13),
    "one millisecond": Shape(span_ms=1),
    "one customer": Shape(n_customers=1),
    "many customers": Shape(n_customers=300),
    "many rules": Shape(n_rules=60),
    "a year": Shape(span_ms=400 * DAY_MS),
    "the epoch": Shape(start_ms=0, lateness_ms=10**9),
    "year 9999": Shape(start_ms=253_402_300_799_999 - 60 * DAY_MS),
}


def check(case: Case, label: str, tmp_path: Path, workers: int = 1) -> None:
    """Fail with the first difference, and with the folder of the smallest case that still differs."""
    found = difference(case, tmp_path / "whole", workers)
    if found is None:
        return
    kept = Path(tempfile.mkdtemp(prefix="engine-against-reference-"))
    small = shrink(case, differs_in(tmp_path / "smaller"))
    small.save(kept)
    pytest.fail(f"{label}: {found}\nthe case, shrunk: {kept}")


def differs_in(folder: Path) -> Callable[[Case], bool]:
    def differs(case: Case) -> bool:
        try:
            return difference(case, folder) is not None
        except Exception:  # a rule that no longer loads, a crash: the whole case shows it
            return False

    return differs


@pytest.mark.parametrize("seed", range(16))
def test_random_stream(seed: int, tmp_path: Path) -> None:
    check(random_case(Random(seed)), f"random_case(Random({seed}))", tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_random_surveys(seed: int, tmp_path: Path) -> None:
    check(survey_case(Random(seed), 200), f"survey_case(Random({seed}), 200)", tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_extreme_stream(name: str, tmp_path: Path) -> None:
    check(SHAPES[name].case(Random(1), 300), f"{name}, Random(1)", tmp_path)


# The same examples in every run, new ones with `--hypothesis-profile explore` (see conftest.py).
# Shrinking the integers would not make the case smaller: `check` does that.
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(1000, 2**32), shape=st.sampled_from(sorted(SHAPES)), n_events=st.integers(1, 250))
def test_explored_stream(tmp_path_factory: pytest.TempPathFactory, seed: int, shape: str, n_events: int) -> None:
    case = SHAPES[shape].case(Random(seed), n_events)
    check(case, f"{shape}, Random({seed}), {n_events} events", tmp_path_factory.mktemp("case"))


@pytest.mark.parametrize("seed", range(100, 103))
def test_two_processes(seed: int, tmp_path: Path) -> None:
    check(random_case(Random(seed), n_events=400), f"random_case(Random({seed}), n_events=400)", tmp_path, workers=2)


@pytest.mark.parametrize("seed", range(4))
def test_arrival_order_does_not_matter(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    lateness_ms = HOUR_MS
    rules = [random_rules(rng, 8)]
    policy = random_policy(rng)
    (lines,) = random_stream(rng, 400, n_partitions=1, lateness_ms=0, late_share=0, broken_share=0, span_ms=5 * DAY_MS)
    in_order = sorted(lines, key=time_of)
    decided = []
    for turn in range(3):
        partitions = [in_order] if turn == 0 else shuffled_within(rng, in_order, lateness_ms, n_partitions=turn * 2)
        folder = tmp_path / str(turn)
        summary = run_engine(Case(rules, policy, partitions, {"lateness_ms": lateness_ms}), folder)
        assert summary["late"] == 0
        decided.append((read_lines(folder / "out" / "actions.ndjson"), summary["duplicates"], summary["pending"]))
    assert decided[0][0]
    for other in decided[1:]:
        assert compare(decided[0][0], other[0]) is None
        assert decided[0][1:] == other[1:]


def shuffled_within(rng: Random, lines: list[bytes], lateness_ms: int, n_partitions: int) -> list[list[bytes]]:
    """The lines out of order by at most the lateness, dealt out over partitions."""
    arrived = sorted(lines, key=lambda line: time_of(line) + rng.uniform(0, lateness_ms))
    partitions: list[list[bytes]] = [[] for _ in range(n_partitions)]
    for line in arrived:
        rng.choice(partitions).append(line)
    return partitions


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10_000, 10_200))
def test_long_random_stream(seed: int, tmp_path: Path) -> None:
    check(random_case(Random(seed), n_events=2000), f"random_case(Random({seed}), n_events=2000)", tmp_path)
