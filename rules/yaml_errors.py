"""What to say of YAML that does not parse: where the mistake probably is, and what to write.

YAML's own parser often notices a mistake only lines after it, and names its own rules instead of the writer's slip.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.tokens import FlowMappingEndToken, FlowSequenceEndToken, ScalarToken

from rules.diagnostics import shown

QUOTES_HINT = "put an expression that holds : , # [ ] { or } in quotes"

_INDENT = re.compile(r"[ ]*")
_KEY_COLUMN = re.compile(r"[ ]*(?:-[ ]+)*")
_WIDE_COLON = re.compile(r"[ ]*(?:-[ ]+)*(?:[\w-]+)[ ]*(：)")
_NO_SPACE = re.compile(r"[ ]*(?:-[ ]+)*([\w-]+):(\S.*)")
_ONLY_A_KEY = re.compile(r"[ ]*(?:-[ ]+)*[\w-]+[ ]*")
_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'')
_WIDE_IN_BRACES = {"，": ",", "：": ":", "［": "[", "］": "]", "｛": "{", "｝": "}"}


@dataclass(frozen=True, slots=True)
class YamlMistake:
    """``offset`` is a character of the text."""

    offset: int
    message: str
    hint: str | None = None


def explain(error: MarkedYAMLError, text: str) -> YamlMistake:
    """The likeliest mistake in ``text`` behind ruamel's ``error``."""
    mark = error.problem_mark or error.context_mark
    at = min(mark.index, len(text)) if mark is not None else 0
    seen = _Seen(text, at, error.context_mark.index if error.context_mark is not None else None, str(error.problem))
    context = str(error.context)
    if "quoted scalar" in context and "end of stream" in seen.problem and seen.opened is not None:
        return YamlMistake(seen.opened, "this quote is never closed", "write the same quote where the text ends")
    if "unknown escape character" in seen.problem:
        hint = "in double quotes write \\\\ for a backslash, or use single quotes"
        return YamlMistake(at, f"a backslash in double quotes: {seen.problem.removeprefix('found ')}", hint)
    wide = _wide_punctuation(seen, "flow" in context)
    if wide is not None:
        return wide
    if "could not find expected ':'" in seen.problem:
        return _no_colon(seen)
    if "mapping values are not allowed" in seen.problem:
        found = _too_deep(seen)
    elif "flow" in context:
        found = _in_braces(seen)
    elif "expected <block end>" in seen.problem or "<document start>" in seen.problem:
        found = _behind_value(seen) or _indented(seen)
    else:
        found = None
    return found or YamlMistake(at, _own_message(error), _own_hint(seen.problem))


