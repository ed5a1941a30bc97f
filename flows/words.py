"""Rule expressions in words, so that a decision can be explained to somebody who did not write the rule."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rules import model as m
from rules.unparse import unparse

_UNITS_MS = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second"), (1, "millisecond"))
_AGGREGATES = {
    "sum": "total", "mean": "average", "min": "smallest", "max": "largest", "std": "deviation",
}  # fmt: skip

REASONS = {
    "paused": "somebody had paused the rule",
    "shadow": "the rule is on trial: it decides, nothing is sent",
    "warming": "the rules had changed, and what this one looks at was not all there yet",
    "holdout": "the customer is in the control group, which shows what the actions are worth",
    "opt_out": "the customer does not want this kind of contact",
    "cooldown": "this rule had contacted the customer shortly before",
    "cap": "the customer had as many contacts as the policy allows",
    "quiet_hours": "it was night",
    "open_ticket": "a ticket of this rule is still open for the customer",
}
"""What each reason of a suppressed decision means."""


def duration(size_ms: int) -> str:
    """A duration in the largest unit that divides it.

    >>> duration(7 * 86_400_000), duration(3_600_000), duration(5_400_000)
    ('7 days', '1 hour', '90 minutes')
    """
    unit_ms, name = next((unit for unit in _UNITS_MS if size_ms % unit[0] == 0), _UNITS_MS[-1])
    count = size_ms // unit_ms
    return f"{count} {name}" + ("" if count == 1 else "s")


def local_time(ts_ms: int, timezone: str, spec: str = "%m-%d %H:%M:%S") -> str:
    """A time of the engine (ms since 1970, UTC) as local text."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).astimezone(ZoneInfo(timezone)).strftime(spec)


def value_text(value: Any) -> str:
    """A feature's value for a person: thousands separated, at most four digits of a fraction.

    >>> value_text(1234567.5), value_text(3), value_text(0.61234), value_text(None), value_text(True)
    ('1,234,567.50', '3', '0.6123', 'nothing', 'yes')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    return str(value)


def in_words(expr: m.Expr) -> str:
    """What a `let` stands for, as an English phrase; arithmetic and conditions as they are written."""
    match expr:
        case m.Aggregate(op="count", selector=selector, window=window, per=per):
            return f"number of {events(selector)}{_window(window)}{_per(per)}"
        case m.Aggregate(op="distinct", selector=selector, field=field, window=window, per=per):
            return f"number of different {field} among {events(selector)}{_window(window)}{_per(per)}"
        case m.Aggregate(op=op, selector=selector, field=field, window=window, per=per):
            return f"{_AGGREGATES[op]} {field} of {events(selector)}{_window(window)}{_per(per)}"
        case m.Latest(op=op, selector=selector, field=field):
            return f"{field} of the {'latest' if op == 'last' else 'previous'} of {events(selector)}"
        case m.Age(selector=selector):
            return f"seconds since the latest of {events(selector)}"
        case m.Novel(selector=selector, field=field, within_ms=within_ms):
            return f"{field} not seen in {duration(within_ms)} among {events(selector)}"
        case m.Sequence(selectors=selectors, within_ms=within_ms):
            return f"{', then '.join(map(events, selectors))}, all within {duration(within_ms)}"
        case m.Streak(selector=m.Selector() as selector, period=period):
            return f"{period}s in a row with {events(selector)}"
        case m.Streak(condition=m.Expr() as condition, period=period):
            return f"{period}s in a row in which {unparse(condition)}"
        case m.Score(model=model):
            return f"score of the model {model}"
        case m.AnchorField(stream=stream, name=name):
            return f"{name} of the {stream} event that set it off"
        case m.ProfileField(name=name):
            return f"the customer's {name}"
        case m.HoldingField(name=name):
            return f"the holding's {name}"
        case m.Call(function="days_until", args=(date,)):
            return f"days until {as_written(date)}"
    return as_written(expr)


def events(selector: m.Selector) -> str:
    """A selector as `click events with …`."""
    rest = "" if selector.predicate is None else f" with {as_written(selector.predicate)}"
    return f"{selector.stream} events{rest}"


def _window(window: m.Window) -> str:
    match window.kind:
        case "last":
            return f" in the last {duration(window.size_ms).removeprefix('1 ')}"
        case "prior":
            return f" in the {duration(window.size_ms)} before"
        case "this":
            return f" this {window.period}"
    return " ever"


def _per(per: str | None) -> str:
    return f", of all customers with the same {per}" if per else ""


def as_written(expr: m.Expr) -> str:
    """The expression in the rule language again (aggregates inside it in words)."""
    match expr:
        case m.Literal(value=value):
            return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
        case m.ListExpr(items=items):
            return f"[{', '.join(map(as_written, items))}]"
        case m.Field(name=name) | m.LetRef(name=name):
            return name
        case m.AnchorField(stream=owner, name=name):
            return f"{owner}.{name}"
        case m.ProfileField(name=name):
            return f"profile.{name}"
        case m.HoldingField(name=name):
            return f"holding.{name}"
        case m.EvalTime():
            return "ts"
        case m.Unary(op=op, operand=operand):
            return f"{op}{' ' if op == 'not' else ''}{_inside(expr, operand)}"
        case m.Arithmetic(op=op, left=left, right=right):
            same = isinstance(left, m.Arithmetic) and _level(left) == _level(expr)  # a - b - c needs no brackets
            return f"{as_written(left) if same else _inside(expr, left)} {op} {_inside(expr, right)}"
        case m.Logic(op=op, operands=operands):
            return f" {op} ".join(_inside(expr, operand) for operand in operands)
        case m.Compare(ops=ops, operands=operands):
            pairs = zip(ops, operands[1:], strict=True)
            return _inside(expr, operands[0]) + "".join(f" {op} {_inside(expr, operand)}" for op, operand in pairs)
        case m.Call(function=function, args=args):
            return f"{function}({', '.join(map(as_written, args))})"
        case m.Rises(condition=condition):
            return f"rises({as_written(condition)})"
    phrase = in_words(expr) if not isinstance(expr, m.Streak | m.Score) else type(expr).__name__.lower()
    return f"({phrase})"


def _inside(outer: m.Expr, inner: m.Expr) -> str:
    text = as_written(inner)
    return f"({text})" if _level(inner) <= _level(outer) else text


def _level(expr: m.Expr) -> int:
    """How tightly an expression binds, as in Python."""
    match expr:
        case m.Logic(op=op):
            return 1 if op == "or" else 2
        case m.Unary(op=op):
            return 3 if op == "not" else 7
        case m.Compare():
            return 4
        case m.Arithmetic(op=op):
            return 5 if op in "+-" else 6
    return 8
