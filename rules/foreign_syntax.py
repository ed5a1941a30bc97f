"""Habits from SQL and other languages in an expression that does not parse, with what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rules.durations import DURATION_HINT, parse_duration_ms

_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<number>\.?\d[\w.]*)|(?P<word>\w+)"""
    r"""|(?P<sign>&&|\|\||<>|[=!]==|=[<>]|[<>=!]=|[^\w\s])"""
)
_DURATION = re.compile(r"(?:\d+(?:ms|s|m|h|d|w))+", re.IGNORECASE)
_KEYWORDS = frozenset(["and", "or", "not", "in", "is", "if", "else", "for", "lambda"])
_SIGNS = {
    "&&": "and",
    "||": "or",
    "<>": "!=",
    "===": "==",
    "!==": "!=",
    "=<": "<=",
    "=>": ">=",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
}
_BETWEEN = {  # words that stand between two operands
    "and": "write `and`",
    "or": "write `or`",
    "in": "write `in`",
    "not": "write `not`",
    "is": "write `is_null(…)` or `==`",
    "like": 'write `"…" in field`, startswith(…), endswith(…) or matches(…)',
    "ilike": 'write `"…" in lower(field)`',
    "rlike": "write matches(…)",
    "contains": 'write `"…" in field`',
    "includes": 'write `"…" in field`',
    "startswith": 'write startswith(field, "…")',
    "endswith": 'write endswith(field, "…")',
    "matches": 'write matches(field, "…")',
    "where": "a condition stands in brackets: stream[condition]",
    "between": "write `low <= value <= high`",
    "eq": "write `==`",
    "equals": "write `==`",
    "ne": "write `!=`",
    "gt": "write `>`",
    "gte": "write `>=`",
    "ge": "write `>=`",
    "lt": "write `<`",
    "lte": "write `<=`",
    "le": "write `<=`",
    "last": 'a window is a keyword behind a comma: last="7d"',
    "over": 'a window is a keyword behind a comma: last="7d"',
    "per": 'write per="field" behind a comma',
    "by": 'write per="field" behind a comma',
}


@dataclass(frozen=True, slots=True)
class ForeignSyntax:
    """``offset`` is a character of the expression."""

    offset: int
    message: str
    hint: str


def foreign_syntax(text: str) -> ForeignSyntax | None:
    """The first thing in ``text``, which does not parse, that other languages have and this one has not."""
    tokens = list(_TOKEN.finditer(text))
    for number, token in enumerate(tokens):
        before = tokens[number - 1] if number else None
        after = tokens[number + 1] if number + 1 < len(tokens) else None
        found = None
        if token["sign"] in _SIGNS:
            found = f"{_quoted(token)} is not part of the language", f"write `{_SIGNS[token['sign']]}`"
        elif token["number"] and _DURATION.fullmatch(token[0]):
            found = f"{_quoted(token)} is no number", _duration_hint(tokens, number)
        elif token["word"] and _is_foreign_word(token, before, after):
            found = f"{_quoted(token)} is not part of the language", _BETWEEN[token[0].lower()]
        if found is not None:
            return ForeignSyntax(token.start(), *found)
    return None


def _quoted(token: re.Match[str]) -> str:
    return f"`{token[0]}`"


def _duration_hint(tokens: list[re.Match[str]], number: int) -> str:
    text = tokens[number][0].lower()
    if parse_duration_ms(text) is None:
        return f"a duration is {DURATION_HINT}, in quotes"
    if number >= 2 and tokens[number - 1][0] == "=" and tokens[number - 2]["word"]:
        return f'write {tokens[number - 2][0]}="{text}"'
    return f'a duration is written in quotes, as a number of seconds it is seconds("{text}")'


def _is_foreign_word(token: re.Match[str], before: re.Match[str] | None, after: re.Match[str] | None) -> bool:
    """Whether a word stands where no name can: next to an operand, with an operand or operator's word behind it."""
    word = token[0].lower()
    if word not in _BETWEEN or token[0] in _KEYWORDS or after is None:
        return False
    if after["sign"] and after[0] not in ("(", "[", "-"):
        return False
    if before is not None and _ends_operand(before):
        return True
    # `NOT x`; `not like x`; a call of a function is no foreign word.
    return (word == "not" or (before is not None and before[0] == "not")) and not after["sign"]


def _ends_operand(token: re.Match[str]) -> bool:
    if token["word"]:
        return token[0] not in _KEYWORDS
    return not token["sign"] or token[0] in (")", "]")