@dataclass(frozen=True, slots=True)
class _Seen:
    """An error at ``at`` in ``text``; ``opened`` is where the construct that it is in begins."""

    text: str
    at: int
    opened: int | None
    problem: str

    def line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def line(self, offset: int) -> str:
        end = self.text.find("\n", offset)
        return self.text[self.line_start(offset) : end if end >= 0 else len(self.text)]

    def number(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1

    def line_above(self, offset: int) -> int | None:
        """The start of the nearest line above that holds more than a comment."""
        start = self.line_start(offset)
        while start > 0:
            start = self.line_start(start - 1)
            content = self.line(start).strip()
            if content and not content.startswith("#"):
                return start
        return None


def _wide_punctuation(seen: _Seen, in_braces: bool) -> YamlMistake | None:
    """A full-width character where YAML needs the ASCII one: it is text, and the error comes later."""
    line_at = seen.line_start(seen.at)
    for start in dict.fromkeys((seen.line_start(seen.opened or 0), seen.line_above(seen.at), line_at)):
        match = _WIDE_COLON.match(seen.line(start)) if start is not None else None
        if match is not None and start is not None:
            return _wide(start + match.start(1), "：", ":")
    if in_braces:
        line = _QUOTED.sub(lambda match: " " * len(match[0]), seen.line(line_at))
        for column, char in enumerate(line):
            if char in _WIDE_IN_BRACES:
                return _wide(line_at + column, char, _WIDE_IN_BRACES[char])
    return None


def _wide(offset: int, char: str, plain: str) -> YamlMistake:
    more = " and a space" if plain in ":," else ""
    return YamlMistake(offset, f"`{char}` (U+{ord(char):04X}) is a full-width character", f"write `{plain}`{more}")


def _no_colon(seen: _Seen) -> YamlMistake:
    """A line that must be ``key: value`` and is not."""
    start = seen.opened if seen.opened is not None else seen.at
    match = _NO_SPACE.match(seen.line(start))
    if match is not None:
        offset = seen.line_start(start) + match.end(1)
        return YamlMistake(offset, "there is no space behind this colon", f"write {shown(f'{match[1]}: {match[2]}')}")
    return YamlMistake(start, "this line is no `key: value`", "write `: ` behind the key")


def _too_deep(seen: _Seen) -> YamlMistake | None:
    """A key that is indented more than the ``key: value`` above it, and so reads as more of that value."""
    start = seen.line_start(seen.at)
    if _ONLY_A_KEY.fullmatch(seen.text[start : seen.at]) is None:
        return None
    return _indented(seen)


def _indented(seen: _Seen) -> YamlMistake | None:
    """A line that begins in no column where one of its kind may."""
    start, above = seen.line_start(seen.at), seen.line_above(seen.at)
    kinds = ("mapping values", "mapping start", "sequence start", "'?'", "'-'")
    first = not seen.text[start : seen.at].strip()
    if above is None or not (any(kind in seen.problem for kind in kinds) or (first and "<scalar>" in seen.problem)):
        return None
    line, line_above = seen.line(start), seen.line(above)
    column = _width(_INDENT, line)
    column_above = _width(_INDENT if line.lstrip().startswith("-") else _KEY_COLUMN, line_above)
    if line_above.lstrip().startswith("- ") and column == _width(_INDENT, line_above):
        return YamlMistake(
            start + column,
            "a key in the place of a list entry",
            "indent it like the keys that it belongs to, or begin it with `- `",
        )
    if column == column_above:
        return None
    hint = f"line {seen.number(above)} begins in column {column_above + 1}, this one in column {column + 1}"
    return YamlMistake(start + column, "this line is indented differently from the line above it", hint)


def _width(pattern: re.Pattern[str], line: str) -> int:
    match = pattern.match(line)
    return match.end() if match is not None else 0


def _in_braces(seen: _Seen) -> YamlMistake | None:
    """A mistake inside ``{…}`` or ``[…]``."""
    opened = seen.opened if seen.opened is not None else seen.at
    brace = seen.text[opened : opened + 1]
    if "<stream end>" in seen.problem and brace in ("{", "["):
        return YamlMistake(opened, f"this `{brace}` is never closed", QUOTES_HINT)
    behind = _behind_value(seen)
    if behind is not None:
        return behind
    if seen.number(opened) < seen.number(seen.at):
        what = f"the `{brace}` of line {seen.number(opened)} is not closed before this"
        return YamlMistake(seen.at, what, QUOTES_HINT)
    return None


def _behind_value(seen: _Seen) -> YamlMistake | None:
    """Text behind a closing quote or brace: YAML took the value to end there."""
    token = _token_before(seen)
    if token is None or "<block mapping" in seen.problem or "<block sequence" in seen.problem:
        return None
    start, end = token.start_mark.index, token.end_mark.index
    in_braces = "','" in seen.problem
    if isinstance(token, ScalarToken) and token.style in ("'", '"'):
        if seen.number(start) < seen.number(end):
            message = f"this quote is closed only on line {seen.number(end)}"
            return YamlMistake(start, message, "write the same quote where the text ends")
        if seen.number(end) == seen.number(seen.at):
            return _behind_quote(seen, start, end, in_braces)
    elif isinstance(token, FlowMappingEndToken | FlowSequenceEndToken) and seen.number(end) == seen.number(seen.at):
        char = seen.text[seen.at : seen.at + 1]
        if char in ("]", "}"):
            return YamlMistake(seen.at, f"a `{char}` too many", QUOTES_HINT)
        if not in_braces:
            begin = "{" if isinstance(token, FlowMappingEndToken) else "["
            hint = f"put a text that begins with {begin} in quotes as a whole"
            return YamlMistake(seen.at, f"text behind the closing `{seen.text[start]}`", hint)
    elif seen.text[seen.at : seen.at + 1] in ("]", "}") and not in_braces:
        return YamlMistake(seen.at, f"a `{seen.text[seen.at]}` too many", QUOTES_HINT)
    return None


def _behind_quote(seen: _Seen, start: int, end: int, in_braces: bool) -> YamlMistake | None:
    quote = seen.text[start]
    other = "'" if quote == '"' else '"'
    value = seen.line(start)[start - seen.line_start(start) :].rstrip()
    if not seen.text[end : end + 1].isspace():
        inner = value[1:-1] if value.endswith(quote) else value[1:]
        simple = not in_braces and other not in inner
        hint = f"write {other}{inner}{other}" if simple else f"inside {quote}…{quote} write the other quote {other}"
        return YamlMistake(seen.at, "text behind the closing quote", hint)
    example = value if not in_braces and "'" not in value and len(value) < 100 else '"x" in click.page'
    hint = f"an expression that begins with a quote must be quoted as a whole: '{example}'"
    return YamlMistake(seen.at, "text behind the closing quote", hint)


def _token_before(seen: _Seen) -> Any:
    """ruamel's last token that ends before the error."""
    found = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for token in YAML(typ="safe", pure=True).scan(seen.text):
                if token.end_mark.index > seen.at or token.start_mark.index >= seen.at:
                    break
                if token.end_mark.index > token.start_mark.index:
                    found = token
    except YAMLError:
        return found
    return found


def _own_message(error: MarkedYAMLError) -> str:
    parts = [str(part) for part in (error.context, error.problem) if part]
    return " ".join(": ".join(parts).split()) or "not well-formed YAML"


def _own_hint(problem: str) -> str | None:
    if "mapping values" in problem or "expected ',' or" in problem or "flow" in problem:
        return QUOTES_HINT
    if "undefined alias" in problem:
        return "put text that begins with * in quotes"
    if "sequence entries" in problem:
        return "a list begins on the line below its key"
    if "cannot start any token" in problem:
        return "indent with spaces; put text that begins with such a character in quotes"
    return None
