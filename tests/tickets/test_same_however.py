"""Tickets are followed the same however their events come, and whatever ends a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from flows import files_source
from flows.kernels import warm_up
from flows.replay import replay
from state.compaction import DAY_MS
from tests.tickets.lives import job_of, random_life

AFTER_MS = 40 * DAY_MS


def _lines(folder: Path) -> list[bytes]:
    return sorted((folder / "out" / "actions.ndjson").read_bytes().splitlines())


def _whole(events: list, folder: Path, until_ms: int) -> list[bytes]:
    replay(job_of([events], folder, until_ms))
    return _lines(folder)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_interrupted(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(seed)
    events = random_life(rng)
    until_ms = events[-1]["ts"] + AFTER_MS
    whole = _whole(events, tmp_path / "whole", until_ms)
    assert any(b'"breach"' in line for line in whole)
    warm_up()
    monkeypatch.setattr(files_source, "BATCH_BYTES", 700)
    read, left = files_source._FilePartition.next_batch, [0]

    def next_batch(self):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("interrupted on purpose")
        return read(self)

    for _ in range(4):
        left[0] = rng.randrange(2, 14)
        with monkeypatch.context() as patch:
            patch.setattr(files_source._FilePartition, "next_batch", next_batch)
            job = job_of([events], tmp_path / "parts", until_ms, state=tmp_path / "state", epoch_ms=0)
            try:
                replay(job)
            except BaseException as error:
                assert "on purpose" in repr(error) + repr(error.__cause__)  # noqa: PT017
    replay(job_of([events], tmp_path / "parts", until_ms, state=tmp_path / "state", epoch_ms=0))
    assert _lines(tmp_path / "parts") == whole


@pytest.mark.parametrize("seed", range(6, 10))
def test_partitions_order_and_compaction(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    events = random_life(rng)
    until_ms = events[-1]["ts"] + AFTER_MS
    whole = _whole(events, tmp_path / "whole", until_ms)
    parts: list[list] = [[], [], []]
    for event in events:
        rng.choice(parts).append(event)
    for part in parts:
        part.sort(key=lambda event: event["ts"] + rng.randrange(9_000))
    replay(job_of(parts, tmp_path / "parts", until_ms, compact_after_ms=rng.choice([0, DAY_MS // 2])))
    assert _lines(tmp_path / "parts") == whole


def test_several_processes(tmp_path: Path) -> None:
    events = random_life(Random(77), customers=20)
    until_ms = events[-1]["ts"] + AFTER_MS
    whole = _whole(events, tmp_path / "whole", until_ms)
    replay(job_of([events[::2], events[1::2]], tmp_path / "two", until_ms, workers=2))
    assert _lines(tmp_path / "two") == whole


def test_the_lives_meet_everything(tmp_path: Path) -> None:
    """Else the tests above would hold for too little."""
    said: Counter[bytes] = Counter()
    for seed in range(8):
        events = random_life(Random(seed))
        for line in _whole(events, tmp_path / str(seed), events[-1]["ts"] + AFTER_MS):
            for what in (b'"warning"', b'"breach"', b'"illegal_transition"', b'"illegal_extension"', b'"reopen"',
                         b'"repeat":1', b'"gold_desk"', b'"level":"risk"', b'"clock":"statutory"'):  # fmt: skip
                said[what] += what in line
    assert len(said) == 9
    assert min(said.values()) >= 2, said
