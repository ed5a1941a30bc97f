"""The folder of a run's state: who may go on from it, and the runtime's own part of it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.recovery import RecoveryConfig, init_db_dir

from operators.delivery import ENTITY_SHARDS, SHARDS
from state.disk import StateError
from state.hashing import Key
from state.state_folder import StateFolder

_RUNTIME, _UNFINISHED = "runtime", "runtime.tmp"


@contextmanager
def open_state(path: Path, about: Mapping[str, str]) -> Iterator[tuple[Key, bool]]:
    """Hold a folder for one run: the key of the hashes in it, and whether there is a run to go on from.

    ``about``: what that run must have in common with this one, a text for each, by the option's name.

    Raises
    ------
    StateError
        Another process holds it, it cannot be used, or the run in it was another one.
    """
    key: list[Any] = [secrets.randbits(64), secrets.randbits(64)]
    shards = {"shards": SHARDS, "entity_shards": ENTITY_SHARDS}
    contents: dict[str, Any] = {"key": key, "run": dict(about), **shards}
    with StateFolder.open(path, contents) as folder:
        found: dict[str, Any] = folder.about
        for name, count in shards.items():
            if found[name] != count:
                raise StateError(
                    path, f"it is of {found[name]} {name}, and this version has {count}",
                    "go on with the version that wrote it, or start anew with another --state and --out",
                )  # fmt: skip
        changed = [name for name, text in about.items() if found["run"].get(name) != text]
        if changed:
            raise StateError(
                path, f"the run in it had other {', '.join(changed)}",
                "give what it had, or start anew with another --state and --out",
            )  # fmt: skip
        resumed = (path / _RUNTIME).exists()
        if not resumed:
            _make_runtime_part(path)
        first, second = found["key"]
        yield (first, second), resumed


def _make_runtime_part(path: Path) -> None:
    """Make the runtime's database: all of it or, if we are killed, none."""
    unfinished = path / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    init_db_dir(unfinished, 1)  # type: ignore[no-untyped-call]
    unfinished.rename(path / _RUNTIME)


def recovery_config(path: Path) -> RecoveryConfig:
    """What the runtime needs to know of the folder."""
    return RecoveryConfig(str(path / _RUNTIME), timedelta(0))  # type: ignore[no-untyped-call]
