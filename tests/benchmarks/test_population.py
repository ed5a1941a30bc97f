"""The benchmark's events: the same on every call, all valid, and what they say they are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.event_lines import EventLines
from benchmarks.event_times import START_MS, Population, calendar
from benchmarks.population import write_population
from benchmarks.soak import stretches
from flows.lines import LineReader
from operators.annotate import default_annotator
from operators.decode import Decoder, PartitionClock
from rules.load import load_rules
from rules.planner import make_plan

SMALL = Population(300, seed=7)
DAY_MS = 86_400_000


def lines_of(population: Population) -> list[str]:
    times = calendar(population)
    return EventLines(population).lines(times, 0, population.events).tolist()


@pytest.fixture(scope="module")
def events() -> list[dict[str, object]]:
    return [json.loads(line) for line in lines_of(SMALL)]


def test_the_same_options_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first = write_population(tmp_path / "a", SMALL, 2)
    again = write_population(tmp_path / "b", SMALL, 2)
    other = write_population(tmp_path / "c", replace(SMALL, seed=8), 2)
    assert first.digest == again.digest != other.digest
    assert [path.read_bytes() for path in first.paths] == [path.read_bytes() for path in again.paths]


def test_the_events_are_those_of_the_recorded_figures() -> None:
    """Figures of different days can be compared only if they are about the same events."""
    text = "".join(lines_of(Population(50)))
    assert blake2b(text.encode(), digest_size=8).hexdigest() == "6025aaa073dad55c"


def test_pieces_give_the_same_lines_as_the_whole() -> None:
    times, formatter = calendar(SMALL), EventLines(SMALL)
    whole = formatter.lines(times, 0, SMALL.events).tolist()
    pieces = [line for first in range(0, SMALL.events, 1000) for line in formatter.lines(times, first, first + 1000)]
    assert pieces == whole


def test_every_customer_has_its_number_of_events_and_a_profile_first(events: list[dict[str, object]]) -> None:
    counts = Counter(event["customer_id"] for event in events)
    assert set(counts.values()) == {20}
    assert len(counts) == 300
    first = {}
    for event in sorted(events, key=lambda event: str(event["ts"])):
        first.setdefault(event["customer_id"], event["stream"])
    assert set(first.values()) == {"profile"}
    assert {event["stream"] for event in events} == {"profile", "ticket", "label", "click", "txn", "feedback"}
    assert len({event["event_id"] for event in events}) == len(events)


def test_files_go_by_customer_and_cover_the_same_time(tmp_path: Path) -> None:
    written = write_population(tmp_path, SMALL, 2)
    parts = [[json.loads(line) for line in path.read_bytes().splitlines()] for path in written.paths]
    assert sum(map(len, parts)) == SMALL.events == written.events
    assert not {e["customer_id"] for e in parts[0]} & {e["customer_id"] for e in parts[1]}
    for part in parts:
        times = [event["ts"] for event in part]
        assert min(times) < START_MS + DAY_MS
        assert max(times) > START_MS + 18 * DAY_MS
        assert all(b > a - 2_001 for a, b in pairwise(times))  # out of order by the jitter at most


def test_finished_files_are_used_again_and_others_are_not(tmp_path: Path) -> None:
    first = write_population(tmp_path, SMALL, 1)
    stamp = first.paths[0].stat().st_mtime_ns
    assert write_population(tmp_path, SMALL, 1) == first
    assert first.paths[0].stat().st_mtime_ns == stamp
    assert write_population(tmp_path, replace(SMALL, events_each=10), 1).events == 3000


def test_the_engine_takes_every_line(tmp_path: Path) -> None:
    """No dead letters: a benchmark of rejecting lines would be fast and worth nothing."""
    written = write_population(tmp_path, SMALL, 1)
    rules, _ = load_rules([Path(__file__).parents[2] / "benchmarks" / "rules" / "bank30.yaml"])
    assert rules is not None
    decoder = Decoder(
        make_plan(rules).fields, lateness_ms=10_000, max_jump_ms=366 * DAY_MS, annotate=default_annotator()
    )
    with LineReader(written.paths[0]) as reader:
        batch = reader.read_batch(1 << 30)
    assert batch is not None
    assert decoder.decode(batch.lines, "events", 1, PartitionClock(None)).dead_letters == []


def test_a_soak_goes_on_with_the_same_customers_and_new_events() -> None:
    first, second = stretches(30, 6_000)
    parts = [[json.loads(line) for line in lines_of(population)] for population in (first, second)]
    assert {e["customer_id"] for e in parts[0]} == {e["customer_id"] for e in parts[1]}
    assert not {e["event_id"] for e in parts[0]} & {e["event_id"] for e in parts[1]}
    assert max(e["ts"] for e in parts[0]) < min(e["ts"] for e in parts[1]) + 3_600_000
    streams = Counter(e["stream"] for e in parts[1])
    assert streams["profile"] < 60
