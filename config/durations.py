"""Durations as the contract writes them: an integer and one of ``ms s m h d w``."""

from __future__ import annotations

import re

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"([0-9]{1,18})(ms|s|m|h|d|w)")

DURATION_HINT = "an integer and one of ms s m h d w, such as 500ms or 1h"


def parse_duration_ms(text: str) -> int | None:
    """Milliseconds of ``text``; None if it is no duration.

    >>> parse_duration_ms("500ms"), parse_duration_ms("1h"), parse_duration_ms("1 hour")
    (500, 3600000, None)
    """
    match = _DURATION.fullmatch(text)
    return None if match is None else int(match[1]) * _UNIT_MS[match[2]]


def format_duration_ms(size_ms: int) -> str:
    """``size_ms`` with the largest unit that needs no fraction.

    >>> format_duration_ms(90_000), format_duration_ms(3_600_000), format_duration_ms(0)
    ('90s', '1h', '0ms')
    """
    for unit, unit_ms in reversed(_UNIT_MS.items()):
        if unit != "w" and size_ms and size_ms % unit_ms == 0:
            return f"{size_ms // unit_ms}{unit}"
    return f"{size_ms}ms"
