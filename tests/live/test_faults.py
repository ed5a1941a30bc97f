"""Faults under load: nothing is lost, nothing comes twice to who passes over known ids, order per customer holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_skips import give_up

from benchmarks.faults.all_scenarios import SCENARIOS
from benchmarks.faults.scenario import perform
from benchmarks.faults.stage import Pace, UnplayableError
from flows.services.process import ServiceError


def play(name: str, folder: Path, pace: Pace) -> None:
    try:
        result = perform(SCENARIOS[name], folder, pace)
    except ServiceError as error:
        give_up("Kafka", error)
    except UnplayableError as error:
        pytest.skip(str(error))
    assert result.passed, "\n".join([*result.problems, str(result.figures)])
    assert result.figures["decisions"] > 100  # else nothing was compared


def test_faults_together(tmp_path: Path) -> None:
    play("together", tmp_path / "together", Pace(rate=500, customers=1000))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "together"])
def test_fault(name: str, tmp_path: Path) -> None:
    play(name, tmp_path / name, Pace())
