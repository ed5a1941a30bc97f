"""Rows as another plan lays them out: what both plans keep stays, the rest begins empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state import tables
from state.layout import Layout
from state.log import TIME_SHIFT, Words, block_sizes
from state.row_snapshots import RowFrame, Sections
from state.store import RowStore

_SIZES = block_sizes()


@dataclass(frozen=True, slots=True)
class Counterparts:
    """What of a new plan is what of the old one, by number: new to old; what is not there is new.

    ``words`` and ``hashes``: slots by stream and slot. ``rises``: (first of the new plan, first of the old, how many),
    numbers of what ``rises`` remember.
    """

    matchers: Mapping[int, int]
    words: Mapping[tuple[int, int], int]
    hashes: Mapping[tuple[int, int], int]
    series: Mapping[int, int]
    rises: Sequence[tuple[int, int, int]] = ()


class RowMapping:
    """Turns frames of rows of one layout into frames of another.

    What a row knows of its profile and of holdings is left out, and so is which rules wait: both are elsewhere too.
    """

    def __init__(self, old: Layout, new: Layout, same: Counterparts) -> None:
        self._old, self._new, self._same = old, new, same

    @property
    def old_row_words(self) -> int:
        """Words of a row of the old layout."""
        return self._old.row_words

    def apply(self, frame: RowFrame) -> RowFrame:
        """The rows in the new layout; of the old one nothing is shared but the ids and the objects."""
        old, new = self._old, self._new
        count = len(frame.fixed)
        fixed = np.zeros((count, new.row_words), np.int64)
        fixed[:, tables.R_FLAGS] = frame.fixed[:, tables.R_FLAGS]
        for own, given, length in self._words():
            fixed[:, own : own + length] = frame.fixed[:, given : given + length]
        for first, old_first, rises in self._same.rises:
            for slot in range(rises):
                word, shift = divmod(old_first + slot, 32)
                state = frame.fixed[:, old.rise_offset + word] >> 2 * shift & 3
                word, shift = divmod(first + slot, 32)
                fixed[:, new.rise_offset + word] |= state << 2 * shift
        blocks, used = [np.zeros(1, np.int64)], 1
        for stream in range(tables.STREAMS):
            if old.bits[stream] and new.bits[stream]:
                records, owners = self._records(frame, stream)
                block = _put_logs(fixed, new.headers[stream], records, owners, used)
                blocks.append(block)
                used += len(block)
        return RowFrame(
            frame.hashes, frame.ids, frame.removed_hashes, frame.removed_ids, fixed, np.concatenate(blocks),
            frame.objects,
        )  # fmt: skip

    def _words(self) -> list[tuple[int, int, int]]:
        """Words that updates keep: their place in the new row and in the old one, and how many."""
        places = []
        for series, old_series in self._same.series.items():
            update, given = self._new.update_of.get(series), self._old.update_of.get(old_series)
            if update is not None and given is not None:
                own, length = self._new.update_place(update)
                old_place, old_length = self._old.update_place(given)
                assert length <= old_length, (series, length, old_length)  # totals without squares begin those with
                places.append((own, old_place, length))
        return places

    def _records(self, frame: RowFrame, stream: int) -> tuple[Words, Words]:
        """The records of all logs of a stream, in the new form and by row; and the rows that they belong to."""
        old, new, same = self._old, self._new, self._same
        given, owners = _take_logs(frame, old.headers[stream], old.record_words(stream))
        records = np.zeros((len(given), new.record_words(stream)), np.int64)
        for matcher, bit in new.bits[stream].items():
            if matcher >= 0 and same.matchers.get(matcher) in old.bits[stream]:
                set_bit(records, new.place(bit), has_bit(given, old.place(old.bits[stream][same.matchers[matcher]])))
        kept = records.any(axis=1)
        records[:, 0] |= given[:, 0] >> TIME_SHIFT << TIME_SHIFT
        for slots, counterpart, place, old_place in (
            (new.values[stream], same.words, new.value_place, old.value_place),
            (new.hashed[stream], same.hashes, new.hash_place, old.hash_place),
        ):
            old_slots = old.values[stream] if slots is new.values[stream] else old.hashed[stream]
            for slot in slots:
                if counterpart.get((stream, slot)) in old_slots:
                    records[:, place(stream, slot)] = given[:, old_place(stream, counterpart[stream, slot])]
        records, owners = records[kept], owners[kept]
        for matcher, flag, slot in new.flagged(stream):
            matched = has_bit(records, new.place(new.bits[stream][matcher]))
            _flag_last(records, owners, matched, new.place(flag), new.hash_place(stream, slot))
        return records, owners


def read_rows(name: str, sections: Sections, store: RowStore, mapping: RowMapping | None) -> RowFrame:
    """The rows of one file for a store; ``mapping``: from the layout that they were written in, if it is another."""
    if mapping is None:
        return RowFrame.from_sections(name, sections, store.row_words)
    return mapping.apply(RowFrame.from_sections(name, sections, mapping.old_row_words))


def set_profile(store: RowStore, layout: Layout, row: int, matched: Sequence[bool], values: Sequence[Any]) -> None:
    """Let a row know of its profile what programs look at: which matchers match, by number, and scalars.

    An event does this in the kernels; this is for profiles that came before there was such a program.
    """
    at = layout.profile_row[0]
    for number, matches in enumerate(matched):
        if matches:
            store.fixed.view(np.uint64)[row, at + number // 64] |= np.uint64(1 << number % 64)
    at += -(-len(matched) // 64)
    store.fixed[row, at : at + len(values)] = [store.objects.word(value) for value in values]
    store.flag(row, tables.HAS_PROFILE)


def has_bit(records: Words, place: tuple[int, int]) -> NDArray[np.bool_]:
    """Which records have a bit; ``place``: the word, and the bit in it."""
    return (records[:, place[0]] >> place[1] & 1).astype(np.bool_)


def set_bit(records: Words, place: tuple[int, int], on: NDArray[np.bool_]) -> None:
    """Set a bit of some records."""
    records.view(np.uint64)[:, place[0]] |= on.astype(np.uint64) << np.uint64(place[1])


def _flag_last(
    records: Words, owners: Words, matched: NDArray[np.bool_], flag: tuple[int, int], hash_place: int
) -> None:
    """Flag, of each row and value, the last record that matches."""
    hashes = records[:, hash_place]
    chosen = np.flatnonzero(matched & (hashes != 0))
    order = chosen[np.lexsort((chosen, hashes[chosen], owners[chosen]))]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (owners[order[1:]] != owners[order[:-1]]) | (hashes[order[1:]] != hashes[order[:-1]])
    on = np.zeros(len(records), np.bool_)
    on[order[last]] = True
    set_bit(records, flag, on)


def _take_logs(frame: RowFrame, header: int, width: int) -> tuple[Words, Words]:
    """The records of a frame's logs, which have no indexes, as int64[n, width]; and their rows."""
    blocks = frame.fixed[:, header]
    counts = np.where(blocks != 0, frame.fixed[:, header + 1], 0)
    owners = np.repeat(np.arange(len(counts)), counts)
    at = _places(blocks >> 8, counts, width)
    return frame.pool[at[:, None] + np.arange(width)], owners


def _put_logs(fixed: Words, header: int, records: Words, owners: Words, start: int) -> Words:
    """Note in the rows where their logs are; the logs' blocks, which begin at offset ``start``."""
    width = records.shape[1]
    counts = np.bincount(owners, minlength=len(fixed))
    classes = np.searchsorted(_SIZES, counts * width)
    sizes = np.where(counts > 0, _SIZES[classes], 0)
    offsets = start + np.cumsum(sizes) - sizes
    block = np.zeros(int(sizes.sum()), np.int64)
    block[_places(offsets - start, counts, width)[:, None] + np.arange(width)] = records
    fixed[:, header] = np.where(counts > 0, offsets << 8 | classes, 0)
    fixed[:, header + 1] = counts
    return block


def _places(offsets: Words, counts: Words, width: int) -> Words:
    """Where each record of some logs begins."""
    numbers: Words = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    places: Words = np.repeat(offsets, counts) + numbers * width
    return places
