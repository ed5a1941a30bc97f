"""A state folder that an earlier release left behind when it was killed is gone on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from state.delta_file import FORMAT
from state.disk import TEMPORARY
from state.state_folder import FORMAT_FILE, StateFolder

ROOT = Path(__file__).parents[2]
ARCHIVE = Path(__file__).with_name("format-1.tar.xz")
"""The state of a run that was killed, what it ran on and had written, and what it was to write; its README tells."""

EVENTS = [f"events/part-{number}.ndjson" for number in range(3)]
UNTIL_MS = 1_760_800_000_000


@pytest.fixture
def folder(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "format-1"


def move_here(folder):
    """The state knows the absolute paths of its run."""
    path = folder / "state" / FORMAT_FILE
    about = json.loads(path.read_bytes())
    assert about["format"] == 1
    here = {"--events": json.dumps([str(folder / name) for name in EVENTS]), "--out": str(folder / "out")}
    assert about["run"].keys() > here.keys()
    about["run"] |= here
    path.write_text(json.dumps(about), encoding="utf-8")


def go_on(folder, *more):
    events = [word for name in EVENTS for word in ("--events", name)]
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "replay", "--rules", "rules.yaml", "--policy", "policy.yaml", *events,
         "--out", "out", "--state", "state", "--until", str(UNTIL_MS), *more],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def lines(path):
    return sorted(path.read_bytes().splitlines())


def decisions(path):
    """Without what a text is about and its mood: the release that made the archive read texts by other words."""
    found = [json.loads(line) for line in lines(path)]
    for decision in found:
        for name in ("topics", "mood"):
            decision["features"].pop(name, None)
    return sorted(found, key=lambda decision: decision["action_id"])


@pytest.mark.parametrize("more", [(), ("--workers", "2", "--epoch", "30ms")])
def test_it_is_gone_on_from(folder, more):
    move_here(folder)
    written = len(lines(folder / "out/actions.ndjson"))
    run = go_on(folder, *more)
    assert run.returncode == 0, run.stderr
    assert decisions(folder / "out/actions.ndjson") == decisions(folder / "uninterrupted.ndjson")
    assert lines(folder / "out/dead_letters.ndjson") == lines(folder / "uninterrupted_dead_letters.ndjson")
    assert 1_000 < written < len(lines(folder / "out/actions.ndjson")) - 100
    assert StateFolder.inspect(folder / "state").about["shards"] == 16
    assert json.loads((folder / "state" / FORMAT_FILE).read_bytes())["format"] == FORMAT


def test_its_files_are_whole(folder):
    """And it holds what the test is to be about: files of both kinds, and one that was being written."""
    shards = StateFolder.inspect(folder / "state").shards()
    assert [problem for shard in shards for problem in shard.verify()] == []
    kinds = [info.is_base for shard in shards for info in shard.files()]
    assert kinds.count(True) > 36
    assert kinds.count(False) > 100
    assert len(list((folder / "state").glob(f"*/*{TEMPORARY}"))) == 1


def test_its_arguments_still_count(folder):
    assert "--events, --out" in go_on(folder).stderr
