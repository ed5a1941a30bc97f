"""Durations and times of day as written in rule and policy files."""

from __future__ import annotations

import re

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"([0-9]{1,18})(ms|s|m|h|d|w)")
_OF_THE_FORM = re.compile(r"[0-9]+(ms|s|m|h|d|w)")
_IN_WORDS = re.compile(
    r" *([0-9]{1,18}) *(?:(s)(?:ecs?|econds?)?|(m)(?:ins?|inutes?)|(h)(?:rs?|ours?)?|(d)(?:ays?)?|(w)(?:eeks?)?) *",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

MAX_DURATION_MS = 10_000 * 366 * 86_400_000
"""Longer than all of event time (years 1970 to 9999), and far inside 64 bits."""

DURATION_HINT = "an integer and one of ms s m h d w, such as 24h or 7d"
TOO_LONG_HINT = f"the longest is {MAX_DURATION_MS // 86_400_000}d"
CLOCK_HINT = 'a local time "HH:MM" from 00:00 to 23:59'


def parse_duration_ms(text: str) -> int | None:
    """Milliseconds of ``24h``, ``7d``, …; None if ``text`` is no duration or longer than ``MAX_DURATION_MS``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    size_ms = int(match[1]) * _UNIT_MS[match[2]]
    return size_ms if size_ms <= MAX_DURATION_MS else None


def duration_hint(text: str) -> str:
    """What to write for ``text``, which is no duration.

    >>> duration_hint("1 hour"), duration_hint("99999999d")
    ('write `1h`', 'the longest is 3660000d')
    """
    if _OF_THE_FORM.fullmatch(text):
        return TOO_LONG_HINT
    words = _IN_WORDS.fullmatch(text)
    if words is not None:
        number, *units = words.groups()
        short = number + "".join(unit.lower() for unit in units if unit)
        return f"write `{short}`" if parse_duration_ms(short) is not None else TOO_LONG_HINT
    return DURATION_HINT


def parse_clock_minutes(text: str) -> int | None:
    """Minutes after midnight of ``"HH:MM"``; None if ``text`` is no time of day."""
    match = _CLOCK.fullmatch(text)
    return None if match is None else int(match[1]) * 60 + int(match[2])
