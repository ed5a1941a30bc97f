"""The kernels' cache: a second start compiles nothing, and a change of the sources is never overlooked."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher

from flows import kernels
from flows.kernels import warm_up
from state import kernel_cache
from state.kernel_cache import MAX_AGE_SECONDS, kernel_folder, remove_old, sources_digest

ROOT = Path(__file__).parents[2]

RULES = """\
version: 1
timezone: Asia/Shanghai
rules:
  - id: r
    trigger: click
    when: count(click, last="1h") >= 1 and distinct(click.page, last="1h") >= 1
    then: [{tag: {name: t}}]
"""
EVENT = '{"stream": "click", "event_id": "e", "customer_id": "c", "ts": 1760000000000, "page": "a"}\n'


def start(*arguments, root=ROOT, **settings):
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=root, env=os.environ | settings, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_second_start_compiles_nothing_nor_does_another_copy_of_the_sources(elsewhere, tmp_path):
    warm_up()
    root = ROOT
    if elsewhere:
        root = tmp_path / "copy"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".*", "build", "tests"))
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "events.ndjson").write_text(EVENT)
    process = start(
        "-m", "flows.cli", "replay", "--rules", tmp_path / "rules.yaml", "--events", tmp_path / "events.ndjson",
        "--out", tmp_path / "out", root=root, NUMBA_DEBUG_CACHE="1",
    )  # fmt: skip
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "data loaded from" in printed
    assert "data saved" not in printed
    assert "Compiling" not in printed


def test_the_warm_up_compiles_every_kernel():
    warm_up()
    kernels_found, missing = 0, []
    for package in ("state", "operators"):
        for path in (ROOT / package).glob("*.py"):
            module = importlib.import_module(f"{package}.{path.stem}")
            for name, value in vars(module).items():
                if isinstance(value, CPUDispatcher) and value.__module__ == module.__name__:
                    kernels_found += 1
                    if not Path(value._cache._cache_file._index_path).exists():
                        missing.append(f"{module.__name__}.{name}")
    assert kernels_found > 50
    assert not missing


@pytest.mark.slow
def test_of_two_processes_that_start_at_once_one_compiles(tmp_path):
    processes = [start("-m", "flows.cli", "warm-up", NUMBA_CACHE_DIR=tmp_path, NUMBA_DEBUG_CACHE="1") for _ in range(2)]
    printed = [process.communicate()[0] for process in processes]
    saved = [text.count("data saved") for text in printed]
    assert sorted(saved)[0] == 0 < sorted(saved)[1]
    assert all("Compiling the kernels" in text for text in printed)


@pytest.fixture
def cold(monkeypatch, tmp_path):
    monkeypatch.setattr(kernels, "kernel_folder", lambda: tmp_path)
    monkeypatch.setattr(kernels, "_PATIENCE_SECONDS", 0)
    return tmp_path


def test_whoever_waits_for_the_compiler_is_told_and_only_once(cold, monkeypatch):
    told = threading.Event()
    said, runs = [], []

    def tell(text):
        said.append(text)
        told.set()

    def compile_all():
        runs.append(told.wait(30))

    monkeypatch.setattr(kernels, "_run_all", compile_all)
    warm_up(tell)
    warm_up(tell)
    assert runs == [True]
    assert len(said) == 1
    assert "Compiling the kernels" in said[0]


def test_an_interrupted_warm_up_begins_anew(cold, monkeypatch):
    runs = []

    def interrupted():
        runs.append(1)
        if len(runs) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(kernels, "_run_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        warm_up(lambda _: None)
    warm_up(lambda _: None)
    warm_up(lambda _: None)
    assert len(runs) == 2


def test_a_warm_up_that_runs_other_events_is_run_again(cold, monkeypatch, tmp_path):
    runs = []
    monkeypatch.setattr(kernels, "_run_all", lambda: runs.append(1))
    warm_up()
    other = tmp_path / "other.py"
    other.write_text("")
    monkeypatch.setattr(kernels, "__file__", str(other))
    warm_up()
    warm_up()
    assert len(runs) == 2


@pytest.fixture
def sources(tmp_path):
    for package in ("state", "operators"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    "changed", ["state/numbers.py", "state/tables.py", "state/cells.py", "operators/scan_values.py"]
)
def test_a_change_of_a_kernel_or_of_what_it_imports_has_another_folder(sources, changed):
    before = sources_digest(sources)
    with (sources / changed).open("a") as file:
        file.write("\n_ANYTHING = 1\n")
    assert sources_digest(sources) != before


def test_a_change_elsewhere_keeps_the_folder(sources):
    before = sources_digest(sources)
    with (sources / "operators/decider.py").open("a") as file:
        file.write("\n_ANYTHING = 1\n")
    (sources / "rules").mkdir()
    (sources / "rules/model.py").write_text("")
    assert sources_digest(sources) == before


def test_the_folder_lies_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    digest = sources_digest(ROOT)
    assert kernel_folder.__wrapped__() == tmp_path / "cache/cem-engine/kernels" / digest
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernel_folder.__wrapped__() == tmp_path / "home/.cache/cem-engine/kernels" / digest
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "given"))
    assert kernel_folder.__wrapped__() == tmp_path / "given" / digest


def test_where_nothing_can_be_written_a_temporary_folder_serves_and_is_removed(tmp_path):
    (tmp_path / "file").touch()
    code = (
        "import os, subprocess, sys\n"
        "from state.kernel_cache import kernel_folder\n"
        "folder = kernel_folder()\n"
        "again = [sys.executable, '-c', 'from state.kernel_cache import kernel_folder; print(kernel_folder())']\n"
        "assert folder.is_dir() and subprocess.check_output(again, text=True).strip() == str(folder)\n"
        "print(folder)\n"
    )
    settings = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    process = start("-c", code, **settings)
    folder = process.communicate()[0].strip()
    assert process.returncode == 0, folder
    assert folder.startswith(str(tmp_path / "cem-kernels-"))
    assert not Path(folder).exists()


def test_folders_that_nobody_used_for_a_month_are_removed_and_nothing_else(tmp_path):
    used, old, recent, other = (tmp_path / name for name in ("a" * 32, "b" * 32, "c" * 32, "notes"))
    for folder, age in ((used, 0), (old, MAX_AGE_SECONDS + 60), (recent, MAX_AGE_SECONDS - 60), (other, 10**8)):
        folder.mkdir()
        (folder / "kernel.nbc").touch()
        now = used.stat().st_mtime
        os.utime(folder, (now - age, now - age))
    remove_old(used)
    assert sorted(tmp_path.iterdir()) == sorted([used, recent, other])


def test_a_start_removes_old_folders_of_its_own_but_none_that_it_was_told_to_use(monkeypatch, tmp_path):
    removed = []
    monkeypatch.setattr(kernel_cache, "remove_old", removed.append)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kernel_folder.__wrapped__()
    assert removed == []
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = kernel_folder.__wrapped__()
    assert removed == [folder]
