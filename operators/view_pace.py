"""How often customers are looked at, and how many in a second: one for all shards of a process."""

from __future__ import annotations

from collections.abc import Callable


class ViewPace:
    """The pace of views.

    Parameters
    ----------
    every_ms
        A customer is looked at once in this time at most.
    per_second
        So many views are written in a second at most, by all shards together; each has the same share.
    clock
        Gives the time of the wall clock in milliseconds.
    """

    def __init__(self, every_ms: int, per_second: int, clock: Callable[[], int]) -> None:
        self.every_ms, self.per_second, self.clock = every_ms, per_second, clock
        self.shares = 0

    def share(self) -> PaceShare:
        """One more shard has its share."""
        self.shares += 1
        return PaceShare(self)


class PaceShare:
    """What one shard may write; what it does not use is kept for a second.

    >>> pace = ViewPace(10_000, 20, lambda: 0)
    >>> share, other = pace.share(), pace.share()
    >>> share.take(0, 100), share.used(10), share.take(500, 100), share.take(5_000, 100), share.take(5_000, 3)
    (10, None, 5, 10, 3)
    """

    def __init__(self, pace: ViewPace) -> None:
        self._pace = pace
        self._left, self._at_ms = 0.0, 0
        self._begun = False

    def take(self, now_ms: int, wanted: int) -> int:
        """How many may be written now, of those that are to be."""
        rate = self._pace.per_second / self._pace.shares
        most = max(1.0, rate)
        if not self._begun:
            self._left = most
        elif now_ms > self._at_ms:
            self._left = min(most, self._left + rate * (now_ms - self._at_ms) / 1_000)
        self._at_ms, self._begun = now_ms, True
        return min(wanted, int(self._left))

    def used(self, count: int) -> None:
        """So many were written."""
        self._left -= count
