"""Views of customers in Redis, for desks to read; Redis is never waited for.

Lines are handed to a thread, which merges them with what is stored and writes. While Redis is away the newest of each
customer waits, of so many customers at most; what does not fit is dropped and counted. What is lost is a view that the
next one makes good, or a line in the list of last decisions; the decisions themselves go to other sinks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from itertools import islice
from time import monotonic
from typing import Any, Protocol

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sinks.customer_card import MERGED, News, merged, read_decision, read_view

KEY_PREFIX = "cem:customer:"

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 0.5, 1.0
MOST_WAITING = 100_000
"""Customers whose news wait while Redis is away."""

_MOST_HANDED = 200_000
"""Lines that the thread has not taken yet."""

_AT_ONCE = 500
_LINGER_S = 0.05
"""Lines that come within this are written together."""

_AGAIN_S = (0.5, 1.0, 2.0, 5.0)
"""How long to wait after the first, second, … failure; then always the last."""


class ViewEvents(Protocol):
    """Who is told of what happens; called by the writer's thread, and ``views_dropped`` by the flow's as well."""

    def views_written(self, count: int) -> None:
        """The news of so many customers are in Redis."""

    def views_dropped(self, count: int) -> None:
        """So many had to be dropped."""

    def redis_away(self, error: str) -> None:
        """Redis cannot be written from now on; told once."""

    def redis_back(self) -> None:
        """It can be written again."""


def view_key(customer_id: str) -> str:
    """The key of a customer."""
    return KEY_PREFIX + customer_id


def connect(url: str) -> redis.Redis:
    """A client that gives up soon.

    Raises
    ------
    ValueError
        The URL is none.
    """
    return redis.Redis.from_url(
        url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=READ_TIMEOUT_S, protocol=2,
        retry=Retry(NoBackoff(), 1),  # once: a connection that the server has closed is no failure
    )  # fmt: skip


def read_customer(url: str, customer_id: str) -> dict[str, str]:
    """The fields of a customer's key; empty if there is none.

    Raises
    ------
    redis.RedisError
        Redis is away, or refuses.
    """
    client = connect(url)
    try:
        found: dict[bytes, bytes] = client.hgetall(view_key(customer_id))  # type: ignore[assignment]  # not awaited
        return {name.decode(): value.decode(errors="replace") for name, value in found.items()}
    finally:
        client.close()


def forget_view(url: str, customer_id: str) -> bool:
    """Remove a customer's key; whether there was one.

    An engine that runs writes it anew with the customer's next event.

    Raises
    ------
    redis.RedisError
        Redis is away, or refuses.
    """
    client = connect(url)
    try:
        return bool(client.delete(view_key(customer_id)))
    finally:
        client.close()


class RedisViews:
    """Keeps a hash for each customer. One writer has all lines of a customer.

    Parameters
    ----------
    url
        ``redis://…``, ``rediss://…`` or ``unix://…``.
    lifetime_ms
        A key that is not written again disappears after this.
    events
        Is told what happens.
    clock
        Gives the time of the wall clock in milliseconds.
    most_waiting
        Customers whose news may wait.
    """

    def __init__(
        self, url: str, lifetime_ms: int, events: ViewEvents, clock: Callable[[], int], most_waiting: int = MOST_WAITING
    ) -> None:
        self._client = connect(url)
        self._lifetime_ms, self._events, self._clock, self._most_waiting = lifetime_ms, events, clock, most_waiting
        self._handed: deque[tuple[Sequence[bytes], Sequence[bytes]]] = deque()
        self._handed_lines = 0
        self._something = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._waiting: OrderedDict[str, News] = OrderedDict()  # the thread's own
        self._failures, self._again_at_s = 0, 0.0

    def take(self, views: Sequence[bytes], decisions: Sequence[bytes]) -> None:
        """Hand over lines as the engine writes them; returns at once. They are not copied and must stay as they are."""
        lines = len(views) + len(decisions)
        if not lines:
            return
        dropped = 0
        with self._something:
            self._handed.append((views, decisions))
            self._handed_lines += lines
            while self._handed_lines > _MOST_HANDED and len(self._handed) > 1:
                oldest = sum(map(len, self._handed.popleft()))
                self._handed_lines -= oldest
                dropped += oldest
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="redis-views", daemon=True)
                self._thread.start()
            self._something.notify()
        if dropped:
            self._events.views_dropped(dropped)

    def close(self, within_s: float = 2.0) -> None:
        """Write what waits, as far as that is done within a time, and end."""
        with self._something:
            self._stopping = True
            self._something.notify()
        if self._thread is not None:
            self._thread.join(within_s)
        self._client.close()

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._something:
                if not self._handed and not self._stopping:
                    self._something.wait(self._pause_s())
                if not self._stopping and not self._failures:
                    self._something.wait(_LINGER_S)
                stopping = self._stopping
                handed = list(self._handed)
                self._handed.clear()
                self._handed_lines = 0
            self._absorb(handed)
            if stopping:
                self._again_at_s = 0.0
            while self._waiting and monotonic() >= self._again_at_s and self._write_some():
                pass
            if stopping:
                if self._waiting:
                    self._events.views_dropped(len(self._waiting))
                return

    def _pause_s(self) -> float | None:
        """How long nothing is to be done, if nothing comes; null for ever."""
        return max(0.0, self._again_at_s - monotonic()) if self._waiting else None

    def _absorb(self, handed: Sequence[tuple[Sequence[bytes], Sequence[bytes]]]) -> None:
        dropped = 0
        for views, decisions in handed:
            for line in decisions:
                dropped += not self._absorbed(line, is_view=False)
            for line in views:
                dropped += not self._absorbed(line, is_view=True)
            while len(self._waiting) > self._most_waiting:
                self._waiting.popitem(last=False)
                dropped += 1
        if dropped:
            self._events.views_dropped(dropped)

    def _absorbed(self, line: bytes, *, is_view: bool) -> bool:
        try:
            if is_view:
                view = read_view(line)
                self._news_of(view.customer_id).view = view
            else:
                customer_id, decided = read_decision(line)
                self._news_of(customer_id).add(decided)
        except msgspec.MsgspecError:  # such as a number that is too large: the thread goes on without
            return False
        return True

    def _news_of(self, customer_id: str) -> News:
        news = self._waiting.get(customer_id)
        if news is None:
            news = self._waiting[customer_id] = News()
        return news

    def _write_some(self) -> bool:
        """Write the news of those who wait longest; whether that worked."""
        chosen = list(islice(self._waiting.items(), _AT_ONCE))
        try:
            self._write(chosen)
        except (redis.RedisError, OSError) as error:
            if not self._failures:
                self._events.redis_away(str(error) or type(error).__name__)
            self._again_at_s = monotonic() + _AGAIN_S[min(self._failures, len(_AGAIN_S) - 1)]
            self._failures += 1
            return False
        for customer_id, _ in chosen:
            del self._waiting[customer_id]
        if self._failures:
            self._failures = 0
            self._events.redis_back()
        self._events.views_written(len(chosen))
        return True

    def _write(self, chosen: Sequence[tuple[str, News]]) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            for customer_id, _ in chosen:
                pipe.hmget(view_key(customer_id), MERGED)
            found: list[Any] = pipe.execute(raise_on_error=False)
        with self._client.pipeline(transaction=False) as pipe:
            written_at_ms = self._clock()
            for (customer_id, news), values in zip(chosen, found, strict=True):
                key, stored = view_key(customer_id), {}
                if isinstance(values, redis.ResponseError) and str(values).startswith("WRONGTYPE"):
                    pipe.delete(key)  # nobody else has a say in what these keys are
                elif isinstance(values, Exception):
                    raise values
                else:
                    stored = dict(zip(MERGED, values, strict=True))
                pipe.hset(key, mapping=merged(customer_id, stored, news, written_at_ms))
                pipe.pexpire(key, self._lifetime_ms)
            pipe.execute()
