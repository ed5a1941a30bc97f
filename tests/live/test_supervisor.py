"""The supervisor: all processes are started together, started again together, and stopped in order."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from config.settings import load_settings
from flows.cluster import ClusterError, report_path
from flows.live import supervisor
from flows.live.job import LiveJob
from flows.live.supervisor import Place, Supervisor, job_path
from flows.live.worker import FAILED
from rules.load import load_rules
from rules.policy import Policy

FAKE = "tests.live.fake_process"
RULES = "version: 1\nrules:\n  - {id: r, trigger: click, then: [{tag: {name: t}}]}\n"
CONFIG = "rules: [rules.yaml]\nstate: state\nsource: {bootstrap: 'x:1', topics: {click: [c]}}\nsinks: {files: out}\n"


@pytest.fixture
def job(tmp_path: Path) -> LiveJob:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "live.yaml").write_text(CONFIG)
    rules, problems = load_rules([tmp_path / "rules.yaml"])
    assert rules is not None, problems
    return LiveJob(rules, Policy.default(), load_settings(tmp_path / "live.yaml"), 2, (1, 2), False)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("FAKE_LOG", str(path))
    monkeypatch.setattr(supervisor, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.0)
    return path


def supervised(job: LiveJob, until: Callable[[], bool], place: Place | None = None) -> None:
    """Run a supervisor and stop it when something is so."""
    stop, ended = threading.Event(), threading.Event()

    def watch() -> None:
        deadline = monotonic() + 30
        while not until() and monotonic() < deadline and not ended.wait(0.01):
            pass
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        Supervisor(job, place or Place(range(job.workers)), stop, FAKE).run()
    finally:
        ended.set()
        watcher.join()


def test_all_start_with_addresses_and_stop_in_order(job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE", "run,run")
    supervised(job, lambda: log.read_text().count("ready") == 2)
    lines = log.read_text().splitlines()
    assert {"start 0 0 2", "start 1 0 2", "stop 0", "stop 1"} <= set(lines)


def test_one_that_is_killed_brings_all_down_and_all_start_again(
    job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "run,killed-once")
    supervised(job, lambda: {"start 0 1 2", "start 1 1 2", "ready 1"} <= set(log.read_text().splitlines()))
    assert "start 1 1 2" in log.read_text()
    assert log.read_text().count("stop") == 2


def test_a_known_failure_ends_the_run_with_its_message(
    job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "run,known")
    with pytest.raises(ClusterError, match="what went wrong"):
        supervised(job, lambda: False)
    assert "start 1 1" not in log.read_text()


@pytest.mark.parametrize("how", ["disk-full", "database-full"])
def test_a_full_disk_is_waited_for(job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("FAKE", f"run,{how}")
    monkeypatch.setattr(supervisor, "MAX_FAULTS", 1)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_SECONDS", 0.0)
    supervised(job, lambda: "ready 1" in log.read_text())
    assert "start 1 2 2" in log.read_text()


def test_a_full_folder_for_temporary_files_is_waited_for(
    job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, write = ["once"], Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        if path.suffix == ".pickle" and full and full.pop():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    monkeypatch.setenv("FAKE", "run,run")
    supervised(job, lambda: log.read_text().count("ready") == 2)
    assert "start 0 1 2" in log.read_text()


def test_a_process_removes_what_it_was_told(job: LiveJob, tmp_path: Path) -> None:
    """With its passwords; this one cannot listen on its address, and ends after it was told."""
    settings = job.settings.model_copy(update={"http": job.settings.http.model_copy(update={"host": "192.0.2.1"})})
    path = job_path(tmp_path, 0)
    path.write_bytes(pickle.dumps(replace(job, settings=settings)))
    command = [sys.executable, "-m", "flows.live.worker", str(tmp_path), "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.wait(60) == FAILED
    assert "cannot listen on 192.0.2.1" in report_path(tmp_path, 0, known=True).read_text()
    assert not path.exists()


def test_a_program_that_fails_again_and_again_is_given_up(
    job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "fault,run")
    monkeypatch.setattr(supervisor, "MAX_FAULTS", 3)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_SECONDS", 0.0)
    with pytest.raises(ClusterError, match="3 times in a row") as raised:
        supervised(job, lambda: False)
    assert "what went wrong" in str(raised.value)
    assert log.read_text().count("start 0") == 3


def test_one_that_does_not_stop_is_killed(job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE", "run,deaf")
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.2)
    supervised(job, lambda: log.read_text().count("ready") == 2)
    assert "stop 0" in log.read_text()
    assert "stop 1" not in log.read_text()


def test_of_several_hosts_only_the_own_process_is_started(
    job: LiveJob, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "run,run")
    supervised(job, lambda: "ready 1" in log.read_text(), Place([1], ["a:1", "b:2"]))
    assert "start 1 0 2" in log.read_text()
    assert "start 0" not in log.read_text()
