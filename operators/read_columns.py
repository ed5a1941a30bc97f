"""From lines to an ``EventBatch``: the scanner takes the plain messages, the decoders what it leaves."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from operators.batch import EventBatch
from operators.columnise import Columniser
from operators.dead_letters import FUTURE_TS, DeadLetter
from operators.decode import Decoder, PartitionClock
from operators.decode_slow import Fault
from operators.event_schema import DEFAULT_CURRENCY
from operators.line_buffer import TAIL, LineBuffer
from operators.scan import NO_CEILING, advance, scan
from operators.scan_check import check
from operators.scan_tables import ScanTables
from operators.scan_values import ABSENT, NULL, TEXT
from operators.span_masks import SpanMasks
from operators.spans import SpanColumn
from rules.model import STREAMS
from state.hashing import text_hashes
from state.texts import Texts


@dataclass(slots=True)
class ReadBatch:
    """What became of some lines.

    The events are first those that the scanner took, then the others, both in the order of the lines; ``dead_lines``
    are the numbers of the lines that became dead letters.
    """

    events: EventBatch
    dead_letters: list[DeadLetter] = field(default_factory=list)
    dead_lines: list[int] = field(default_factory=list)
    blank_lines: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines of one source partition.

    ``place`` says of a line, by its number in the run, where it came from; ``message``, where given, what it was before
    it became a line.
    """

    count: int
    clock: PartitionClock
    place: Callable[[int], str]
    message: Callable[[int], bytes] | None = None


class ColumnReader:
    """Reads messages into batches; holds no state between calls but what it remembers of texts.

    Parameters
    ----------
    fields
        The fields that the rules read, by stream, as the ``decoder`` has them.
    decoder, columniser
        What makes events of the messages that are not plain.
    """

    def __init__(self, fields: Mapping[str, Sequence[str]], decoder: Decoder, columniser: Columniser) -> None:
        self._decoder = decoder
        self._columniser = columniser
        self._max_jump_ms = 0 if decoder.max_jump_ms == math.inf else int(decoder.max_jump_ms)
        self._masks = SpanMasks(columniser.masks)
        self._tables = ScanTables(fields, columniser.read)

    def read(
        self, lines: Sequence[bytes], source: str, first_line: int, clock: PartitionClock, *, separator: str = ":"
    ) -> ReadBatch:
        """Read ``lines``, one message each, and move ``clock`` on; the arguments are those of ``Decoder.decode``.

        Lines in a ``LineBuffer`` are read where they are, others are put into one.
        """
        run = Run(len(lines), clock, lambda number: f"{source}{separator}{first_line + number}")
        return self.read_runs(lines, [run])

    def read_runs(self, lines: Sequence[bytes], runs: Sequence[Run]) -> ReadBatch:
        """Read ``lines``, which are those of the runs one after the other, and move the runs' clocks on."""
        raw = LineBuffer.of_lines(lines).texts
        scanned = _Scanned(raw, self._tables)
        left = np.flatnonzero(scanned.taken == 0).tolist()
        found = self._decoder.read_left_over([raw.bytes_at(i) for i in left], NO_CEILING) if left else []
        is_event = scanned.taken.copy()
        for i, row in zip(left, found, strict=True):
            if row is not None and row.__class__ is not Fault:
                is_event[i], scanned.ts_ms[i] = 1, row.ts
        wanted = is_event.copy()
        effective_ms, ceiling_ms = np.zeros(len(lines), np.int64), np.empty(len(lines), np.int64)
        starts = list(accumulate((run.count for run in runs), initial=0))
        for run, part in zip(runs, starts, strict=False):
            self._advance(run.clock, slice(part, part + run.count), scanned.ts_ms, is_event, effective_ms, ceiling_ms)
        faults = {int(i): Fault(FUTURE_TS, "ts") for i in np.flatnonzero(wanted != is_event)}
        for i, row in zip(left, found, strict=True):
            if row.__class__ is Fault:
                ceiling = int(ceiling_ms[i])  # with it, another fault may be the first
                faults[i] = (
                    row if ceiling == NO_CEILING else self._decoder.read_left_over([raw.bytes_at(i)], ceiling)[0]
                )
        letters: list[DeadLetter] = []
        for i in sorted(faults):
            number = bisect_right(starts, i) - 1
            run, at = runs[number], i - starts[number]
            message = raw.bytes_at(i) if run.message is None else run.message(at)
            letters.append(DeadLetter(message, run.place(at), faults[i].reason, faults[i].field))
        others = [(i, row) for i, row in zip(left, found, strict=True) if is_event[i]]
        events = self._batch(raw, scanned, np.flatnonzero(scanned.taken & is_event), others, effective_ms)
        return ReadBatch(events, letters, sorted(faults), sum(row is None for row in found))

    def _advance(
        self, clock: PartitionClock, part: slice, ts_ms: Any, is_event: Any, effective_ms: Any, ceiling_ms: Any
    ) -> None:
        high_ms = advance(
            ts_ms[part], is_event[part], -1 if clock.high_ms is None else clock.high_ms, self._decoder.lateness_ms,
            self._max_jump_ms, clock.floor_ms, clock.latest_ms, effective_ms[part], ceiling_ms[part],
        )  # fmt: skip
        if high_ms >= 0:
            clock.high_ms = high_ms

    def _batch(
        self, raw: Texts, scanned: _Scanned, rows: Any, others: list[tuple[int, Any]], effective_ms: Any
    ) -> EventBatch:
        """The batch of the lines ``rows``, which the scanner took, and after them of the ``others``, with structs."""
        count, columniser = len(rows), self._columniser
        size = count + len(others)
        masks = np.empty((size, columniser.masks.words), np.uint64)
        words = np.zeros((size, columniser.widths[0]), np.int64)
        hashes = np.zeros((size, columniser.widths[1]), np.uint64)
        objects: list[Any] = []
        every = count == len(scanned.taken)
        stream = scanned.stream if every else scanned.stream[rows]
        self._fill(scanned, None if every else rows, stream, (masks[:count], words[:count], hashes[:count]), objects)
        lines: Any = slice(None) if every else rows
        event_id, customer_id = scanned.texts(2, lines), scanned.texts(3, lines)
        if others:
            structs = [row for _, row in others]
            lines = np.concatenate([rows, np.array([i for i, _ in others], np.int64)])
            codes, *tables = columniser.tables(self._decoder.layouts, structs, objects)
            stream = np.concatenate([stream, codes])
            for whole, part in zip((masks, words, hashes), tables, strict=True):
                whole[count:] = part
            event_id = Texts.concat([event_id, Texts.from_strings([row.event_id for row in structs])])
            customer_id = Texts.concat([customer_id, Texts.from_strings([row.customer_id for row in structs])])
        return EventBatch(
            effective_ms=effective_ms[lines], ts_ms=scanned.ts_ms[lines], stream=stream, masks=masks, words=words,
            hashes=hashes, customer_hash=text_hashes(customer_id, columniser.key), event_id=event_id,
            customer_id=customer_id, raw=raw if every else raw.take(lines), objects=objects,
        )  # fmt: skip

    def _fill(
        self, scanned: _Scanned, rows: Any, stream: Any, tables: tuple[Any, Any, Any], objects: list[Any]
    ) -> None:
        """Fill masks, words and hashes of the lines ``rows`` (all, if that is null), which the scanner took."""
        columniser, (masks, words, hashes) = self._columniser, tables
        for code in np.flatnonzero(np.bincount(stream, minlength=len(STREAMS))).tolist():
            places: Any = np.flatnonzero(stream == code)
            number = len(places)
            lines = places if rows is None else rows[places]
            if number == len(stream):
                places = slice(None)
                lines = slice(None) if rows is None else rows
            columns = {c: scanned.column(code, c, lines, columniser.key) for c in columniser.read[code]}
            # column by column: NumPy is slow at choosing rows of several cells
            masks_of = self._masks.masks(code, number, columns)
            for word in range(columniser.masks.words):
                masks[:, word][places] = masks_of[:, word]
            for slot, column in enumerate(columniser.words[code]):
                words[:, slot][places] = columns[column].words(objects)
            for slot, column in enumerate(columniser.hashes[code]):
                hashes[:, slot][places] = columns[column].hashes()


