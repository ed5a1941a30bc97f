"""Every problem of every wrong file is found, at its place, and nothing else is."""

from pathlib import Path

import pytest
from wrong_files import ALL_FILES, MESSAGES, MODEL_FILES, POLICY_FILES, RULE_FILES, diagnose, expected, messages

from rules.diagnostics import CODES


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_problems_and_places(path: Path) -> None:
    result, found = diagnose(path)
    said = [f"{p.position.line}:{p.position.column} {p.code} {p.rule_id or '-'}" for p in found]
    assert said == expected(path)
    assert (result is None) == any(problem.is_error for problem in found)
    assert {problem.position.file for problem in found} <= {str(path)}


def test_there_are_enough_files() -> None:
    assert len(RULE_FILES) >= 45
    assert len(POLICY_FILES) >= 10
    assert len(MODEL_FILES) >= 7


def test_messages_are_as_agreed() -> None:
    assert messages().splitlines() == MESSAGES.read_text(encoding="utf-8").splitlines()


def test_every_code_is_shown_by_a_file() -> None:
    shown = {line.split()[1] for path in ALL_FILES for line in expected(path)}
    # E001 and E002 are about files that no YAML can be, W503 is about two files: test_load.py and test_check_tickets.py
    # have them.
    assert set(CODES) - shown == {"E001", "E002", "W503"}


def test_one_line_each() -> None:
    for path in RULE_FILES:
        for problem in diagnose(path)[1]:
            assert "\n" not in str(problem)
