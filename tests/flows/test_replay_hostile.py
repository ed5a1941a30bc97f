"""Hostile lines never stop a replay, and every line is accounted for."""

import os
from collections import Counter
from pathlib import Path

import pytest

from flows.replay import ReplayJob, replay
from rules.load import load_rules
from rules.policy import load_policy
from tests.flows.hostile_lines import POLICY, RULES, hostile_partitions
from tests.operators.test_decode_random import plain_decode
from tests.reference.engine import read_lines


def hostile_job(folder: Path, partitions: list[list[bytes]], workers: int = 1) -> ReplayJob:
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
    rule_set, problems = load_rules([folder / "rules.yaml"])
    assert rule_set is not None, "\n".join(map(str, problems))
    policy, problems = load_policy(folder / "policy.yaml")
    assert policy is not None, problems
    files = tuple(folder / f"part-{i}.ndjson" for i in range(len(partitions)))
    for file, lines in zip(files, partitions, strict=True):
        file.write_bytes(b"\n".join(lines))  # the last one ends at the end of the file
    return ReplayJob(rule_set, files, folder / f"out-{workers}", policy, workers=workers)


def plain_account(
    job: ReplayJob, partitions: list[list[bytes]]
) -> tuple[Counter[str], dict[str, tuple[str, str]], int]:
    """Events by stream, reason and field of each dead letter by its source, blank lines: by a plain decoder."""
    events: Counter[str] = Counter()
    dead = {}
    blanks = 0
    for file, lines in zip(job.events, partitions, strict=True):
        high_ms = None
        for number, line in enumerate(lines, 1):
            try:
                kind, *rest = plain_decode(line, high_ms)
            except RecursionError:  # nested deeper than either reads
                kind, *rest = "dead", "not_json", None
            if kind == "event":
                events[rest[0]] += 1
                high_ms = rest[3] if high_ms is None else max(high_ms, rest[3])
            elif kind == "dead":
                dead[f"{file}:{number}"] = tuple(rest)
            else:
                blanks += 1
    return events, dead, blanks


@pytest.mark.parametrize(
    ("seed", "lines", "partitions"), [(1, 20_000, 3), pytest.param(2, 200_000, 2, marks=pytest.mark.slow)]
)
def test_every_line_is_an_event_a_dead_letter_or_blank(tmp_path, seed, lines, partitions):
    parts = hostile_partitions(seed, lines, partitions)
    job = hostile_job(tmp_path, parts)
    summary = replay(job)
    events, dead, blanks = plain_account(job, parts)
    assert summary["events"] == dict(events)
    letters = read_lines(job.out / "dead_letters.ndjson")
    assert {letter["source"]: (letter["reason"], letter["field"]) for letter in letters} == dead
    assert len(letters) == len(dead) == sum(summary["dead_letters"].values())
    assert sum(events.values()) + len(dead) + blanks == lines
    # What took effect is what an unconditional rule on every stream saw.
    decisions = read_lines(job.out / "actions.ndjson")
    seen = sum(decision["rule_id"] == "every" for decision in decisions)
    assert seen == sum(events.values()) - summary["duplicates"]
    assert sum(sum(by.values()) for by in summary["decisions"].values()) == len(decisions)
    # The lines are of use only while they reach everything.
    assert len(events) == 6
    assert len(summary["dead_letters"]) == 8
    assert min(summary["duplicates"], summary["late"], blanks) > 0
    assert set(summary["decisions"]) == {"every", "everything", "daily", "watch"}


@pytest.mark.parametrize("share", [True, False], ids=["shared memory", "none"])
def test_two_processes_write_what_one_writes(tmp_path, monkeypatch, share):
    if not share:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    parts = hostile_partitions(5, 6000, 3)
    summaries = {workers: replay(hostile_job(tmp_path, parts, workers)) for workers in (1, 2)}
    for name in ("actions.ndjson", "dead_letters.ndjson"):
        one, two = (sorted((tmp_path / f"out-{n}" / name).read_bytes().splitlines()) for n in (1, 2))
        assert one == two
        assert one
    for summary in summaries.values():
        del summary["events_per_second"], summary["peak_rss_bytes"]
        del summary["bytes_per_customer"]  # each process has tables of its own
    assert summaries[1] == summaries[2]
