"""What every sink keeps to: lines that were flushed are safe at their target, in order, and nothing is lost.

A target that is away is tried again for ever, through `SinkEvents.failed`, which waits; meanwhile the flow stands and
memory stays bounded. What no attempt can mend raises `SinkError`. Lines may be written again after a restart or after
an attempt whose outcome nobody knows, so delivery is at least once: readers tell decisions apart by `action_id`, events
by stream, customer and `event_id`, dead letters by `source`.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition


class SinkError(Exception):
    """A target that cannot be written, whatever is tried; the message says which, why, and what to do."""


class SinkStopped(Exception):  # noqa: N818 - not an error: the process was told to stop while a target was away
    """The process has been told to stop while a target is away; what was not flushed comes again after a restart."""


class SinkEvents(Protocol):
    """What a sink tells the process. Sinks neither sleep nor read clocks: `failed` does the waiting."""

    def failed(self, sink: str, error: str, attempt: int) -> None:
        """An attempt failed, the ``attempt``-th in a row. Returns when it is time for the next.

        Raises
        ------
        SinkStopped
            The process has been told to stop.
        """

    def recovered(self, sink: str) -> None:
        """Writing works again after failures."""

    def written(self, sink: str, rows: int) -> None:
        """So many more lines are safe at the target."""

    def delivered(self, sink: str, times_ms: Sequence[int]) -> None:
        """The event times (`ts`) of decisions that are safe at the target from now on."""


Refused = Callable[[bytes, str], None]
"""Takes a line that its target refuses for what is in it, and the reason, and has made both safe when it returns."""


class Writer(Protocol):
    """One target of NDJSON lines, without their newlines, written from one thread."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Take lines over. They may be buffered up to a bound; beyond it this waits until there is room."""

    def flush(self) -> None:
        """Returns when every line that was written is safe at the target."""

    def close(self) -> None:
        """Lets go of the target at once. What was not flushed may be lost; never raises, never waits for the target."""


class Attempts:
    """Counts failures in a row of one sink, and tells of them and of their end."""

    def __init__(self, sink: str, events: SinkEvents) -> None:
        self.sink, self.events = sink, events
        self._failures = 0

    def failed(self, error: str) -> None:
        """Tells, and waits until it is time for the next attempt; raises SinkStopped as `SinkEvents.failed` does."""
        self._failures += 1
        self.events.failed(self.sink, error, self._failures)

    def worked(self) -> None:
        """An attempt worked."""
        if self._failures:
            self._failures = 0
            self.events.recovered(self.sink)


class DeadLetterRefusals:
    """Makes dead letters of lines that a target refuses; ``writer`` takes them, and is flushed with each.

    ``of`` names what was refused in the dead letter's source, such as ``clickhouse.decisions``.
    """

    def __init__(self, writer: Writer, of: str) -> None:
        self._writer, self._of = writer, of

    def __call__(self, line: bytes, reason: str) -> None:
        """Write the dead letter."""
        self._writer.write([dead_letter(line, f"{self._of}/{line_id(line)}", reason)])
        self._writer.flush()


def dead_letter(raw: bytes, source: str, reason: str, field: str | None = None) -> bytes:
    """A dead letter's line."""
    try:
        text, encoding = raw.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(raw).decode(), "base64"
    record = {"raw": text, "encoding": encoding, "source": source, "reason": reason, "field": field}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def line_id(line: bytes) -> str:
    """What tells a line apart: its `action_id`, `event_id` or `source`, or its length where it has none of them."""
    with contextlib.suppress(ValueError, AttributeError):
        record = json.loads(line)
        for name in ("action_id", "event_id", "source"):
            if isinstance(value := record.get(name), str):
                return value
    return f"{len(line)} bytes"


class _WriterPartition(StatefulSinkPartition[Any, None]):
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write_batch(self, values: list[Sequence[bytes]]) -> None:
        for lines in values:
            self._writer.write(lines)

    def snapshot(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        with contextlib.suppress(Exception):  # the runtime aborts if this raises while an error is on its way
            self._writer.close()


class WriterSink(FixedPartitionedSink[Any, None]):
    """The runtime's side of writers: items are (key, list of lines).

    Parameters
    ----------
    parts
        By name, how to make the writer of each partition that *this* process has; names are unique in the cluster.
    part_of
        The partition of an item's key, as an index into the sorted names of the whole cluster (taken modulo their
        number). One customer's lines must always have the same key, or partitions may overtake each other.
    """

    def __init__(self, parts: Mapping[str, Callable[[], Writer]], part_of: Callable[[str], int]) -> None:
        self._parts, self._part_of = dict(parts), part_of

    def list_parts(self) -> list[str]:
        """The names of this process's partitions."""
        return list(self._parts)

    def part_fn(self, item_key: str) -> int:
        """The index of a key's partition."""
        return self._part_of(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _WriterPartition:
        """A writer. It has nothing to resume from: what was not flushed comes again."""
        return _WriterPartition(self._parts[for_part]())
