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

from operators.annotate import Annotation
from operators.columns import EventColumns
from operators.dead_letters import FUTURE_TS, NOT_JSON, TOO_LONG, DeadLetter
from operators.decode_slow import MAX_DEPTH, Fault, check_event, is_too_deep
from operators.event_layout import StreamLayout
from rules.model import STREAMS

MAX_LINE_BYTES = 64 << 20
"""A longer message is a dead letter ``too_long``."""


@dataclass(slots=True)
class PartitionClock:
    """Event time of one source partition: the highest ``ts`` accepted so far, in ms; null before the first."""

    high_ms: int | None = None


@dataclass(slots=True)
class Decoded:
    """What became of some messages: every one is an event, a dead letter or a blank line."""

    events: EventColumns = field(default_factory=EventColumns)
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
        self._lateness_ms = lateness_ms
        self._max_jump_ms: float = max_jump_ms or math.inf
        layouts = [StreamLayout(stream, tuple(fields.get(stream, ())), annotate) for stream in STREAMS]
        self._names: dict[str, Sequence[str]] = {layout.stream: layout.names for layout in layouts}
        self._struct = {layout.stream: layout.struct for layout in layouts}
        self._code: dict[type, int] = {layout.struct: code for code, layout in enumerate(layouts)}
        self._values: dict[type, Callable[[Any], tuple[Any, ...]]] = {
            layout.struct: layout.values() for layout in layouts
        }
        self._typed = msgspec.json.Decoder(Union[tuple(layout.struct for layout in layouts)])  # noqa: UP007

    def decode(
        self, lines: list[bytes], source: str, first_line: int, clock: PartitionClock, *, separator: str = ":"
    ) -> Decoded:
        """Read ``lines``, one message each, and move ``clock`` on.

        ``source``, ``separator`` and the message's number, which for the first is ``first_line``, say in a dead
        letter where it was.
        """
        decoded = Decoded()
        unreadable = _unreadable(lines)
        typed = self._typed.decode
        lateness_ms, max_jump_ms = self._lateness_ms, self._max_jump_ms
        # Before the first event any ts will do and nothing is late.
        high_ms = -1 if clock.high_ms is None else clock.high_ms
        ceiling_ms = math.inf if clock.high_ms is None else high_ms + max_jump_ms
        watermark_ms = high_ms - lateness_ms
        rows: list[Any] = []
        raw: list[bytes] = []
        effective_ms: list[int] = []
        late: list[int] = []
        for offset, line in enumerate(lines):
            fault: Fault | None = None
            if unreadable and offset in unreadable:
                fault = Fault(unreadable[offset])
            else:
                try:
                    row = typed(line)
                except Exception:  # whatever the matter is, the careful reader says
                    if not line.strip():
                        decoded.blank_lines += 1
                        continue
                    row = self._read_carefully(line, ceiling_ms)
                    if row.__class__ is Fault:
                        fault = row
                if fault is None:
                    ts_ms = row.ts
                    if ts_ms > high_ms:
                        if ts_ms > ceiling_ms:
                            fault = Fault(FUTURE_TS, "ts")
                        else:
                            high_ms = ts_ms
                            ceiling_ms = ts_ms + max_jump_ms
                            watermark_ms = ts_ms - lateness_ms
                    elif ts_ms < watermark_ms:
                        late.append(len(rows))
                        ts_ms = watermark_ms
            if fault is not None:
                place = f"{source}{separator}{first_line + offset}"
                decoded.dead_letters.append(DeadLetter(line, place, fault.reason, fault.field))
                continue
            rows.append(row)
            raw.append(line)
            effective_ms.append(ts_ms)
        if rows:
            clock.high_ms = high_ms
        decoded.events = self._columns(rows, raw, effective_ms, late)
        return decoded

    def _read_carefully(self, line: bytes, ceiling_ms: float) -> Any:
        event = check_event(line, self._names, ceiling_ms)
        if isinstance(event, Fault):
            return event
        return self._struct[event.stream](event.event_id, event.customer_id, event.ts_ms, *event.values)

    def _columns(
        self, rows: list[Any], raw: list[bytes], effective_ms: list[int], late_rows: list[int]
    ) -> EventColumns:
        code, values = self._code, self._values
        late = [False] * len(rows)
        for index in late_rows:
            late[index] = True
        return EventColumns(
            stream=[code[row.__class__] for row in rows],
            event_id=[row.event_id for row in rows],
            customer_id=[row.customer_id for row in rows],
            ts_ms=[row.ts for row in rows],
            effective_ms=effective_ms,
            late=late,
            raw=raw,
            values=[values[row.__class__](row) for row in rows],
        )


def _unreadable(lines: list[bytes]) -> dict[int, str]:
    """The lines that no JSON decoder should see, and why: position to reason.

    The typed decoder does not look at the encoding of what it skips, and how deep it can go depends on the
    caller's stack. Both are checked for all lines at once where nothing is the matter.
    """
    longest = max(map(len, lines), default=0)
    if longest <= 2 * MAX_DEPTH:
        try:
            b"\n".join(lines).decode("utf-8")
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
