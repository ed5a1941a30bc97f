"""The times that events are given when they are sent."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_AHEAD_MS = 100
_REMEMBERED = 100_000


class Stamps:
    """Times in milliseconds, in order, and for each customer a later one for each event.

    What a customer does within minutes comes within the same millisecond when a day passes in seconds. The engine
    orders events of the same millisecond by stream and id, so the order of a story would be lost: a customer's next
    event is stamped a millisecond later then, but never more than 100 ms ahead.
    """

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}

    def spread(self, customers: Sequence[bytes], after_ms: float, until_ms: float) -> list[int]:
        """Times for one event each, evenly spread over the span that ends with ``until_ms``."""
        last = self._last
        step = (until_ms - after_ms) / len(customers)
        out = []
        at = after_ms
        for customer in customers:
            at += step
            ts = int(at)
            before = last.get(customer, 0)
            if ts <= before < ts + _MOST_AHEAD_MS:
                ts = before + 1
            last[customer] = ts
            out.append(ts)
        if len(last) > _REMEMBERED:
            self._last = {customer: ts for customer, ts in last.items() if ts >= until_ms}
        return out
