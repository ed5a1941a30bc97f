"""Habits that no linter holds: lengths, docstrings, and nothing of anybody's own machine in the tree.

A module or function that has to be longer says so: `# length: the reason`, in the first lines of the module or on the
lines of the `def`.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("flows", "operators", "rules", "sinks", "state", "config", "benchmarks")

MODULE_MAX_LINES = 300
FUNCTION_MAX_LINES = 70
HEAD_LINES = 5
EXEMPTION = re.compile(r"#\s*length:\s*\S{2,}")

# Spelled apart, so that this file is not its own finding.
MACHINE_PATH = re.compile(
    r"(?<![\w.\-])(?:"
    + "|".join(["/wor" + "k/", "/tmp/" + "w/", "/ho" + r"me/\w", "/Us" + r"ers/\w", "/ro" + "ot/"])
    + ")"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def repository_files(root: Path) -> list[Path]:
    """The files of the repository: what git tracks or would; without git, the folders that we know."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
        paths = [root / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [
            *root.glob("*"),
            *(path for name in (*CODE, "tests", "docs", ".ci") for path in (root / name).rglob("*")),
        ]
        paths = [path for path in paths if "__pycache__" not in path.parts]
    return sorted(path for path in paths if path.is_file())


def long_modules(source: str) -> Iterator[str]:
    """Yield a finding if the module is over the limit and does not say why."""
    lines = source.splitlines()
    if len(lines) > MODULE_MAX_LINES and not any(EXEMPTION.search(line) for line in lines[:HEAD_LINES]):
        yield f"1: {len(lines)} lines, at most {MODULE_MAX_LINES}"


def long_functions(source: str) -> Iterator[str]:
    """Yield a finding for each function over the limit that does not say why; its docstring does not count."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Function):
            continue
        assert node.end_lineno is not None
        length = node.end_lineno - node.lineno + 1
        first = node.body[0]
        if ast.get_docstring(node, clean=False) is not None and first.end_lineno is not None:
            length -= first.end_lineno - first.lineno + 1
        head = lines[node.lineno - 1 : max(node.lineno, first.lineno - 1)]
        if length > FUNCTION_MAX_LINES and not any(EXEMPTION.search(line) for line in head):
            yield f"{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_MAX_LINES}"


def undocumented(source: str) -> Iterator[str]:
    """Yield a finding for each public class or function of the module's top level without a docstring.

    A variant of a class of the same module may leave its meaning to the documented base.
    """
    body = ast.parse(source).body
    documented = {node.name for node in body if isinstance(node, ast.ClassDef) and ast.get_docstring(node)}
    for node in body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_") or ast.get_docstring(node):
            continue
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id in documented for b in node.bases):
            continue
        if any("overload" in ast.unparse(decorator) for decorator in node.decorator_list):
            continue
        yield f"{node.lineno}: {node.name} has no docstring"


def machine_paths(text: str) -> Iterator[str]:
    """Yield a finding for each line that names a folder of somebody's own machine."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := MACHINE_PATH.search(line):
            yield f"{number}: names {found.group()}"


def findings(paths: list[Path], check: Callable[[str], Iterator[str]]) -> list[str]:
    """What `check` says about each file, as `file:line: finding`; files that are not UTF-8 are skipped."""
    found = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT).as_posix()}:{finding}" for finding in check(text)]
    return found


@pytest.fixture(scope="module")
def modules() -> list[Path]:
    paths = repository_files(ROOT)
    return [path for path in paths if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE]


def test_the_modules_are_found(modules: list[Path]) -> None:
    assert ROOT / "rules" / "model.py" in modules


@pytest.mark.parametrize("check", [long_modules, long_functions, undocumented])
def test_modules(modules: list[Path], check: Callable[[str], Iterator[str]]) -> None:
    assert findings(modules, check) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert findings(repository_files(ROOT), machine_paths) == []


def function(body_lines: int, head: str = "def f():", docstring_lines: int = 0) -> str:
    docstring = ['    """' + "\n" * (docstring_lines - 1) + '"""'] if docstring_lines else []
    return "\n".join([head, *docstring, *["    x = 1"] * body_lines]) + "\n"


@pytest.mark.parametrize(
    ("check", "source", "count"),
    [
        (long_modules, "x = 1\n" * 300, 0),
        (long_modules, "x = 1\n" * 301, 1),
        (long_modules, "# length: one table\n" + "x = 1\n" * 300, 0),
        (long_modules, "# length:\n" + "x = 1\n" * 300, 1),
        (long_modules, "x = 1\n" * 300 + "# length: too far down\n", 1),
        (long_functions, function(69), 0),
        (long_functions, function(70), 1),
        (long_functions, function(69, docstring_lines=9), 0),
        (long_functions, function(70, docstring_lines=9), 1),
        (long_functions, function(70, head="async def f():"), 1),
        (long_functions, function(70, head="def f():  # length: one kernel"), 0),
        (long_functions, function(70, head="def f(\n    a,\n):  # length: one kernel"), 0),
        (long_functions, "class A:\n" + "\n".join("    " + line for line in function(70).splitlines()), 1),
        (undocumented, "def f(): ...", 1),
        (undocumented, "class A: ...", 1),
        (undocumented, "def _f(): ...\nclass _A: ...", 0),
        (undocumented, "def f():\n    'What it is.'\nclass A:\n    'What it is.'\n    def method(self): ...", 0),
        (undocumented, "class A:\n    'What it is.'\nclass B(A): ...", 0),
        (undocumented, "class B(Elsewhere): ...", 1),
        (machine_paths, "see " + "/wor" + "k/notes", 1),
        (machine_paths, "x = '" + "/ho" + "me/ann/x'", 1),
        (machine_paths, "see frame" + "/wor" + "k/notes and https://host.example" + "/ho" + "me/x", 0),
    ],
)
def test_the_checks_tell_good_from_bad(check: Callable[[str], Iterator[str]], source: str, count: int) -> None:
    assert len(list(check(source))) == count
