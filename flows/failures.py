"""What a person is told when a run fails.

Bytewax wraps what our code raises; in a cluster it loses it (every process ends with a panic of the runtime that
names nothing). Hence the watched calls: they tell of an exception before it gets there.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flows.cluster import ClusterError
from flows.lines import SourceError
from sinks.contract import SinkError
from state.disk import StateError

Report = Callable[[BaseException], None]
Called = TypeVar("Called")


def known_failure(error: BaseException) -> BaseException | None:
    """The source's or sink's error that ``error`` is or was caused by; the runtime wraps what its steps raise."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SourceError | SinkError | StateError | ClusterError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def failure_message(error: BaseException) -> str:
    """The message of a known failure; a whole traceback for anything that should not happen."""
    known = known_failure(error)
    return str(known) if known is not None else "".join(traceback.format_exception(error))


def watched(called: Called, report: Report | None, *methods: str) -> Called:
    """``called`` with some of its methods made to report what they raise (the end of a source is no failure).

    A method called ``build_part`` gives an object that is watched likewise.
    """
    if report is not None:
        for name in methods:
            if hasattr(called, name):
                setattr(called, name, _watched_method(getattr(called, name), report, methods))
    return called


def _watched_method(method: Callable[..., Any], report: Report, methods: tuple[str, ...]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any) -> Any:
        try:
            result = method(*args)
        except StopIteration:
            raise
        except BaseException as error:
            report(error)
            raise
        return watched(result, report, *methods) if method.__name__ == "build_part" else result

    return call
