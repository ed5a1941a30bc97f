"""Name the installed packages that the engine does not need to run: what the lock holds for tests, types and style.

The lock is one file for developers and images, so that both run the same versions. Usage, while the image is built:

    python deploy/image/keep_runtime.py pyproject.toml | xargs --no-run-if-empty pip uninstall --yes
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(requirements: list[str]) -> set[str]:
    """Names of the packages that these requirements lead to, themselves included."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            if (name, wanted) in found:
                continue
            found.add((name, wanted))
            try:
                further = distribution(name).requires or []
            except PackageNotFoundError:
                continue  # for another platform
            waiting += [(Requirement(text), wanted) for text in further]
    return {name for name, _ in found}


def superfluous(pyproject: Path) -> list[str]:
    """Installed packages that the project of ``pyproject`` does not need to run, by name; pip is kept."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    keep = needed(project["dependencies"]) | {"pip", canonicalize_name(project["name"])}
    return sorted({canonicalize_name(found.metadata["Name"]) for found in distributions()} - keep)


if __name__ == "__main__":
    print("\n".join(superfluous(Path(sys.argv[1]))))
