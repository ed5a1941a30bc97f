"""Calls: scalar functions, aggregates and their windows."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

import re2  # type: ignore[import-untyped]

from rules.diagnostics import did_you_mean, one_of, shown
from rules.durations import DURATION_HINT, parse_duration_ms
from rules.functions import (
    AGGREGATES,
    ALL,
    KEYWORDS,
    PERIODS,
    SCALARS,
    SELECTOR_FUNCTIONS,
    STREAK_AGGREGATES,
    WINDOW_KEYWORDS,
    WINDOWED,
    ZONED,
)
from rules.model import (
    STREAMS,
    Age,
    Aggregate,
    Arithmetic,
    Call,
    Compare,
    Expr,
    Latest,
    Literal,
    Novel,
    Rises,
    Score,
    Selector,
    Sequence,
    Streak,
    Unary,
    Window,
)

if TYPE_CHECKING:
    from rules.parse import Bad, Parser

_RE2_OPTIONS = re2.Options()
_RE2_OPTIONS.log_errors = False


def call(parser: Parser, node: ast.Call) -> Expr:
    """The node for a call of any function."""
    if not isinstance(node.func, ast.Name):
        return parser.fail("E202", node, "only functions can be called", _method_hint(node.func))
    name = node.func.id
    if name not in ALL:
        known = SELECTOR_FUNCTIONS if parser.stream is not None else ALL
        return parser.fail("E204", node, f"unknown function {shown(name)}", did_you_mean(name, sorted(known)))
    starred: list[ast.expr] = [arg for arg in node.args if isinstance(arg, ast.Starred)]
    if starred or any(keyword.arg is None for keyword in node.keywords):
        return parser.fail("E202", starred[0] if starred else node, "`*` in a call is not part of the language")
    if parser.stream is not None and name not in SELECTOR_FUNCTIONS:
        what = "aggregates" if name in AGGREGATES and len(node.args) < 2 else f"`{name}`"
        hint = "in brackets: " + ", ".join(sorted(SELECTOR_FUNCTIONS))
        return parser.fail("E210", node, f"a selector can't use {what}", hint)
    keywords = _keywords(parser, node, name)
    if keywords is None:
        return parser.bad()
    if name in ("min", "max"):
        return _scalar(parser, node, name, keywords) if len(node.args) > 1 else _windowed(parser, node, name, keywords)
    if name in SCALARS:
        return _scalar(parser, node, name, keywords)
    if name in WINDOWED:
        return _windowed(parser, node, name, keywords)
    return _OTHERS[name](parser, node, keywords)


def _method_hint(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute) and function.attr in ALL:
        return f"write {function.attr}(…)"
    return None


def _keywords(parser: Parser, node: ast.Call, name: str) -> dict[str, ast.expr] | None:
    """Keyword -> its value; None where one is unknown or stands twice."""
    allowed = KEYWORDS.get(name, ())
    result: dict[str, ast.expr] = {}
    ok = True
    for keyword in node.keywords:
        word = str(keyword.arg)
        if word not in allowed:
            hint = did_you_mean(word, allowed) or (
                f"{name} takes {', '.join(allowed)}" if allowed else f"{name} takes no keywords"
            )
            parser.fail("E301", keyword, f"{name} has no keyword {shown(word)}", hint)
            ok = False
        elif word in result:
            code = "E302" if word in WINDOW_KEYWORDS else "E205"
            parser.fail(code, keyword, f"keyword {shown(word)} again")
            ok = False
        else:
            result[word] = keyword.value
    return result if ok else None


def _count_is_wrong(parser: Parser, node: ast.Call, name: str, least: int, most: int) -> Bad | None:
    given = len(node.args)
    if least <= given <= most:
        return None
    wanted = f"{least}" if least == most else f"{least} or more" if most >= 1000 else f"{least} to {most}"
    noun = "argument" if wanted == "1" else "arguments"
    extra = node.args[most] if given > most else node
    hint = None
    if (
        given > most
        and isinstance(extra, ast.Constant)
        and isinstance(extra.value, str)
        and "last" in KEYWORDS.get(name, ())
    ):
        hint = f'did you mean `last="{extra.value}"`?'
    return parser.fail("E205", extra, f"{name} takes {wanted} {noun}, not {given}", hint)


# --- scalar functions ---


def _scalar(parser: Parser, node: ast.Call, name: str, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, name, *SCALARS[name])
    if wrong:
        return wrong
    if name in ("min", "max") and keywords:
        hint = f"an aggregate takes one argument: {name}(stream.field, …)"
        return parser.fail("E205", node, f"{name} of several values takes no keywords", hint)
    if name == "seconds":
        return _seconds(parser, node)
    if name == "days_until" and "yearly" in keywords:
        flag = keywords["yearly"]
        if not isinstance(flag, ast.Constant) or not isinstance(flag.value, bool):
            return parser.fail("E205", flag, "yearly is True or False")
        if flag.value:
            name = "days_until_yearly"
    if name == "matches":
        args = (parser.value(node.args[0]), _pattern(parser, node.args[1]))
    else:
        args = tuple(parser.value(arg) for arg in node.args)  # type: ignore[assignment]
    return Call(name, args, parser.scope.timezone if name in ZONED else "")


def _seconds(parser: Parser, node: ast.Call) -> Expr:
    text = _literal_text(node.args[0])
    size_ms = None if text is None else parse_duration_ms(text)
    if size_ms is None:
        return parser.fail("E308", node.args[0], "seconds takes a duration in quotes", DURATION_HINT)
    return Literal.of(size_ms / 1000 if size_ms % 1000 else size_ms // 1000)


def _pattern(parser: Parser, node: ast.expr) -> Expr:
    text = _literal_text(node)
    if text is None:
        return parser.fail("E209", node, "the pattern of matches must be a text in quotes")
    try:
        re2.compile(text, _RE2_OPTIONS)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        return parser.fail(
            "E209", node, f"the pattern is not RE2: {reason}", "look-around and back-references don't exist"
        )
    return parser.placed(Literal.of(text), node)


def _literal_text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


# --- aggregates ---


def _windowed(parser: Parser, node: ast.Call, name: str, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, name, 1, 1)
    if wrong:
        return wrong
    selector: Selector | None
    field = None
    if name == "count":
        selector = _bare_selector(parser, node.args[0], name)
    else:
        selector, field = _selector_field(parser, node.args[0], name)
    window = _window(parser, keywords)
    per = _per(parser, keywords["per"]) if "per" in keywords else None
    if window is not None and window.kind == "ever" and not parser.in_streak:
        if name == "distinct":
            parser.fail("E303", node, "distinct needs a window", 'such as last="7d"')
        elif "per" in keywords:
            parser.fail("E303", node, "per needs a window", 'such as last="7d"')
    if "per" in keywords and parser.scope.daily:
        parser.fail("E305", keywords["per"], "per is not for date rules: there is no anchor")
    if selector is None or window is None:
        return parser.bad()
    return Aggregate(name, selector, field, window, per)


def _bare_selector(parser: Parser, node: ast.expr, name: str) -> Selector | None:
    if isinstance(node, ast.Attribute) and _stream_of(node) is not None:
        parser.fail("E307", node, f"{name} takes a selector without a field", f"remove `.{node.attr}`")
        return None
    return parser.selector(node)


def _selector_field(parser: Parser, node: ast.expr, name: str) -> tuple[Selector | None, str]:
    if isinstance(node, ast.Attribute):
        selector = parser.selector(node.value)
        if selector is not None:
            parser.check_field(node, selector.stream, node.attr)
        return selector, node.attr
    stream = _stream_of(node)
    if stream is not None:
        parser.fail("E307", node, f"{name} needs a field of the selector", f"write {name}({stream}[…].field, …)")
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
        parser.selector(node)
    else:
        hint = f"write {name}(stream.field) or {name}(stream[condition].field)"
        if name in ("min", "max"):
            hint += ", or give two or more values"
        parser.fail("E307", node, f"{name} with one argument needs a selector's field", hint)
    return None, ""


def _stream_of(node: ast.expr) -> str | None:
    """The stream of ``stream``, ``stream[…]`` and the same with a field behind."""
    if isinstance(node, ast.Attribute):
        node = node.value
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) and node.id in STREAMS else None


def _window(parser: Parser, keywords: dict[str, ast.expr]) -> Window | None:
    given = [word for word in WINDOW_KEYWORDS if word in keywords]
    if not given:
        return Window("ever")
    if len(given) > 1:
        parser.fail("E302", keywords[given[1]], f"more than one window: {' and '.join(given)}")
        return None
    kind = given[0]
    if kind == "this":
        period = _period(parser, keywords["this"], "this")
        return None if period is None else Window("this", period=period, timezone=parser.scope.timezone)
    size_ms = _duration(parser, keywords[kind], kind)
    return None if size_ms is None else Window(kind, size_ms=size_ms)


def _duration(parser: Parser, node: ast.expr, word: str) -> int | None:
    text = _literal_text(node)
    size_ms = None if text is None else parse_duration_ms(text)
    if size_ms is None:
        parser.fail("E308", node, f"{word} is not a duration in quotes", DURATION_HINT)
    elif size_ms == 0:
        parser.warn("W308", node, "a window of no length holds no events")
    return size_ms


def _period(parser: Parser, node: ast.expr, word: str) -> str | None:
    text = _literal_text(node)
    if text not in PERIODS:
        parser.fail("E308", node, f"{word} is not a calendar period", one_of(f'"{period}"' for period in PERIODS))
        return None
    return text


def _per(parser: Parser, node: ast.expr) -> str | None:
    text = _literal_text(node)
    if text is None or not text.isidentifier():
        parser.fail("E304", node, "per is not the name of a field in quotes", 'such as per="device_id"')
        return None
    return text


def _latest(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr], op: str) -> Expr:
    wrong = _count_is_wrong(parser, node, op, 1, 1)
    if wrong:
        return wrong
    selector, field = _selector_field(parser, node.args[0], op)
    return Latest(op, selector, field) if selector is not None else parser.bad()


def _last(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    return _latest(parser, node, keywords, "last")


def _prev(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    return _latest(parser, node, keywords, "prev")


def _age(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, "age", 1, 1)
    if wrong:
        return wrong
    selector = _bare_selector(parser, node.args[0], "age")
    return Age(selector) if selector is not None else parser.bad()


def _novel(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, "novel", 1, 1)
    if wrong:
        return wrong
    selector, field = _selector_field(parser, node.args[0], "novel")
    within_ms = _required_duration(parser, node, keywords, "novel", "prior")
    return Novel(selector, field, within_ms) if selector and within_ms is not None else parser.bad()


def _sequence(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, "seq", 2, 1000)
    if wrong:
        return wrong
    selectors = [_bare_selector(parser, arg, "seq") for arg in node.args]
    within_ms = _required_duration(parser, node, keywords, "seq", "last")
    good = tuple(selector for selector in selectors if selector is not None)
    if within_ms is None or len(good) < len(selectors):
        return parser.bad()
    return Sequence(good, within_ms)


def _required_duration(
    parser: Parser, node: ast.Call, keywords: dict[str, ast.expr], name: str, word: str
) -> int | None:
    if word not in keywords:
        parser.fail("E303", node, f"{name} needs a window", f'such as {word}="7d"')
        return None
    return _duration(parser, keywords[word], word)


def _rises(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, "rises", 1, 1)
    if wrong:
        return wrong
    if parser.in_template:
        return parser.fail("E214", node, "a template can't use `rises`", "name it in a let")
    condition = parser.value(node.args[0])
    slot = parser.scope.rises_slots
    parser.scope.rises_slots += 1
    return Rises(condition, slot)


def _score(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, "score", 1, 1)
    if wrong:
        return wrong
    name = _literal_text(node.args[0])
    if not name:
        return parser.fail("E205", node.args[0], "score takes a model's name in quotes")
    return Score(name)


# --- streak ---


def _streak(parser: Parser, node: ast.Call, keywords: dict[str, ast.expr]) -> Expr:
    wrong = _count_is_wrong(parser, node, "streak", 1, 1)
    if wrong:
        return wrong
    if parser.in_streak:
        return parser.fail("E306", node, "a streak inside a streak")
    period = None
    if "by" in keywords:
        period = _period(parser, keywords["by"], "by")
    else:
        parser.fail("E303", node, "streak needs its period", 'such as by="day"')
    arg = node.args[0]
    timezone = parser.scope.timezone
    selector, condition = None, None
    if isinstance(arg, ast.Compare):
        condition = _streak_condition(parser, arg)
    elif _stream_of(arg) is not None or isinstance(arg, ast.Subscript):
        selector = _bare_selector(parser, arg, "streak")
    else:
        parser.fail(
            "E306", arg, "streak takes a selector or a comparison", 'such as streak(sum(txn.amount) > 1000, by="month")'
        )
    if period is None or (selector is None and condition is None):
        return parser.bad()
    return Streak(selector, condition, period, timezone)


def _streak_condition(parser: Parser, node: ast.Compare) -> Expr | None:
    before = parser.scope.problems.error_count()
    parser.in_streak = True
    try:
        condition = parser.value(node)
    finally:
        parser.in_streak = False
    if parser.scope.problems.error_count() > before:
        return None
    assert isinstance(condition, Compare)
    hint = "it compares arithmetic over count, sum, min, max (without a window) and numbers"
    found: list[Aggregate] = []
    if any(op in ("in", "not in") for op in condition.ops):
        parser.fail("E306", node, "`in` inside a streak", hint)
    for operand in condition.operands:
        for wrong, message in _wrong_in_streak(operand, found):
            parser.fail_at("E306", wrong, message, hint)
    if not found and parser.scope.problems.error_count() == before:
        parser.fail("E306", node, "the streak's condition counts no events", hint)
    return condition if parser.scope.problems.error_count() == before else None


def _wrong_in_streak(expr: Expr, found: list[Aggregate]) -> list[tuple[Expr, str]]:
    """The outermost parts of ``expr`` that a streak's condition can't have; its aggregates go to ``found``."""
    if isinstance(expr, Arithmetic):
        return _wrong_in_streak(expr.left, found) + _wrong_in_streak(expr.right, found)
    if isinstance(expr, Unary) and expr.op == "-":
        return _wrong_in_streak(expr.operand, found)
    if isinstance(expr, Literal) and expr.type_name in ("int", "float"):
        return []
    if isinstance(expr, Aggregate):
        found.append(expr)
        if expr.op not in STREAK_AGGREGATES:
            return [(expr, f"{expr.op} inside a streak")]
        if expr.window.kind != "ever":
            return [(expr, "a window inside a streak: the period is the window")]
        return [(expr, "per inside a streak")] if expr.per is not None else []
    return [(expr, "this can't stand inside a streak")]


_OTHERS: dict[str, Callable[[Parser, ast.Call, dict[str, ast.expr]], Expr]] = {
    "last": _last,
    "prev": _prev,
    "age": _age,
    "novel": _novel,
    "seq": _sequence,
    "streak": _streak,
    "rises": _rises,
    "score": _score,
}