class _Scanned:
    """The scanner's findings in some lines."""

    def __init__(self, raw: Texts, tables: ScanTables) -> None:
        count, names = len(raw), tables.names
        self._raw = raw
        self._tables = tables
        self.taken = np.empty(count, np.uint8)
        self.stream = np.zeros(count, np.uint8)
        self.ts_ms = np.zeros(count, np.int64)
        self._kinds = np.zeros((names, count), np.uint8)
        self._values = np.empty((names, count), np.int64)
        self._sizes = np.empty((names, count), np.int32)
        found = (self.taken, self._kinds, self._values, self._sizes)
        scan(raw.address, raw.starts, raw.lengths, *tables.for_scan, *found)
        check(raw.address, *tables.for_check, *found, self.stream, self.ts_ms)

    def texts(self, name: int, lines: Any) -> Texts:
        """The texts of a name, in the lines given."""
        return Texts(self._raw.buffer, self._values[name][lines], self._sizes[name][lines])

    def column(self, code: int, column: int, lines: Any, key: tuple[int, int]) -> SpanColumn:
        """A column of a stream's fields, in the lines given."""
        name = self._tables.name_of[code][column]
        kinds, values, sizes = self._kinds[name][lines], self._values[name][lines], self._sizes[name][lines]
        if self._tables.is_currency(code, column):
            absent = (kinds == ABSENT) | (kinds == NULL)
            if absent.any():
                kinds, values, sizes = kinds.copy(), values.copy(), sizes.copy()
                kinds[absent], values[absent] = TEXT, len(self._raw.buffer) - len(TAIL)
                sizes[absent] = len(DEFAULT_CURRENCY)
        return SpanColumn(self._raw.buffer, kinds, values, sizes, key)
