"""The register of scenarios, and how one is played."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.evidence import Verdict, judge
from benchmarks.faults.stage import Pace, Setup, Stage, UnplayableError

Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault.

    Attributes
    ----------
    play
        Makes the fault on a stage that has begun, and ends it.
    exact
        Whether decisions have to be the replay's.
    own_begin
        Whether ``play`` begins the run itself.
    """

    name: str
    about: str
    setup: Setup
    play: Play
    exact: bool = True
    own_begin: bool = False


@dataclass
class Result:
    """How a scenario went."""

    name: str
    passed: bool
    seconds: float
    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, about: str, setup: Setup | None = None, *, exact: bool = True, own_begin: bool = False
) -> Callable[[Play], Play]:
    """Register a function as a scenario."""

    def register(play: Play) -> Play:
        SCENARIOS[name] = Scenario(name, about, setup or Setup(), play, exact, own_begin)
        return play

    return register


def perform(found: Scenario, folder: Path, pace: Pace, *, keep: bool = False) -> Result:
    """Play a scenario in a folder of its own, which is emptied first, and judge it.

    The folder stays if the scenario did not pass, or with ``keep``.

    Raises
    ------
    ServiceError
        A server cannot be started.
    UnplayableError
        The machine lacks something else.
    """
    began = time.monotonic()
    if folder.exists():
        shutil.rmtree(folder)
    verdict = Verdict()
    with Stage(folder, found.setup, pace) as stage:
        try:
            if not found.own_begin:
                stage.begin()
            found.play(stage)
            stage.finish()
            verdict = judge(stage, exact=found.exact)
        except UnplayableError:
            raise
        except Exception as error:
            verdict.problems.append(f"{type(error).__name__}: {error}")
            verdict.figures["traceback"] = traceback.format_exc()
    if not verdict.problems and not keep:
        shutil.rmtree(folder)
    seconds = round(time.monotonic() - began, 1)
    return Result(found.name, not verdict.problems, seconds, verdict.problems, verdict.figures)
