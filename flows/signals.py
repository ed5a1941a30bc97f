"""Ctrl-C and SIGTERM end a run in good order: what it started is stopped, what it made for itself is removed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_GRACE_SECONDS = 2.0
"""A reader that hangs (a pipe, a dead network drive) cannot be interrupted: then the process just ends."""


@contextmanager
def stopped_by_signals(message: str) -> Iterator[None]:
    """Within this, a signal ends the process: ``message`` on stderr, exit code 128 + the signal's number."""
    received: list[int] = []

    def give_up() -> None:
        print(message, file=sys.stderr, flush=True)
        os._exit(128 + received[0])

    timer = threading.Timer(_GRACE_SECONDS, give_up)
    timer.daemon = True

    def stop(number: int, _: object) -> None:
        if not received:
            received.append(number)
            timer.start()
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    except BaseException:  # the runtime may have made something else of it
        if not received:
            raise
        timer.cancel()
        print(message, file=sys.stderr)
        raise SystemExit(128 + received[0]) from None
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
