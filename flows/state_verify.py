"""Checks a state folder: every checksum, every reference; and says what is wrong, file by file, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.rule_history import kept_rules
from flows.runtime_database import Remembered, read_remembered
from flows.state_files import key_of, leftovers, runtime_folder
from operators.survey import problems_in, rules_id
from state.disk import RESTORE, StateError
from state.shard_reader import RESUME_BACK, ShardReader
from state.state_folder import StateFolder

_ATTEMPTS = 5


def verify(folder: StateFolder) -> list[str]:
    """What is wrong with a folder, a line each that names the file and the remedy; none if all is well.

    A run may work with it meanwhile. Left out: whether what the numbers say is true.
    """
    problems: list[str] = []
    try:
        key_of(folder)
    except StateError as error:
        problems.append(str(error))
    try:
        remembered = read_remembered(folder.path)
        shards = folder.shards()
    except StateError as error:
        return [*problems, str(error)]
    for reader in shards:
        try:
            problems += reader.verify()
        except StateError as error:
            problems.append(str(error))
        problems += _contents(reader)
    problems += _references(folder, remembered)
    problems += _rules(folder)
    problems += _outputs(folder.about, remembered)
    return problems


def notes(folder: StateFolder) -> list[str]:
    """What is worth a word though nothing is wrong with it."""
    return [f"{path}: left half written by a crash; the next run removes it" for path in leftovers(folder)]


def _contents(reader: ShardReader) -> Iterator[str]:
    """What in whole files does not fit together."""
    try:
        infos = reader.files()
    except StateError:
        return  # told already
    for info in infos:
        try:
            sections = reader.read(info.version).sections
        except StateError:
            continue  # told already, or removed meanwhile
        path = reader.folder / f"{info.version:012d}.{'base' if info.is_base else 'delta'}"
        yield from (f"{path}: {problem}; {RESTORE}" for problem in problems_in(sections))


def _rules(folder: StateFolder) -> Iterator[str]:
    """Rules that files were laid out by, or that the folder names, and that are not there as they were."""
    named = {folder.about.get(name) for name in ("rules", "unnamed_rules")}
    for reader in folder.shards():
        try:
            named |= {rules_id(reader.read(info.version).sections) for info in reader.files()}
        except StateError:
            continue  # told already, or removed meanwhile
    for own_id in sorted(name for name in named if isinstance(name, str) and name):
        try:
            kept_rules(folder.path, own_id)
        except StateError as error:
            yield str(error)


def _references(folder: StateFolder, remembered: Remembered) -> list[str]:
    """What the runtime remembers and is not there. A run at work goes on meanwhile, so what is wrong is asked anew."""
    problems: list[str] = []
    for _ in range(_ATTEMPTS):
        problems = [*_missing(folder, remembered)]
        again = read_remembered(folder.path) if problems else remembered
        if again == remembered:
            return problems
        remembered = again
    return problems


def _missing(folder: StateFolder, remembered: Remembered) -> Iterator[str]:
    found = {reader.folder.name: reader for reader in folder.shards()}
    for name, (version, file_id) in remembered.shards.items():
        if name not in found:
            yield f"{folder.path / name}: the folder is missing, the runtime remembers version {version}; {RESTORE}"
            continue
        try:
            infos = {info.version: info for info in found[name].files()}
        except StateError:
            continue  # told already
        path = folder.path / name / f"{version:012d}"
        if version not in infos:
            yield f"{path}: the runtime remembers this version, and it is not there; {RESTORE}"
        elif infos[version].id != file_id:
            yield f"{path}: the runtime remembers another file of this version, of another run; {RESTORE}"
        elif max(infos) > version + RESUME_BACK:
            yield (
                f"{folder.path / name}: goes on to version {max(infos)}, far beyond version {version}, which the "
                f"runtime remembers; {runtime_folder(folder)} and this folder are of different times: {RESTORE}"
            )
    for name, reader in found.items():
        newest = max((info.version for info in reader.files()), default=0)
        if name not in remembered.shards and newest > RESUME_BACK:
            yield f"{reader.folder}: the runtime remembers nothing of this shard, of version {newest}; {RESTORE}"


def _outputs(about: Mapping[str, Any], remembered: Remembered) -> Iterator[str]:
    """Outputs that are shorter than what belongs to the state."""
    out = about.get("run", {}).get("--out")
    if not isinstance(out, str):
        return
    for step, name in (("write_actions", "actions.ndjson"), ("write_dead_letters", "dead_letters.ndjson")):
        position = remembered.positions.get(step, 0)
        path = Path(out) / name
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            yield f"{path}: has {size} bytes where the run had written {position}; bring the file back from a copy"
