"""What ``cem rules check`` prints and returns."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

RULES = "version: 1\nrules:\n  - {id: a, trigger: click%s, then: [{tag: {}}]}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(RULES % "", encoding="utf-8")
    (tmp_path / "bad.yaml").write_text(RULES % ", when: x", encoding="utf-8")
    (tmp_path / "policy.yaml").write_text("version: 1\ncaps: []\n", encoding="utf-8")
    (tmp_path / "bad-policy.yaml").write_text("version: 1\nholdout: {percent: 101}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "places", "summary"),
    [
        ("good.yaml", 0, [], "1 rule, 0 errors, 0 warnings"),
        ("bad.yaml", 1, ["bad.yaml:3:35: E203"], "no rules loaded, 1 error, 0 warnings"),
        ("--policy policy.yaml", 0, [], "0 errors, 0 warnings"),
        ("--policy bad-policy.yaml", 1, ["bad-policy.yaml:2:20: E501"], "1 error, 0 warnings"),
        ("good.yaml --policy bad-policy.yaml", 1, ["bad-policy.yaml:2:20: E501"], "1 rule, 1 error, 0 warnings"),
        ("policy.yaml", 1, ["policy.yaml:1:1: E103"], "no rules loaded, 1 error, 0 warnings"),
        ("--policy good.yaml", 1, ["good.yaml:2:1: E102"], "1 error, 0 warnings"),
    ],
)
def test_problems_summary_and_exit_code(
    folder: Path, arguments: str, code: int, places: list[str], summary: str
) -> None:
    result = CliRunner().invoke(app, ["rules", "check", *arguments.split()])
    assert result.exit_code == code
    assert [line[: len(place)] for line, place in zip(result.stdout.splitlines(), places, strict=True)] == places
    assert result.stderr == summary + "\n"


def test_nothing_to_check_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["rules", "check"]).exit_code == 2


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("cem ")
