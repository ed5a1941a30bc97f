"""The arguments of calls: keywords, selectors with and without a field, windows, durations."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rules.diagnostics import did_you_mean, nearest, one_of, shown
from rules.durations import DURATION_HINT, duration_hint, parse_duration_ms
from rules.functions import (
    KEYWORDS,
    PERIODS,
    WINDOW_KEYWORDS,
)
from rules.model import (
    STREAMS,
    Selector,
    Window,
)
from rules.parse_names import check_field
from rules.parse_names import selector as selector_of

if TYPE_CHECKING:
    from rules.parse import Bad, Parser


def keywords_of(parser: Parser, node: ast.Call, name: str) -> dict[str, ast.expr]:
    """Keyword -> its value. A word that the function does not have counts as the one that was probably meant."""
    allowed = KEYWORDS.get(name, ())
    result: dict[str, ast.expr] = {}
    for keyword in node.keywords:
        word = str(keyword.arg)
        if word not in allowed:
            takes = f"{name} takes {', '.join(allowed)}" if allowed else f"{name} takes no keywords"
            hint = did_you_mean(word, allowed) or takes
            parser.fail("E301", keyword, f"{name} has no keyword {shown(word)}", hint)
            word = nearest(word, allowed) or next((other for other in allowed if other not in result), word)
        elif word in result:
            code = "E302" if word in WINDOW_KEYWORDS else "E205"
            parser.fail(code, keyword, f"keyword {shown(word)} again")
        result.setdefault(word, keyword.value)
    return {word: value for word, value in result.items() if word in allowed}


def count_is_wrong(parser: Parser, node: ast.Call, name: str, least: int, most: int) -> Bad | None:
    """Reports too few or too many positional arguments; None if their number is right."""
    given = len(node.args)
    if least <= given <= most:
        return None
    wanted = f"{least}" if least == most else f"{least} or more" if most >= 1000 else f"{least} to {most}"
    noun = "argument" if wanted == "1" else "arguments"
    extra = node.args[most] if given > most else node
    window = "last" in KEYWORDS.get(name, ()) and given > most and literal_text(extra)
    hint = f'did you mean `last="{window}"`?' if window else None
    return parser.fail("E205", extra, f"{name} takes {wanted} {noun}, not {given}", hint)


def literal_text(node: ast.expr) -> str | None:
    """The text of a string literal, else None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def bare_selector(parser: Parser, node: ast.expr, name: str) -> Selector | None:
    """The argument of ``name``, which takes a selector without a field."""
    if isinstance(node, ast.Attribute) and stream_of(node) is not None:
        parser.fail("E307", node, f"{name} takes a selector without a field", f"remove `.{node.attr}`")
        return None
    return selector_of(parser, node)


def selector_field(parser: Parser, node: ast.expr, name: str) -> tuple[Selector | None, str]:
    """The argument of ``name``, which takes ``selector.field``."""
    if isinstance(node, ast.Attribute):
        selector = selector_of(parser, node.value)
        if selector is not None:
            check_field(parser, node, selector.stream, node.attr)
        return selector, node.attr
    stream = stream_of(node)
    if stream is not None:
        parser.fail("E307", node, f"{name} needs a field of the selector", f"write {name}({stream}[…].field)")
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
        selector_of(parser, node)
    else:
        hint = f"write {name}(stream.field) or {name}(stream[condition].field)"
        if name in ("min", "max"):
            hint += ", or give two or more values"
        parser.fail("E307", node, f"{name} with one argument needs a selector's field", hint)
    return None, ""


def stream_of(node: ast.expr) -> str | None:
    """The stream of ``stream``, ``stream[…]`` and the same with a field behind."""
    if isinstance(node, ast.Attribute):
        node = node.value
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) and node.id in STREAMS else None


def window_of(parser: Parser, keywords: dict[str, ast.expr]) -> Window | None:
    """The window that the keywords give; None after an error."""
    given = [word for word in WINDOW_KEYWORDS if word in keywords]
    if not given:
        return Window("ever")
    if len(given) > 1:
        parser.fail("E302", keywords[given[1]], f"more than one window: {' and '.join(given)}")
        return None
    kind = given[0]
    if kind == "this":
        period = period_of(parser, keywords["this"], "this")
        return None if period is None else Window("this", period=period, timezone=parser.scope.timezone)
    size_ms = duration_of(parser, keywords[kind], kind)
    return None if size_ms is None else Window(kind, size_ms=size_ms)


def duration_of(parser: Parser, node: ast.expr, word: str) -> int | None:
    """The milliseconds of the literal behind keyword ``word``; None after an error."""
    text = literal_text(node)
    size_ms = None if text is None else parse_duration_ms(text)
    if text is not None and size_ms is None:
        parser.fail("E308", node, f"{shown(text)} is no duration", duration_hint(text))
    elif size_ms is None:
        parser.fail("E308", node, f"{word} is not a duration in quotes", DURATION_HINT)
    elif size_ms == 0:
        parser.warn("W308", node, "a window of no length holds no events")
    return size_ms


def required_duration(
    parser: Parser, node: ast.Call, keywords: dict[str, ast.expr], name: str, word: str
) -> int | None:
    """The same for a keyword that must be there."""
    if word not in keywords:
        parser.fail("E303", node, f"{name} needs a window", f'such as {word}="7d"')
        return None
    return duration_of(parser, keywords[word], word)


def period_of(parser: Parser, node: ast.expr, word: str) -> str | None:
    """``day``, ``week`` or ``month``; None after an error."""
    text = literal_text(node)
    if text not in PERIODS:
        parser.fail("E308", node, f"{word} is not a calendar period", one_of(f'"{period}"' for period in PERIODS))
        return None
    return text


def per_of(parser: Parser, node: ast.expr, selector: Selector | None) -> str | None:
    """The field behind ``per=``; None after an error."""
    text = literal_text(node)
    if text is None or not text.isidentifier():
        parser.fail("E304", node, "per is not the name of a field in quotes", 'such as per="device_id"')
        return None
    if selector is not None:
        check_field(parser, node, selector.stream, text, entity=True)
    return text
