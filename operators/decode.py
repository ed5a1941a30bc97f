"""From raw messages to event columns.

A typed decoder that knows only the fields the rules read takes almost every message; what it refuses is read
again with care, and becomes an event after all or a dead letter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import msgspec
import numpy as np
import numpy.typing as npt

from operators.annotate import Annotation
from operators.dead_letters import FUTURE_TS, NOT_JSON, TOO_LONG, DeadLetter
from operators.decode_slow import MAX_DEPTH, Fault, check_event, is_too_deep
from operators.event_layout import StreamLayout
from operators.scan import NO_CEILING
from rules.model import STREAMS
from state.sequencer import BEFORE_ALL_MS

Times = npt.NDArray[np.int64]

MAX_LINE_BYTES = 64 << 20
"""A longer message is a dead letter ``too_long``."""


@dataclass(slots=True)
class PartitionClock:
    """Event time of one source partition, in ms since 1970.

    Attributes
    ----------
    high_ms
        The highest ``ts`` accepted so far; null before the first.
    floor_ms, latest_ms
        In a live run: the watermark that the whole engine was promised, before which no event takes effect any more,
        and the latest ``ts`` that the wall clock allows. ``ColumnReader`` alone looks at them.
    """

    high_ms: int | None = None
    floor_ms: int = BEFORE_ALL_MS
    latest_ms: int = NO_CEILING


@dataclass(slots=True)
class Decoded:
    """What became of some messages: every one is an event, a dead letter or a blank line.

    Attributes
    ----------
    layouts
        The streams, by the type of their events.
    events, raw
        The events in arrival order, and their messages.
    ts_ms, effective_ms
        int64: the events' own times and those at which they take effect, which are higher only for late events (below
        the partition's watermark when they were read). In ms since 1970-01-01T00:00:00Z.
    """

    layouts: Mapping[type, StreamLayout]
    events: list[Any] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    ts_ms: Times = field(default_factory=lambda: np.empty(0, np.int64))
    effective_ms: Times = field(default_factory=lambda: np.empty(0, np.int64))
    dead_letters: list[DeadLetter] = field(default_factory=list)
    blank_lines: int = 0


class Decoder:
    """Reads messages into columns; holds no state between calls (that is in the ``PartitionClock``).

    Parameters
    ----------
    fields
        The fields that the rules read, by stream, in the order of the ``values`` tuples. A stream that is missing
        has empty tuples.
    lateness_ms
        How far a partition's watermark is behind its highest ``ts``.
    max_jump_ms
        A ``ts`` more than this above the highest so far is a dead letter; 0 for no such limit.
    annotate
        Text of a feedback event to its annotation; null for no sentiment, topics and keywords but the event's own.
    """

    def __init__(
        self,
        fields: Mapping[str, Sequence[str]],
        *,
        lateness_ms: int,
        max_jump_ms: int,
        annotate: Callable[[str | None], Annotation] | None,
    ) -> None:
        unknown = set(fields) - set(STREAMS)
        if unknown:
            raise ValueError(f"unknown stream {sorted(unknown)[0]!r}")
        self.lateness_ms = lateness_ms
        self.max_jump_ms: float = max_jump_ms or math.inf
        layouts = [StreamLayout(stream, tuple(fields.get(stream, ())), annotate) for stream in STREAMS]
        self.layouts = {layout.struct: layout for layout in layouts}
        self._names: dict[str, Sequence[str]] = {layout.stream: layout.names for layout in layouts}
        self._struct = {layout.stream: layout.struct for layout in layouts}
        self._typed = msgspec.json.Decoder(Union[tuple(layout.struct for layout in layouts)])  # noqa: UP007

    def decode(
        self, lines: Sequence[bytes], source: str, first_line: int, clock: PartitionClock, *, separator: str = ":"
    ) -> Decoded:
        """Read ``lines``, one message each, and move ``clock`` on.

        ``source``, ``separator`` and the message's number, which for the first is ``first_line``, say in a dead
        letter where it was.
        """
        lines = list(lines)
        joined = b"\n".join(lines)
        unreadable = _unreadable(lines, joined)
        rows, refused = ([None] * len(lines), True) if unreadable else self._read(lines)
        if not refused:
            times = self._times(rows, clock)
            if times is not None:
                return Decoded(self.layouts, rows, lines, *times)
        return self._decode_in_turn(lines, rows, unreadable, f"{source}{separator}", first_line, clock)

    def values(self, message: bytes) -> tuple[Any, ...]:
        """The fields that the rules read, of a message that is an event."""
        row = self._read_again(message, math.inf)
        values: tuple[Any, ...] = self.layouts[row.__class__].values(row)
        return values

    def _read(self, lines: list[bytes]) -> tuple[list[Any], bool]:
        """The lines' structs, null where the typed decoder refuses, and whether it does anywhere."""
        typed = self._typed.decode
        rows: list[Any] = []
        waiting = iter(lines)
        refused = False
        while len(rows) < len(lines):
            try:
                rows.extend(map(typed, waiting))
            except Exception:  # whatever the matter is, the careful reader says
                rows.append(None)
                refused = True
        return rows, refused

    def _times(self, rows: list[Any], clock: PartitionClock) -> tuple[Times, Times] | None:
        """Own and effective times of the events, and the clock moved on; null if a ``ts`` is too far in the future."""
        if not rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        ts_ms = np.fromiter([row.ts for row in rows], np.int64, len(rows))
        high_ms = np.maximum.accumulate(ts_ms)
        # Before the first event any ts will do and nothing is late.
        before_ms = np.empty_like(high_ms)
        before_ms[0] = ts_ms[0] if clock.high_ms is None else clock.high_ms
        np.maximum(high_ms[:-1], before_ms[0], out=before_ms[1:])
        if np.any(ts_ms - before_ms > self.max_jump_ms):
            return None
        clock.high_ms = int(max(before_ms[-1], ts_ms[-1]))
        return ts_ms, np.maximum(ts_ms, before_ms - self.lateness_ms)

    def _decode_in_turn(
        self, lines: list[bytes], rows: list[Any], unreadable: Mapping[int, str], place: str, first_line: int,
        clock: PartitionClock,
    ) -> Decoded:  # fmt: skip
        """As ``decode``, where messages are refused: whether one is too far in the future depends on those before."""
        decoded = Decoded(self.layouts)
        lateness_ms, max_jump_ms = self.lateness_ms, self.max_jump_ms
        high_ms = -1 if clock.high_ms is None else clock.high_ms
        ceiling_ms = math.inf if clock.high_ms is None else high_ms + max_jump_ms
        watermark_ms = high_ms - lateness_ms
        ts: list[int] = []
        effective: list[int] = []
        for offset, line in enumerate(lines):
            row = rows[offset]
            if row is None:
                if not line.strip():
                    decoded.blank_lines += 1
                    continue
                row = Fault(unreadable[offset]) if offset in unreadable else self._read_again(line, ceiling_ms)
            if row.__class__ is not Fault:
                ts_ms = effective_ms = row.ts
                if ts_ms > high_ms:
                    if ts_ms > ceiling_ms:
                        row = Fault(FUTURE_TS, "ts")
                    else:
                        high_ms = ts_ms
                        ceiling_ms = ts_ms + max_jump_ms
                        watermark_ms = ts_ms - lateness_ms
                elif ts_ms < watermark_ms:
                    effective_ms = watermark_ms
            if row.__class__ is Fault:
                decoded.dead_letters.append(DeadLetter(line, f"{place}{first_line + offset}", row.reason, row.field))
                continue
            decoded.events.append(row)
            decoded.raw.append(line)
            ts.append(ts_ms)
            effective.append(effective_ms)
        if ts:
            clock.high_ms = high_ms
        decoded.ts_ms, decoded.effective_ms = np.array(ts, np.int64), np.array(effective, np.int64)
        return decoded

    def read_left_over(self, lines: list[bytes], ceiling_ms: float) -> list[Any]:
        """Of each line, which no scanner took, its struct, its ``Fault``, or null where it is blank."""
        unreadable = _unreadable(lines, b"\n".join(lines))
        found: list[Any] = []
        for offset, line in enumerate(lines):
            if offset in unreadable:
                found.append(Fault(unreadable[offset]))
            else:
                found.append(self._read_again(line, ceiling_ms) if line.strip() else None)
        return found

    def _read_again(self, line: bytes, ceiling_ms: float) -> Any:
        try:
            return self._typed.decode(line)
        except Exception:
            return self._read_carefully(line, ceiling_ms)

    def _read_carefully(self, line: bytes, ceiling_ms: float) -> Any:
        event = check_event(line, self._names, ceiling_ms)
        if isinstance(event, Fault):
            return event
        return self._struct[event.stream](event.event_id, event.customer_id, event.ts_ms, *event.values)


def _unreadable(lines: list[bytes], joined: bytes) -> dict[int, str]:
    """The lines that no JSON decoder should see, and why: position to reason.

    The typed decoder does not look at the encoding of what it skips, and how deep it can go depends on the
    caller's stack. Both are checked for all lines at once where nothing is the matter.
    """
    longest = max(map(len, lines), default=0)
    if longest <= 2 * MAX_DEPTH:
        try:
            joined.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return {}
    found: dict[int, str] = {}
    for index, line in enumerate(lines):
        if len(line) > MAX_LINE_BYTES:
            found[index] = TOO_LONG
        elif not _is_utf8(line) or (len(line) > 2 * MAX_DEPTH and is_too_deep(line)):
            found[index] = NOT_JSON
    return found


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
