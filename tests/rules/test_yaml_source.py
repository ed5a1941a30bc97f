"""YAML scalars by the core schema, and the places of their characters."""

import math
from pathlib import Path

import pytest

from rules.diagnostics import Problems
from rules.yaml_scalars import resolve_plain
from rules.yaml_source import Map, Scalar, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("on", "on"),
        ("12", 12),
        ("-0", 0),
        ("+5", 5),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0x1F", "-0x1F"),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        (".inf", math.inf),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("09:30", "09:30"),
        ("１２", "１２"),
        ("<<", "<<"),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    got = resolve_plain(text)
    assert (type(got), got) == (type(value), value)


def read(tmp_path: Path, text: str) -> dict[str, Scalar]:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    root = read_yaml(path, problems)
    assert problems.found == []
    assert isinstance(root, Map)
    return {key: value for key, (_, value) in root.entries.items() if isinstance(value, Scalar)}


def test_quoted_and_tagged_scalars_are_text(tmp_path: Path) -> None:
    got = read(tmp_path, "a: '1'\nb: \"null\"\nc: !!str 5\nd: ! true\ne: !!float 3\nf: |\n  7\n")
    assert [got[key].value for key in "abcdef"] == ["1", "null", "5", "true", 3.0, "7\n"]
    assert type(got["e"].value) is float


def test_surrogate_pairs_are_one_character(tmp_path: Path) -> None:
    assert read(tmp_path, 'a: "\\ud83d\\ude00x"')["a"].value == "😀x"


@pytest.mark.parametrize(
    ("yaml", "find", "line", "column"),
    [
        ("a: 提前 bogus", "bogus", 1, 7),
        ("a:   'it''s bogus'", "bogus", 1, 13),
        ('a: "\\u0041\\x41\\t\\\\ bogus"', "bogus", 1, 20),
        ('a: "\\ud83d\\ude00 bogus"', "bogus", 1, 18),
        ('a: "x\\\n   y bogus"', "bogus", 2, 6),
        ("a: one\n  two bogus", "bogus", 2, 7),
        ("a: 'one\n\n  two bogus'", "bogus", 3, 7),
        ("a: |\n  one\n  two bogus", "bogus", 3, 7),
        ("a: |\n  one\n    two bogus", "bogus", 3, 9),
        ("a: |-\n\n  one\n\n  bogus", "bogus", 5, 3),
        ("a: >\n  one\n  two bogus\n\n  x", "bogus", 3, 7),
        ("a: > # comment\n  bogus", "bogus", 2, 3),
        ("a: &x !!str bogus", "bogus", 1, 13),
        ("a: &x\n  bogus", "bogus", 2, 3),
        ("a: 😀 bogus", "bogus", 1, 6),
        ("a: x  y bogus", "bogus", 1, 9),
    ],
)
def test_place_of_a_character(tmp_path: Path, yaml: str, find: str, line: int, column: int) -> None:
    scalar = read(tmp_path, yaml)["a"]
    place = scalar.place_of(scalar.value.index(find))
    assert (place.line, place.column) == (line, column)
