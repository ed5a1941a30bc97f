"""What a person is told when a run fails."""

from __future__ import annotations

import traceback

from flows.cluster import ClusterError
from flows.lines import SourceError
from sinks.files import SinkError


def known_failure(error: BaseException) -> BaseException | None:
    """The source's or sink's error that ``error`` is or was caused by; the runtime wraps what its steps raise."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SourceError | SinkError | ClusterError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def failure_message(error: BaseException) -> str:
    """The message of a known failure; a whole traceback for anything that should not happen."""
    known = known_failure(error)
    return str(known) if known is not None else "".join(traceback.format_exception(error))
