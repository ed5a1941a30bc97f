"""Killed at random moments, and in the middle of every kind of write, a replay writes what it writes without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from flows.simulate import simulate
from state.disk import Disk
from tests.seeds import seeds

ROOT = Path(__file__).parents[2]
RULES, POLICY = ROOT / "benchmarks/rules/bank30.yaml", ROOT / "benchmarks/rules/policy.yaml"
RUNNER = Path(__file__).with_name("killed_at_a_write.py")


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    simulate(folder, customers=400, days=10, seed=3, partitions_per_stream=1)
    return [path for path in sorted(folder.glob("*.ndjson")) if path.name != "truth.ndjson"]


def arguments(events, out, *more):
    files = [word for path in events for word in ("--events", str(path))]
    return ["replay", "--rules", str(RULES), "--policy", str(POLICY), *files, "--out", str(out), *map(str, more)]


def start(command, **settings):
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def lines(out):
    return sorted((out / "actions.ndjson").read_bytes().splitlines())


def run_whole(events, out):
    """What a run without state and without an interruption writes."""
    process = start(["-m", "flows.cli", *arguments(events, out)])
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return lines(out)


@pytest.fixture(scope="module")
def uninterrupted(events, tmp_path_factory):
    written = run_whole(events, tmp_path_factory.mktemp("uninterrupted") / "out")
    assert len(written) > 100
    return written


def kill(process):
    """The whole run, as the machine's end would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


FAULTS = [("write", 900), ("fsync", 400), ("rename", 400), ("unlink", 60), ("fsync_folder", 400), ("lines", 20)]
"""Operations to be killed in the middle of, and about how many of each a run of the small population has."""


class KilledRuns:
    """Runs that are killed, at a random moment or in the middle of a write, until some number of them were."""

    def __init__(self, events, folder, seed, longest_seconds, faults=FAULTS) -> None:
        self.events, self.folder, self.rng = events, folder, Random(seed)
        self.longest_seconds, self.faults = longest_seconds, faults
        self.killed, self.ended = 0, 0

    @property
    def out(self) -> Path:
        """The output of the replay under way."""
        return self.folder / f"out-{self.ended}"

    def command(self, *more):
        state = self.folder / f"state-{self.ended}"
        return arguments(self.events, self.out, "--state", state, "--epoch", "30ms", *more)

    def run(self, kills):
        """Until so many runs were killed; gives what each replay that came to its end has written."""
        while self.killed < kills:
            workers, fault = self.rng.choice([1, 2]), self.rng.random() < 0.4
            if fault:
                operation, often = self.rng.choice(self.faults)
                process = start(
                    [str(RUNNER), operation, str(self.rng.randrange(1, often)), *self.command()], PYTHONPATH=str(ROOT)
                )
            elif workers == 1:
                process = start([str(RUNNER), "lines", "0", *self.command()], PYTHONPATH=str(ROOT))
            else:
                process = start(["-m", "flows.cli", *self.command("--workers", workers)])
            try:
                printed, _ = process.communicate(timeout=self.rng.uniform(0.8, self.longest_seconds))
            except subprocess.TimeoutExpired:
                kill(process)
                self.killed += 1
            else:
                assert process.returncode in (0, -signal.SIGKILL), printed
                self.killed += process.returncode != 0
                if process.returncode == 0:
                    yield lines(self.out)
                    self.ended += 1
        process = start(["-m", "flows.cli", *self.command()])
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        yield lines(self.out)


@pytest.mark.parametrize("seed", seeds(1, 2))
def test_killed_at_random_moments(seed, events, uninterrupted, tmp_path):
    for written in KilledRuns(events, tmp_path, seed, longest_seconds=3).run(kills=4):
        assert written == uninterrupted, f"seed {seed}"


@pytest.fixture(scope="module")
def many_events(tmp_path_factory):
    """About 300,000 events in three partitions."""
    folder = tmp_path_factory.mktemp("many")
    simulate(folder, customers=1_200, days=32, seed=5, partitions_per_stream=1)
    streams = [path for path in sorted(folder.glob("*.ndjson")) if path.name != "truth.ndjson"]
    in_order = sorted((json.loads(line)["ts"], line) for path in streams for line in path.read_bytes().splitlines(True))
    paths = [folder / f"part-{number}" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(b"".join(line for _, line in in_order[number::3]))
    assert 270_000 < len(in_order) < 330_000, len(in_order)
    return paths


@pytest.fixture(scope="module")
def many_uninterrupted(many_events, tmp_path_factory):
    return run_whole(many_events, tmp_path_factory.mktemp("many_uninterrupted") / "out")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_two_hundred_kills_over_many_events(seed, many_events, many_uninterrupted, tmp_path):
    assert len({json.loads(line)["action_id"] for line in many_uninterrupted}) == len(many_uninterrupted) > 2_000
    runs = KilledRuns(many_events, tmp_path, seed, longest_seconds=9, faults=[(name, 6 * n) for name, n in FAULTS])
    for written in runs.run(kills=20):
        assert written == many_uninterrupted, f"seed {seed}, replay {runs.ended}"
    print(f"seed {seed}: {runs.killed} runs killed, {runs.ended + 1} replays came to their end")


@pytest.mark.parametrize(("operation", "often"), FAULTS)
def test_killed_in_the_middle_of_a_write(operation, often, events, uninterrupted, tmp_path):
    """A process that ends itself at the n-th operation of a kind, half way through where there is a half."""
    assert operation == "lines" or hasattr(Disk, operation)
    rng = Random(operation)
    out, state = tmp_path / "out", tmp_path / "state"
    ends = []
    for n in (1, rng.randrange(1, often), rng.randrange(1, often)):
        more = ("--state", state, "--epoch", "30ms")
        process = start([str(RUNNER), operation, str(n), *arguments(events, out, *more)], PYTHONPATH=str(ROOT))
        printed, _ = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), printed
        ends.append(process.returncode)
    process = start(["-m", "flows.cli", *arguments(events, out, "--state", state)])
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert -signal.SIGKILL in ends
    assert lines(out) == uninterrupted
