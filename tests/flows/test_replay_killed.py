"""Killed at random moments, and in the middle of every kind of write, a replay writes what it writes without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from flows.simulate import simulate
from state.disk import Disk

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


@pytest.fixture(scope="module")
def uninterrupted(events, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "out"
    process = start(["-m", "flows.cli", *arguments(events, out)])
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert len(lines(out)) > 100
    return lines(out)


def kill(process):
    """The whole run, as the machine's end would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def run_killed(events, tmp_path, seed, kills):
    """Start again and again, kill after a while; then let one run end."""
    rng = Random(seed)
    out, state = tmp_path / "out", tmp_path / "state"
    killed = 0
    for _ in range(kills):
        workers = rng.choice([1, 2])
        more = ("--state", state, "--epoch", "30ms", "--workers", workers)
        runner = [str(RUNNER), "lines", "0"] if workers == 1 else ["-m", "flows.cli"]
        process = start([*runner, *arguments(events, out, *more)], PYTHONPATH=str(ROOT))
        try:
            printed, _ = process.communicate(timeout=rng.uniform(1.0, 3.2))
        except subprocess.TimeoutExpired:
            kill(process)
            killed += 1
        else:
            assert process.returncode == 0, f"seed {seed}: {printed}"
    process = start(["-m", "flows.cli", *arguments(events, out, "--state", state)])
    printed, _ = process.communicate()
    assert process.returncode == 0, f"seed {seed}: {printed}"
    assert killed, f"seed {seed}: no run was killed"
    return lines(out)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments(seed, events, uninterrupted, tmp_path):
    assert run_killed(events, tmp_path, seed, kills=5) == uninterrupted, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_killed_at_random_moments_for_long(seed, events, uninterrupted, tmp_path):
    assert run_killed(events, tmp_path, seed, kills=10) == uninterrupted, f"seed {seed}"


@pytest.mark.parametrize(
    ("operation", "often"),
    [("write", 900), ("fsync", 400), ("rename", 400), ("unlink", 60), ("fsync_folder", 400), ("lines", 20)],
)
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
