"""Worked cases: a YAML file with `rules`, `policy`, `partitions` of lines, `options` and what they must `expect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.reference.generate import Case
from tests.reference.rules import load_yaml

FOLDER = Path(__file__).parent.parent / "cases"
FILES = sorted(FOLDER.glob("*.yaml"))
OPTIONS = {"lateness": "lateness_ms", "dedup": "dedup_ms", "until": "until_ms"}


def load_worked(path: Path) -> tuple[Case, dict[str, Any]]:
    """The case and its `expect`: the decisions and the counts, of which a missing one is 0."""
    content = load_yaml(path.read_text(encoding="utf-8"))
    options = {OPTIONS[name]: value for name, value in (content.get("options") or {}).items()}
    partitions = [[line.encode("utf-8") for line in part] for part in content["partitions"]]
    return Case([content["rules"]], content.get("policy"), partitions, options), content["expect"]
