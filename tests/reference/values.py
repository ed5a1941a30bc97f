"""The contract's values: equality, order, arithmetic, null, scalar functions, templates' printing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import re2

from tests.reference.events import is_number
from tests.reference.localtime import local


def truth(value: Any) -> bool:
    return bool(value)  # null is None, so false


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def key(value: Any) -> Any:
    """Hashable, equal for equal values: 1 and 1.0 are, 1 and True are not."""
    if isinstance(value, bool):
        return ("bool", value)
    if is_number(value):
        return ("number", value)
    if isinstance(value, str):
        return ("string", value)
    if isinstance(value, list):
        return ("list", tuple(key(entry) for entry in value))
    if isinstance(value, dict):
        return ("object", frozenset((name, key(entry)) for name, entry in value.items()))
    return ("null",)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return a is not None and b is not None and key(a) == key(b)


def contains(value: Any, where: Any) -> bool:
    """`value in where`."""
    if value is None:
        return False
    if isinstance(where, str):
        return isinstance(value, str) and value in where
    if isinstance(where, list):
        return any(equal(value, entry) for entry in where)
    return False


def ordered(a: Any, b: Any, test: Callable[[Any, Any], bool]) -> bool:
    if is_number(a) and is_number(b):
        return test(a, b)
    for kind in (bool, str):
        if isinstance(a, kind) and isinstance(b, kind):
            return test(a, b)
    return False  # null, different types, and lists and objects, which have no order


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "Mod": operator.mod,
}


def arithmetic(name: str, a: Any, b: Any) -> Any:
    if not (is_number(a) and is_number(b)):
        return None
    try:
        return finite(ARITHMETIC[name](a, b))
    except (ZeroDivisionError, OverflowError):
        return None


def negative(value: Any) -> Any:
    return -value if is_number(value) else None


def compare(name: str, a: Any, b: Any) -> bool:
    if name == "Eq":
        return equal(a, b)
    if name == "NotEq":
        return not equal(a, b)
    if name == "In":
        return contains(a, b)
    if name == "NotIn":
        return not contains(a, b)
    tests = {"Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge}
    return ordered(a, b, tests[name])


def text_test(name: str, text: Any, what: Any) -> bool | None:
    """startswith, endswith, matches: a test on null is false, a function of a wrong type is null."""
    if text is None or what is None:
        return False
    if not isinstance(text, str) or not isinstance(what, str):
        return None
    if name == "startswith":
        return text.startswith(what)
    if name == "endswith":
        return text.endswith(what)
    return re2.search(what, text) is not None


def clock(name: str, ts: Any, zone: str) -> int | None:
    if not is_number(ts):
        return None
    try:
        there = local(math.floor(ts), zone)
    except (OverflowError, ValueError):
        return None
    return there.hour if name == "hour" else there.weekday


def scalar(name: str, args: list[Any], zone: str) -> Any:
    """A function allowed both on fields in selectors and on values."""
    if name == "is_null":
        return args[0] is None
    if name in ("startswith", "endswith", "matches"):
        return text_test(name, args[0], args[1])
    if name in ("hour", "weekday"):
        return clock(name, args[0], zone)
    value = args[0]
    if name == "lower":
        return value.lower() if isinstance(value, str) else None
    if name == "len":
        return len(value) if isinstance(value, (str, list)) else None
    if name == "abs":
        return abs(value) if is_number(value) else None
    if name in ("min", "max"):
        if not all(is_number(arg) for arg in args):
            return None
        return min(args) if name == "min" else max(args)
    if name == "round":
        return rounded(args)
    if name == "coalesce":
        return next((arg for arg in args if arg is not None), None)
    raise ValueError(f"no function {name}")


def rounded(args: list[Any]) -> Any:
    if not is_number(args[0]):
        return None
    if len(args) == 1:
        return round(args[0])
    if not isinstance(args[1], int) or isinstance(args[1], bool):
        return None
    try:
        return finite(round(args[0], args[1]))
    except OverflowError:
        return None


def printed(value: Any, spec: str) -> str:
    """A value in a template."""
    if value is None:
        return ""
    if spec:
        try:
            text = format(value, spec)
            text.encode()  # half of a surrogate pair is no text
            return text
        except (ValueError, TypeError, OverflowError):
            pass
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)
