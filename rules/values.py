"""What operators and scalar functions of the rule language yield, null and wrong types included.

A value is null (``None``), a boolean, a number (``int`` or finite ``float``), a string, a list, or an object
(a JSON object in an extra field, which no operator knows). Booleans are no numbers. Nothing here raises.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Any

from rules.fields import TS_MAX_MS

Value = Any
"""``None | bool | int | float | str | list[Value] | dict[str, Value]``"""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_number(x: Value) -> bool:
    """Tell whether ``x`` is a number of the language (a boolean is not)."""
    return type(x) is int or type(x) is float


_MAX_BITS = 1024
"""An integer with more bits lies beyond every double."""


def finite(x: Value) -> Value:
    """``x``, or null where it is no finite number (an integer beyond the doubles' range is none either)."""
    if type(x) is float:
        return x if math.isfinite(x) else None
    return x if x.bit_length() <= _MAX_BITS else None


# --- comparisons ---------------------------------------------------------------------------------


def equal(a: Value, b: Value) -> bool:
    """``==``: false with null and between different types; 1 and 1.0 are equal, True and 1 are not."""
    if a is None or b is None:
        return False
    ta, tb = type(a), type(b)
    if ta is str or tb is str or ta is bool or tb is bool:
        return ta is tb and bool(a == b)
    if ta is list:
        return tb is list and len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def _ordered(a: Value, b: Value) -> bool:
    """Numbers with numbers, strings with strings, booleans with booleans."""
    ta, tb = type(a), type(b)
    if ta is str or ta is bool:
        return ta is tb
    return (ta is int or ta is float) and (tb is int or tb is float)


def less(a: Value, b: Value) -> bool:
    """``<``: false with null and between different types; strings by code point."""
    return _ordered(a, b) and bool(a < b)


def less_equal(a: Value, b: Value) -> bool:
    """``<=``, as ``less``."""
    return _ordered(a, b) and bool(a <= b)


def contains(x: Value, container: Value) -> bool:
    """``x in container``: a substring of a string, or a member of a list; false with null."""
    if x is None or container is None:
        return False
    if type(container) is str:
        return type(x) is str and x in container
    if type(container) is list:
        return any(equal(x, item) for item in container)
    return False


COMPARISONS: dict[str, Callable[[Value, Value], bool]] = {
    "==": equal,
    "!=": lambda a, b: not equal(a, b),
    "<": less,
    "<=": less_equal,
    ">": lambda a, b: less(b, a),
    ">=": lambda a, b: less_equal(b, a),
    "in": contains,
    "not in": lambda a, b: not contains(a, b),
}


# --- arithmetic ----------------------------------------------------------------------------------


def _arithmetic(operate: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    def apply(a: Value, b: Value) -> Value:
        if not (is_number(a) and is_number(b)):
            return None
        try:
            return finite(operate(a, b))
        except (ZeroDivisionError, OverflowError):
            return None

    return apply


ARITHMETIC: dict[str, Callable[[Value, Value], Value]] = {
    "+": _arithmetic(lambda a, b: a + b),
    "-": _arithmetic(lambda a, b: a - b),
    "*": _arithmetic(lambda a, b: a * b),
    "/": _arithmetic(lambda a, b: a / b),
    "%": _arithmetic(lambda a, b: a % b),
}


def negate(x: Value) -> Value:
    """Unary minus; null for what is no number."""
    return -x if is_number(x) else None


# --- scalar functions ----------------------------------------------------------------------------


def absolute(x: Value) -> Value:
    """``abs``."""
    return abs(x) if is_number(x) else None


def minimum(*xs: Value) -> Value:
    """Scalar ``min``: null if any argument is no number."""
    return min(xs) if all(map(is_number, xs)) else None


def maximum(*xs: Value) -> Value:
    """Scalar ``max``: null if any argument is no number."""
    return max(xs) if all(map(is_number, xs)) else None


def rounded(x: Value, digits: Value = 0) -> Value:
    """Python's ``round`` (half to even); ``round(x)`` without digits gives an integer."""
    if not is_number(x) or type(digits) is not int:
        return None
    if type(x) is int and digits < -x.bit_length():
        return 0  # Python would compute the power of ten first, which for a large one takes for ever
    try:
        return finite(round(x, digits))
    except (OverflowError, ValueError):
        return None


def rounded_whole(x: Value) -> Value:
    """``round(x)``."""
    return round(x) if is_number(x) else None


def lowered(s: Value) -> Value:
    """``lower``."""
    return s.lower() if type(s) is str else None


def length(x: Value) -> Value:
    """``len``: code points of a string, entries of a list."""
    return len(x) if type(x) in (str, list) else None


def _text_test(test: Callable[[str, str], bool]) -> Callable[[Value, Value], Value]:
    def apply(s: Value, other: Value) -> Value:
        if s is None or other is None:
            return False
        return test(s, other) if type(s) is str and type(other) is str else None

    return apply


starts_with = _text_test(str.startswith)
"""``startswith``, a test: false for null; null for what is no string."""
ends_with = _text_test(str.endswith)
"""``endswith``, as ``startswith``."""


def coalesce(*xs: Value) -> Value:
    """The first argument that is not null."""
    return next((x for x in xs if x is not None), None)


# --- dates ---------------------------------------------------------------------------------------

MAX_LOCAL_MS = TS_MAX_MS - 86_400_000
"""The last instant that has a local date in every timezone: Python's calendar ends with the year 9999."""
_MIN_LOCAL_MS = -62_135_596_800_000 + 86_400_000
"""The first one, which the year 1 gives."""
_CYCLE_DAYS = 146_097
"""400 years, after which the calendar repeats, weekdays included."""


def _local(ts_ms: int, zone: dt.tzinfo) -> tuple[dt.datetime, int]:
    """The local wall time of an instant, to the second, and the days that it is to be moved on by."""
    if ts_ms <= MAX_LOCAL_MS:
        return dt.datetime.fromtimestamp(ts_ms // 1000, zone), 0
    return dt.datetime.fromtimestamp(ts_ms // 1000 - _CYCLE_DAYS * 86_400, zone), _CYCLE_DAYS


def _instant(ts: Value) -> int | None:
    return int(ts // 1) if is_number(ts) and _MIN_LOCAL_MS <= ts <= MAX_LOCAL_MS + 86_400_000 else None


def hour(ts: Value, zone: dt.tzinfo) -> Value:
    """Local hour, 0..23, of a time in ms."""
    instant = _instant(ts)
    return None if instant is None else _local(instant, zone)[0].hour


def weekday(ts: Value, zone: dt.tzinfo) -> Value:
    """Local weekday, 0 = Monday, of a time in ms."""
    instant = _instant(ts)
    return None if instant is None else _local(instant, zone)[0].weekday()


def parse_date(text: Value) -> dt.date | None:
    """A ``YYYY-MM-DD`` string as a date, null for anything else."""
    if type(text) is not str or not _DATE.fullmatch(text):
        return None
    try:
        return dt.date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError:
        return None


def days_until(text: Value, ts_ms: int, zone: dt.tzinfo) -> Value:
    """Local calendar days from the date of ``ts_ms`` to the date in ``text``; negative when past."""
    date = parse_date(text)
    if date is None:
        return None
    now, moved_days = _local(ts_ms, zone)
    return date.toordinal() - now.date().toordinal() - moved_days


def days_until_yearly(text: Value, ts_ms: int, zone: dt.tzinfo) -> Value:
    """Days to the next yearly recurrence, 0 on the day; 29 February recurs on 28 February in other years."""
    date = parse_date(text)
    if date is None:
        return None
    # 400 years earlier the calendar is the same, and the next year always exists
    today = _local(ts_ms, zone)[0].date()
    if today.year == dt.MAXYEAR:
        today = dt.date.fromordinal(today.toordinal() - _CYCLE_DAYS)
    for year in (today.year, today.year + 1):
        leap_year = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        leap_birthday = (date.month, date.day) == (2, 29)
        recurrence = dt.date(year, date.month, 28 if leap_birthday and not leap_year else date.day)
        if recurrence >= today:
            return (recurrence - today).days
    raise AssertionError(text)
