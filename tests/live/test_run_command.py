"""`cem run`: what is wrong is refused before anything starts, with what, where and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

RULES = "version: 1\nrules:\n  - {id: r, trigger: click, then: [{tag: {name: t}}]}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    path = tmp_path / "live.yaml"
    path.write_text(
        "rules: [rules.yaml]\nstate: state\nsource: {bootstrap: 'x:1', topics: {click: [c]}}\n"
        "sinks:\n  clickhouse: {path: database}\n"
    )
    return path


def refused(code: int, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["run", *arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--hosts", "a:1,b:2"], "go together"),
        (["--index", "0"], "go together"),
        (["--hosts", "a:1,b:2", "--index", "2"], "there are 2 hosts"),
        (["--hosts", "a:1,a:1", "--index", "0"], "stands twice"),
        (["--hosts", "a:1,b", "--index", "0"], "'b' is no HOST:PORT"),
        (["--hosts", "a:1,b:0", "--index", "0"], "'b:0' is no HOST:PORT"),
        (["--hosts", "a:1,b:2", "--index", "0", "--workers", "2"], "one address for each process"),
        (["--workers", "9"], "use 1 to 8, or 16"),
        (["--hosts", ",".join(f"h:{port}" for port in range(1, 13)), "--index", "0"], "use 1 to 8, or 16"),
    ],
)
def test_wrong_usage(config: Path, arguments: list[str], expected: str) -> None:
    assert expected in refused(2, "--config", str(config), *arguments)


def test_every_problem_of_the_settings_is_told(tmp_path: Path) -> None:
    path = tmp_path / "live.yaml"
    path.write_text(
        "rules: [r.yaml]\nstate: s\nlatenes: 1s\nsource: {bootstrap: 'x:1', topics: {clicks: [c]}}\nsinks: {}\n"
    )
    told = refused(1, "--config", str(path))
    assert "live.yaml:3:1" in told
    assert "lateness" in told
    assert "clicks" in told
    assert "no sink" in told


def test_rules_are_checked_before_anything_starts(config: Path) -> None:
    (config.parent / "rules.yaml").write_text(RULES.replace("trigger: click", "trigger: clack"))
    told = refused(1, "--config", str(config))
    assert "rules.yaml:3" in told
    assert not (config.parent / "state").exists()


def test_the_embedded_database_is_for_one_process(config: Path) -> None:
    assert "embedded engine can be used by one process only" in refused(1, "--config", str(config), "--workers", "2")
    assert not (config.parent / "state").exists()
