"""The lock file: every package at one version with its hashes, no addresses, and in step with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: str) -> list[str]:
    """The lock's logical lines: continuations joined, comments and blank lines left out."""
    joined = lock.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def problems(lock: str) -> list[str]:
    """What is wrong with a lock file's text."""
    found = [f"an address: {line}" for line in lock.splitlines() if "://" in line]
    for entry in entries(lock):
        name, *hashes = entry.split(" --hash")
        if entry.startswith("-"):
            found.append(f"an option: {entry}")
        elif not re.match(r"[A-Za-z0-9._-]+==[^\s;*]+(\s*;.*)?$", name.strip()):
            found.append(f"not at one version: {name.strip()}")
        elif not hashes or len(HASH.findall(entry)) != len(hashes):
            found.append(f"no hash, or not sha256: {name.strip()}")
    return found


def unmet(lock: str, requirements: list[str]) -> list[str]:
    """Those of `requirements` that the lock does not hold at a version they allow."""
    pinned: dict[str, list[str]] = {}
    for entry in entries(lock):
        requirement = Requirement(entry.split(" --hash")[0])
        pinned.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier)[2:])
    found = []
    for text in requirements:
        wanted = Requirement(text)
        versions = pinned.get(canonicalize_name(wanted.name), [])
        if not versions or not all(wanted.specifier.contains(version, prereleases=True) for version in versions):
            found.append(text)
    return found


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_every_package_has_one_version_and_hashes_and_there_are_no_addresses(lock: str) -> None:
    assert problems(lock) == []


def test_the_lock_holds_what_the_project_requires(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert unmet(lock, required) == [], "run: make lock"


GOOD = f"a==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"


def test_a_good_lock_passes() -> None:
    assert problems(GOOD) == []
    assert unmet(GOOD, ["A>=1", "a"]) == []


@pytest.mark.parametrize(
    "bad",
    [
        "b==1.0\n",
        f"b>=1.0 --hash=sha256:{'0' * 64}\n",
        f"b==1.* --hash=sha256:{'0' * 64}\n",
        "b==1.0 --hash=md5:00\n",
        f"b==1.0 --hash=sha256:{'0' * 64} --hash=sha256:beef\n",
        "--index-url host\n",
        "# from https://host.example/simple\n",
        f"b @ https://host.example/b.whl --hash=sha256:{'0' * 64}\n",
    ],
)
def test_a_bad_line_is_found(bad: str) -> None:
    assert problems(GOOD + bad) != []


@pytest.mark.parametrize("required", ["b", "a>=2"])
def test_a_requirement_that_the_lock_does_not_meet_is_found(required: str) -> None:
    assert unmet(GOOD, [required]) == [required]
