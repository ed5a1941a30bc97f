"""The packages import one another in one direction only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ALLOWED: dict[str, frozenset[str]] = {
    "config": frozenset(),
    "rules": frozenset(),
    "state": frozenset(),
    "operators": frozenset({"config", "rules", "state"}),
    "sinks": frozenset({"config"}),
    "flows": frozenset({"config", "rules", "state", "operators", "sinks"}),
}
"""What each package may import of ours, besides itself."""

OURS = frozenset(ALLOWED) | {"benchmarks", "tests"}


def imported_modules(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module name) of everything that a module of `package` imports, wherever it stands.

    `package` is the dotted package the module lives in, against which relative imports are resolved. Imports by a
    literal name (`import_module("flows.live")`) are found, computed names are not.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=module, level=0):
                yield node.lineno, module or ""
            case ast.ImportFrom(module=module, level=level, names=names):
                parts = package.split(".")
                base = parts[: len(parts) - (level - 1)]
                tails = [module] if module else [alias.name for alias in names]
                for tail in tails:
                    yield node.lineno, ".".join([*base, tail])
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def violations(root: Path) -> list[str]:
    """Every forbidden import under `root`, as `file:line: package imports module`."""
    found = []
    for package, allowed in ALLOWED.items():
        for path in sorted((root / package).rglob("*.py")):
            dotted = ".".join(path.relative_to(root).parent.parts)
            for line, module in imported_modules(path.read_text(encoding="utf-8"), dotted):
                top = module.partition(".")[0]
                if top in OURS and top != package and top not in allowed:
                    found.append(f"{path.relative_to(root).as_posix()}:{line}: {package} imports {module}")
    return found


def test_packages_import_only_what_they_may() -> None:
    assert violations(ROOT) == []


def test_every_package_has_an_import_rule() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"benchmarks"} == set(ALLOWED)


def test_the_import_rules_have_no_cycle() -> None:
    remaining = dict(ALLOWED)
    while remaining:
        leaves = {name for name, allowed in remaining.items() if not allowed & remaining.keys()}
        assert leaves, f"a cycle among {sorted(remaining)}"
        remaining = {name: allowed for name, allowed in remaining.items() if name not in leaves}


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("rules/a.py", "import state", "rules/a.py:1: rules imports state"),
        ("state/a.py", "import json\nfrom rules.model import Expr", "state/a.py:2: state imports rules.model"),
        ("config/a.py", "import os, flows.cli", "config/a.py:1: config imports flows.cli"),
        ("sinks/deep/a.py", "def f():\n    from operators import x", "sinks/deep/a.py:2: sinks imports operators"),
        ("operators/a.py", "if TYPE_CHECKING:\n    import sinks", "operators/a.py:2: operators imports sinks"),
        ("operators/a.py", "import_module('flows.live')", "operators/a.py:1: operators imports flows.live"),
        ("flows/a.py", "from benchmarks import run", "flows/a.py:1: flows imports benchmarks"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, source: str, expected: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    assert violations(tmp_path) == [expected]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("rules/a.py", "from rules.model import Expr\nfrom .model import Literal\nfrom . import model"),
        ("rules/deep/a.py", "from .. import state\nfrom ..state import x"),  # rules.state, a module of its own
        ("operators/a.py", "import config, rules, state, numpy"),
        ("sinks/a.py", "from config import settings"),
        ("flows/a.py", "import config, rules, state, operators, sinks"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    assert violations(tmp_path) == []
