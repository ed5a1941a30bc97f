"""``${NAME}`` and ``${NAME:-default}`` in the texts of a settings file."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|)")


class EnvironmentVariableError(ValueError):
    """A reference that has no value or is malformed; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def has_references(text: str) -> bool:
    """Whether ``text`` refers to the environment."""
    return "${" in text


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with the values of the variables it names; ``$${`` stands for ``${`` itself.

    As in a shell, a default is for a variable that is unset or empty.

    >>> substitute("${HOST:-localhost}:${PORT} $${x}", {"PORT": "9092"})
    'localhost:9092 ${x}'

    Raises
    ------
    EnvironmentVariableError
        A variable is unset and has no default, or a ``${`` is no reference.
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, has_default, default = match[1], match[2] is not None, match[3]
        if name is None:
            raise EnvironmentVariableError(
                "`${` does not begin a reference",
                "write ${NAME} or ${NAME:-default}; $${ for the characters themselves",
            )
        found = environment.get(name)
        if has_default:
            return found or default
        if found is None:
            raise EnvironmentVariableError(
                f"the environment variable `{name}` is not set", f"set it, or write ${{{name}:-default}}"
            )
        return found

    return _VARIABLE.sub(value, text)
