"""What the pages about `cem explain` and `cem backtest` show is what these print over the README's first rule."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def first_rule(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first-rule")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, mark in (("rules.yaml", "RULES"), ("events.ndjson", "EVENTS")):
        (body,) = re.findall(rf"<<'{mark}'\n(.*?)^{mark}$", readme, re.MULTILINE | re.DOTALL)
        (folder / name).write_text(body, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "count"), [("explain", 3), ("backtest", 1)])
def test_the_commands_print_what_is_shown(
    first_rule: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    monkeypatch.chdir(first_rule)
    files = ["--rules", "rules.yaml", "--events", "events.ndjson", "--out", "out", "--state", "state"]
    replayed = CliRunner().invoke(app, ["replay", *files])
    assert replayed.exit_code == 0
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == count
    for block in blocks:
        *before, command, shown = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
        for line in filter(None, before):
            subprocess.run(line, shell=True, check=True)
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
        assert shown.strip()
        assert result.stdout.startswith(shown.rstrip())
