"""Events as arrays: what travels from the source partitions to the shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.exchange import Parcel, fetch, lay
from state.objects import ObjectTable
from state.texts import Texts
from state.words import restrict

_ARRAYS = ("effective_ms", "ts_ms", "stream", "masks", "words", "hashes", "customer_hash")
_TEXTS = ("event_id", "customer_id", "raw")
_NO_BYTES = np.empty(0, np.uint8)


@dataclass(slots=True)
class EventBatch:
    """``n`` events; all arrays are C-contiguous.

    Attributes
    ----------
    effective_ms, ts_ms
        int64[n]: the time at which an event takes effect, and its own time, which is lower only if it was late.
    stream
        uint8[n]: index into ``rules.model.STREAMS``.
    masks
        uint64[n, W]: bit i of word j is set if matcher 64 * j + i of the plan matches.
    words
        int64[n, K]: fields by the slots of ``ColumnLayout.words`` of the event's stream, 0 beyond them.
    hashes
        uint64[n, H]: hashes of fields by the slots of ``ColumnLayout.hashes``, 0 for null and beyond them.
    customer_hash
        uint64[n]: keyed hash of the customer's id.
    event_id, customer_id, raw
        The ids in UTF-8, and the message as it was read.
    objects
        The table of the words' objects; slices share it.
    """

    effective_ms: npt.NDArray[np.int64]
    ts_ms: npt.NDArray[np.int64]
    stream: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint64]
    words: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    customer_hash: npt.NDArray[np.uint64]
    event_id: Texts
    customer_id: Texts
    raw: Texts
    objects: list[Any] = field(default_factory=list)
    _sent: tuple[Any, ...] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def concat(cls, batches: Sequence[EventBatch]) -> EventBatch:
        """At least one batch, one after the other; of their objects those in use."""
        if len(batches) == 1:
            return batches[0]
        objects: list[Any] = []
        words = [restrict(batch.words, batch.objects, objects) for batch in batches]
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(batch, name) for batch in batches]) for name in _ARRAYS if name != "words"
        }
        for name in _TEXTS:
            columns[name] = Texts.concat([getattr(batch, name) for batch in batches])
        return cls(**columns, words=np.concatenate(words), objects=objects)

    def __len__(self) -> int:
        return len(self.effective_ms)

    def slice(self, start: int, end: int) -> EventBatch:
        """Some consecutive events, as views; pickled, it is only them."""
        part = slice(start, end)
        return EventBatch(
            self.effective_ms[part], self.ts_ms[part], self.stream[part], self.masks[part], self.words[part],
            self.hashes[part], self.customer_hash[part], self.event_id[part], self.customer_id[part], self.raw[part],
            self.objects,
        )  # fmt: skip

    def take(self, order: npt.NDArray[np.int64]) -> EventBatch:
        """The events in another order, or some of them."""
        return EventBatch(
            self.effective_ms.take(order), self.ts_ms.take(order), self.stream.take(order), self.masks.take(order, 0),
            self.words.take(order, 0), self.hashes.take(order, 0), self.customer_hash.take(order),
            self.event_id.take(order), self.customer_id.take(order), self.raw.take(order), self.objects,
        )  # fmt: skip

    def apart(self) -> EventBatch:
        """The same events, in memory that nothing else is in."""
        arrays: dict[str, Any] = {name: getattr(self, name).copy() for name in _ARRAYS}
        texts: dict[str, Any] = {name: getattr(self, name).compact() for name in _TEXTS}
        return EventBatch(**arrays, **texts, objects=self.objects)

    def without_messages(self) -> EventBatch:
        """The same events, each with an empty message."""
        count = len(self)
        return replace(self, raw=Texts(_NO_BYTES, np.zeros(count, np.int64), np.zeros(count, np.int32)))

    def adopted(self, table: ObjectTable) -> EventBatch:
        """The same events with the objects of a table of the process's, and none of their own."""
        return replace(self, words=table.adopt(self.words, self.objects), objects=[])

    def __reduce__(self) -> tuple[Any, ...]:
        """The runtime pickles what it sends twice: to know the length, and to write it. It is for one receiver."""
        if self._sent is None:
            self._sent = self._packed()
        return self._sent

    def _packed(self) -> tuple[Any, ...]:
        objects: list[Any] = []
        words = restrict(self.words, self.objects, objects)
        texts = [getattr(self, name) for name in _TEXTS]
        text_bytes = [text.size for text in texts]
        arrays = (
            self.effective_ms, self.ts_ms, self.masks, words, self.hashes, self.customer_hash,
            *(text.lengths for text in texts), self.stream,
        )  # fmt: skip
        widths = len(self), self.masks.shape[1], words.shape[1], self.hashes.shape[1]
        # one piece of bytes: pickling an array takes longer than copying a small one
        size = sum(array.nbytes for array in arrays) + sum(text_bytes)
        parcel, memory = lay(size) or (None, np.empty(size, np.uint8))
        at = 0
        for array in arrays:
            memory[at : at + array.nbytes] = array.reshape(-1).view(np.uint8)
            at += array.nbytes
        for text, length in zip(texts, text_bytes, strict=True):
            text.write_to(memory[at : at + length])
            at += length
        return _unpack, (widths, text_bytes, parcel or memory.tobytes(), objects)


def _unpack(
    widths: tuple[int, int, int, int], text_bytes: list[int], packed: Parcel | bytes, objects: list[Any]
) -> EventBatch:
    count, masks, words, hashes = widths
    # arrays over it are writable, as all others are: kernels know one type
    memory = fetch(packed) if isinstance(packed, Parcel) else bytearray(packed)
    at = 0

    def column(kind: Any, length: int, width: int = 0) -> Any:
        nonlocal at
        array = np.frombuffer(memory, kind, length * (width if width else 1), at)
        at += array.nbytes
        return array.reshape(length, width) if width else array

    times = column(np.int64, count), column(np.int64, count)
    tables: list[Any] = [
        column(kind, count, width) if width else np.empty((count, 0), kind)
        for kind, width in ((np.uint64, masks), (np.int64, words), (np.uint64, hashes))
    ]
    customer_hash = column(np.uint64, count)
    lengths = [column(np.int32, count) for _ in _TEXTS]
    stream = column(np.uint8, count)
    texts = [
        Texts.consecutive(column(np.uint8, size), length) for size, length in zip(text_bytes, lengths, strict=True)
    ]
    event_id, customer_id, raw = texts
    effective_ms, ts_ms = times
    mask_table, word_table, hash_table = tables
    return EventBatch(
        effective_ms, ts_ms, stream, mask_table, word_table, hash_table, customer_hash, event_id, customer_id, raw,
        objects
    )  # fmt: skip
