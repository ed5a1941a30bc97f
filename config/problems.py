"""What is wrong with a settings file, and where; every problem is collected before any is reported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and column of a text file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: where, what, and what to do about it."""

    file: str
    place: Place
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.place.line}:{self.place.column}: {self.message}{tail}"


class SettingsError(ValueError):
    """A settings file that cannot be used; the message is one line for every problem, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.place))
        super().__init__("\n".join(map(str, self.problems)))


class EnvText(str):
    """Text that came from the environment: its type is what the setting asks for, and no message shows it."""

    __slots__ = ()


def shown(text: str, limit: int = 60) -> str:
    """``text`` in backquotes for a message: one line, control characters escaped, cut to ``limit``."""
    clean = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: limit + 1])
    return f"`{clean[:limit]}…`" if len(text) > limit else f"`{clean}`"


def describe(value: Any, secret: bool = False) -> str:
    """What ``value`` is, in words for a message; a secret one, or one of the environment, without what it holds."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    kind = "boolean" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "text"
    if secret or (isinstance(value, str) and "@" in value):  # an address in the wrong place may hold a password
        return f"a {kind} (not shown)"
    if isinstance(value, EnvText):
        return "the text of the environment variable (not shown)"
    return f"the {kind} {shown(str(value).lower() if isinstance(value, bool) else str(value))}"


def nearest_hint(word: str, known: Iterable[str]) -> str:
    """``did you mean `x`?`` for the known word that ``word`` is near to, otherwise all known words."""
    names = list(known)
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else "one of " + ", ".join(names)
