"""From decoded structs to the columns of an ``EventBatch``, stream by stream and column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import is_not, itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.column_masks import ColumnMasks
from operators.event_layout import StreamLayout
from rules.model import STREAMS
from rules.plan import ColumnLayout
from state.hashing import Hashes, Key, text_hashes, value_bytes
from state.texts import Texts
from state.words import encode


class Columniser:
    """Makes columns of decoded events.

    Parameters
    ----------
    layout
        Which columns of a stream's fields go into which slots.
    masks
        The matchers.
    key
        The key of the hashes, two integers of 64 bits.
    """

    def __init__(self, layout: ColumnLayout, masks: ColumnMasks, key: Key) -> None:
        self.masks = masks
        self.key = key
        self.words = [layout.words.get(stream, ()) for stream in STREAMS]
        self.hashes = [layout.hashes.get(stream, ()) for stream in STREAMS]
        self.widths = (max(map(len, self.words)), max(map(len, self.hashes)))
        self.read = [
            tuple(sorted({*masks.columns(code), *self.words[code], *self.hashes[code]})) for code in range(len(STREAMS))
        ]

    def tables(
        self, layouts: Mapping[type, StreamLayout], rows: Sequence[Any], objects: list[Any]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64], npt.NDArray[np.int64], Hashes]:
        """Streams, masks, words and hashes of at least one struct; the words' objects are added to ``objects``."""
        types = set(map(type, rows))
        if len(types) == 1:
            layout = layouts[types.pop()]
            return np.full(len(rows), layout.code, np.uint8), *self._of_one_stream(layout, rows, objects)
        return self._of_streams(layouts, types, rows, objects)

    def _of_streams(
        self, layouts: Mapping[type, StreamLayout], types: set[type], rows: Sequence[Any], objects: list[Any]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64], npt.NDArray[np.int64], Hashes]:
        count = len(rows)
        codes = {kind: layouts[kind].code for kind in types}
        stream = np.fromiter(map(codes.__getitem__, map(type, rows)), np.uint8, count)
        masks = np.empty((count, self.masks.words), np.uint64)
        words = np.empty((count, self.widths[0]), np.int64)
        hashes = np.empty((count, self.widths[1]), np.uint64)
        for kind in types:
            places = np.flatnonzero(stream == codes[kind])
            chosen = itemgetter(*places.tolist())(rows)
            some = chosen if len(places) > 1 else (chosen,)
            masks[places], words[places], hashes[places] = self._of_one_stream(layouts[kind], some, objects)
        return stream, masks, words, hashes

    def _of_one_stream(
        self, layout: StreamLayout, rows: Sequence[Any], objects: list[Any]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], Hashes]:
        count, code = len(rows), layout.code
        columns = layout.columns(rows, self.read[code])
        words = np.zeros((count, self.widths[0]), np.int64)
        for slot, column in enumerate(self.words[code]):
            words[:, slot] = encode(columns[column], objects)
        hashes = np.zeros((count, self.widths[1]), np.uint64)
        for slot, column in enumerate(self.hashes[code]):
            hashes[:, slot] = hash_column(columns[column], self.key)
        return self.masks.masks(code, count, columns), words, hashes


def hash_column(values: Sequence[Any], key: Key) -> Hashes:
    """The hashes of some values, equal exactly where their ``value_key`` is; 0 for null and nothing else."""
    try:
        return text_hashes(Texts.from_strings(values), key)  # texts and nothing else, most often
    except TypeError:
        pass
    hashes = np.zeros(len(values), np.uint64)
    present = np.fromiter(map(is_not, values, repeat(None)), np.bool_, len(values))
    found = [value for value in values if value is not None]
    if set(map(type, found)) <= {str}:
        hashes[present] = text_hashes(Texts.from_strings(found), key)
    else:
        hashes[present] = text_hashes(Texts.from_lines(list(map(value_bytes, found))), key)
    return hashes
