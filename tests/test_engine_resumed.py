"""Interrupted at random moments and started again, the engine decides random streams as the reference does."""

from pathlib import Path
from random import Random

import pytest

from flows import files_source
from flows.kernels import warm_up
from tests.reference.engine import difference
from tests.reference.generate import Case, random_case
from tests.reference.generate_surveys import survey_case
from tests.seeds import seeds
from tests.test_engine_against_reference import SHAPES


class InterruptedRunError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def interrupted_after(monkeypatch):
    """Lets sources fail after so many batches, which are small; epochs are as short as can be."""
    warm_up()  # which reads files as well
    left: list[int | None] = [None]
    read = files_source._FilePartition.next_batch

    def next_batch(self):
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise InterruptedRunError
        return read(self)

    monkeypatch.setattr(files_source._FilePartition, "next_batch", next_batch)
    monkeypatch.setattr(files_source, "BATCH_BYTES", 800)

    def set_to(batches):
        left[0] = batches

    return set_to


def check(case: Case, rng: Random, tmp_path: Path, interrupted_after) -> int:
    state = {"state": tmp_path / "state", "epoch_ms": 0}
    interruptions = 0
    for _ in range(4):
        interrupted_after(rng.randrange(1, 12))
        try:
            found = difference(case, tmp_path / "case", **state)
        except BaseException as error:
            if "InterruptedRun" not in repr(error) and "InterruptedRun" not in repr(error.__cause__):
                raise
            interruptions += 1
        else:
            assert found is None, found
            return interruptions
    interrupted_after(None)
    found = difference(case, tmp_path / "case", **state)
    assert found is None, found
    return interruptions


@pytest.mark.parametrize("seed", seeds(7, 30))
def test_random_streams(seed, tmp_path, interrupted_after):
    rng = Random(seed)
    assert check(random_case(rng, n_events=150), rng, tmp_path, interrupted_after) > 0


@pytest.mark.parametrize("seed", seeds(2, 20))
def test_random_surveys(seed, tmp_path, interrupted_after):
    rng = Random(seed)
    check(survey_case(rng, 200), rng, tmp_path, interrupted_after)


@pytest.mark.parametrize("name", SHAPES)
def test_extreme_shapes(name, tmp_path, interrupted_after):
    rng = Random(name)
    check(SHAPES[name].case(rng, 150), rng, tmp_path, interrupted_after)
