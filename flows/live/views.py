"""Views of customers in a live run: how often they are made, and how they come to Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from config.settings import Views
from flows.live.meters import Meters
from operators.view_pace import ViewPace
from sinks.redis_views import RedisViews

_LOG = logging.getLogger(__name__)


class LiveViews:
    """What one process has of views; implements ``sinks.redis_views.ViewEvents``.

    Attributes
    ----------
    pace
        For ``PlanTables.views``.
    """

    def __init__(
        self, settings: Views, meters: Meters, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:  # fmt: skip
        self._shown, self._meters = settings.shown, meters
        self.pace = ViewPace(settings.every_ms, settings.per_second, monotonic_ms)
        self._redis = RedisViews(settings.url.get_secret_value(), settings.lifetime_ms, self, now_ms)

    def views(self) -> HandOver:
        """Takes lines of views."""
        return HandOver(lambda lines: self._redis.take(lines, ()))

    def decisions(self) -> HandOver:
        """Takes lines of decisions."""
        return HandOver(lambda lines: self._redis.take((), lines))

    def close(self) -> None:
        """Write what waits, for at most two seconds."""
        self._redis.close()

    def views_written(self, count: int) -> None:
        """See ``ViewEvents``."""
        self._meters.views_written(count)

    def views_dropped(self, count: int) -> None:
        """See ``ViewEvents``."""
        self._meters.views_dropped(count)

    def redis_away(self, error: str) -> None:
        """See ``ViewEvents``."""
        _LOG.warning("Redis at %s is away; views of customers wait until it is back", self._shown,
                     extra={"sink": "redis", "error": error})  # fmt: skip

    def redis_back(self) -> None:
        """See ``ViewEvents``."""
        _LOG.info("Redis at %s is back", self._shown, extra={"sink": "redis"})


class HandOver:
    """A writer (``sinks.contract.Writer``) that never waits: what becomes of its lines is no part of any promise."""

    def __init__(self, take: Callable[[Sequence[bytes]], None]) -> None:
        self._take = take

    def write(self, lines: Sequence[bytes]) -> None:
        """Hand lines over."""
        self._take(lines)

    def flush(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """Others may still hand over."""
