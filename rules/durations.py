"""Durations and times of day as written in rule and policy files."""

from __future__ import annotations

import re

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"([0-9]{1,18})(ms|s|m|h|d|w)")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

MAX_DURATION_MS = 10_000 * 366 * 86_400_000
"""Longer than all of event time (years 1970 to 9999), and far inside 64 bits."""

DURATION_HINT = "an integer and one of ms s m h d w, such as 24h or 7d"
CLOCK_HINT = 'a local time "HH:MM" from 00:00 to 23:59'


def parse_duration_ms(text: str) -> int | None:
    """Milliseconds of ``24h``, ``7d``, …; None if ``text`` is no duration or longer than ``MAX_DURATION_MS``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    size_ms = int(match[1]) * _UNIT_MS[match[2]]
    return size_ms if size_ms <= MAX_DURATION_MS else None


def parse_clock_minutes(text: str) -> int | None:
    """Minutes after midnight of ``"HH:MM"``; None if ``text`` is no time of day."""
    match = _CLOCK.fullmatch(text)
    return None if match is None else int(match[1]) * 60 + int(match[2])
