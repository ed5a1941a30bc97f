"""A customer's habits, kept in fixed words of the row: how unusual an event is, then what it teaches.

Each function compares the event at hand with what was before it, and gives NaN where that says nothing yet or the event
has no value; then it learns. All go by processing order, a late event like any other. A word is a double or an integer,
and all are zero in a new row.

- **amount** ``x = sign(v) * log(1 + |v|)`` (3 words: location ``m``, spread ``s``, events ``n``): ``z = (x - m) /
max(s, 0.05)``
  from the 4th event on. With ``w = max(1 / (n + 1), 0.02)`` and ``e = min(max(x - m, -1.5 s), 1.5 s)`` (Huber's
  clipping), ``m += w e`` and ``s += w (1.2533 |e| - s)``, which is the standard deviation of normal ``x``; ``s`` begins
  with 1.
- **hour** (7 words: 24 shares of 16 bits, events): ``-log(share)`` of the event's local hour from the 6th event on,
where
  ``share = (near + 2 / 24) / (all + 2)``; ``near`` counts earlier events around the hour, 0.3 of those of the same,
  0.2, 0.1 and 0.05 of those one, two and three hours away on both sides. Each event leaves 63/64 of the earlier counts.
- **value** (17 words: events, then hash and count of 8 values): ``-log((c + 0.5) / (w + 4))``; ``c`` and ``w`` count
the earlier
  events with this value and all, each event leaving 63/64 of the earlier counts. Of a 9th value the one that was not
  seen for longest is forgotten. Null for the first event and where the field is null.
- **pace** (4 words: latest and first time, short and long count): ``log((a + 1) / (b h / (T + h) + 1))``; ``a`` and
``b`` are the
  earlier events, weighted with ``exp(-age / h)``, ``h`` = 6 hours, and ``exp(-age / d)``, ``d`` = 30 days;
  ``T = d (1 - exp(-age of the first event / d))``, so ``b / T`` is the long-term rate. Null for the first event.
"""

from __future__ import annotations

import math

from state.cells import get, get_double, put, put_double
from state.compiled import compiled

AMOUNT_WORDS, HOUR_WORDS, PACE_WORDS = 3, 7, 4
VALUES = 8
VALUE_WORDS = 1 + 2 * VALUES

_RATE, _CLIPPED_AT, _LEAST_SPREAD, _NORMAL = 0.02, 1.5, 0.05, 1.2533141373155001
_AMOUNTS, _HOURS = 3.0, 5
"""Events before which nothing is said."""
_ONE = 512
"""An event among the shares of hours: with 1/64 forgotten at each event they stay below 2**16."""
_FADE = 64
_SHORT_MS, _LONG_MS = 6 * 3_600_000.0, 30 * 86_400_000.0


@compiled
def unusual_amount(row: int, at: int, amount: float) -> float:
    """How many spreads an amount is above the customer's location."""
    if not math.isfinite(amount):
        return math.nan
    x = math.copysign(math.log1p(abs(amount)), amount)
    location, spread, events = get_double(row, at), get_double(row, at + 1), get_double(row, at + 2)
    if events == 0.0:
        location, spread = x, 1.0
    z = (x - location) / max(spread, _LEAST_SPREAD) if events >= _AMOUNTS else math.nan
    weight = max(1.0 / (events + 1.0), _RATE)
    if events > 0.0:
        most = _CLIPPED_AT * max(spread, _LEAST_SPREAD)
        step = min(max(x - location, -most), most)
        location += weight * step
        spread += weight * (_NORMAL * abs(step) - spread)
    put_double(row, at, location)
    put_double(row, at + 1, spread)
    put_double(row, at + 2, events + 1.0)
    return z


@compiled
def hour_share(row: int, at: int, hour: int) -> int:
    """What is kept of an hour, in parts of an event."""
    return (get(row, at + (hour >> 2)) >> 16 * (hour & 3)) & 0xFFFF


@compiled
def unusual_hour(row: int, at: int, hour: int) -> float:
    """How rare a local hour (0 to 23) is for the customer."""
    total = 0
    for other in range(24):
        total += hour_share(row, at, other)
    events = get(row, at + 6)
    surprise = math.nan
    if events >= _HOURS:
        near = 0.3 * hour_share(row, at, hour)
        near += 0.2 * (hour_share(row, at, (hour + 1) % 24) + hour_share(row, at, (hour + 23) % 24))
        near += 0.1 * (hour_share(row, at, (hour + 2) % 24) + hour_share(row, at, (hour + 22) % 24))
        near += 0.05 * (hour_share(row, at, (hour + 3) % 24) + hour_share(row, at, (hour + 21) % 24))
        surprise = -math.log((near / _ONE + 2.0 / 24.0) / (total / _ONE + 2.0))
    for word in range(6):
        kept = 0
        for quarter in range(4):
            share = hour_share(row, at, 4 * word + quarter)
            share -= (share + _FADE - 1) // _FADE
            if 4 * word + quarter == hour:
                share += _ONE
            kept |= share << 16 * quarter
        put(row, at + word, kept)
    put(row, at + 6, events + 1)
    return surprise


@compiled
def unusual_value(row: int, at: int, hashed: int) -> float:
    """How rare a value is for the customer, by its hash (0 for null)."""
    if hashed == 0:
        return math.nan
    events = get(row, at)
    place, oldest, latest = -1, 0, events + 1
    for number in range(VALUES):
        if get(row, at + 1 + 2 * number) == hashed:
            place = number
        seen = get(row, at + 2 + 2 * number) >> 32
        if seen < latest:
            oldest, latest = number, seen
    count = 0.0
    if place >= 0:
        packed = get(row, at + 2 + 2 * place)
        count = (packed & 0xFFFFFFFF) / 65536.0 * math.exp(((packed >> 32) - events) / _FADE)
    everything = (1.0 - math.exp(-events / _FADE)) / (1.0 - math.exp(-1.0 / _FADE))
    surprise = -math.log((count + 0.5) / (everything + 0.5 * VALUES)) if events else math.nan
    if place < 0:
        place = oldest
        put(row, at + 1 + 2 * place, hashed)
    fresh = int(65536.0 * (count * math.exp(-1.0 / _FADE) + 1.0))
    put(row, at + 2 + 2 * place, (events + 1) << 32 | fresh)
    put(row, at, events + 1)
    return surprise


@compiled
def unusual_pace(row: int, at: int, t_ms: int) -> float:
    """How much faster than usual the customer's events come, as a logarithm; ``t_ms`` is 0 or later and never falls."""
    latest, first = get(row, at), get(row, at + 1)
    if latest == 0:  # times are kept as 1 + ms
        put(row, at, t_ms + 1)
        put(row, at + 1, t_ms + 1)
        put_double(row, at + 2, 1.0)
        put_double(row, at + 3, 1.0)
        return math.nan
    since_ms = float(max(t_ms + 1 - latest, 0))
    short = get_double(row, at + 2) * math.exp(-since_ms / _SHORT_MS)
    long = get_double(row, at + 3) * math.exp(-since_ms / _LONG_MS)
    over_ms = _LONG_MS * (1.0 - math.exp(-(t_ms + 1 - first) / _LONG_MS))
    put(row, at, max(latest, t_ms + 1))
    put_double(row, at + 2, short + 1.0)
    put_double(row, at + 3, long + 1.0)
    return math.log((short + 1.0) / (long * _SHORT_MS / (over_ms + _SHORT_MS) + 1.0))
