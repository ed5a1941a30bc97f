"""What servers are made of, fetched once into the user's cache folder and used from there."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.services.process import LOG_TAIL_LINES, ServiceError

FETCH_TIMEOUT_S = 900.0


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/cem-engine/services``, under ``~/.cache`` if that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "cem-engine", "services").absolute()


def cached_package(name: str) -> Path | None:
    """The folder of a package that was fetched before."""
    folder = cache_folder() / name
    return folder if folder.is_dir() else None


def fetched(name: str, source: str, fetch: Callable[[Path], None]) -> Path:
    """The package's folder; `fetch` fills it if it is not there yet, for one process at a time.

    A folder is put in its place when it is complete, so one that is there can be used.

    Raises
    ------
    ServiceError
        It cannot be fetched, or the cache folder not be written.
    """
    if folder := cached_package(name):
        return folder
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder := cached_package(name)):
                print(f"Preparing {name} from {source} in {cache} (once) ...", file=sys.stderr, flush=True)
                folder = _fill(cache, name, fetch)
    except OSError as error:
        raise ServiceError(f"{cache} cannot be written: {error}. Set XDG_CACHE_HOME to a folder that can.") from error
    return folder


def _fill(cache: Path, name: str, fetch: Callable[[Path], None]) -> Path:
    made = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".part", dir=cache))
    try:
        fetch(made)
        made.chmod(0o755)
        return made.rename(cache / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def run_tool(command: Sequence[str], folder: Path) -> None:
    """Runs a program in `folder`.

    Raises
    ------
    ServiceError
        It failed, or took too long; with the last lines it wrote.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]}: {error}") from error
    if done.returncode:
        lines = done.stdout.decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        raise ServiceError("\n".join([f"{' '.join(command[:4])} ... failed with {done.returncode}:", *lines]))


def fetch_wheel(requirement: str, folder: Path) -> None:
    """Unpacks a wheel of the Python package index into `folder`, without what it depends on."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run_tool([*pip, "install", "--no-deps", "--only-binary", ":all:", "--target", str(folder), requirement], folder)
