"""A column of byte strings: one buffer, and where in it each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from state.compiled import compiled
from state.load64 import PADDING

Buffer = npt.NDArray[np.uint8]
Starts = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]


class Texts:
    """``n`` byte strings. Several columns may share a buffer, so it may hold more than these strings.

    Attributes
    ----------
    buffer
        uint8, never written to (one array type for the kernels).
    starts, lengths
        int64[n] and int32[n], in bytes.
    """

    __slots__ = ("buffer", "lengths", "starts")

    def __init__(self, buffer: Buffer, starts: Starts, lengths: Lengths) -> None:
        buffer.setflags(write=False)
        self.buffer = buffer
        self.starts = starts
        self.lengths = lengths

    @classmethod
    def from_strings(cls, strings: Sequence[str]) -> Texts:
        """The strings in UTF-8. They hold no lone surrogates."""
        buffer = np.frombuffer("\0".join(strings).encode(), np.uint8)
        gaps = np.flatnonzero(buffer == 0)
        if len(gaps) + 1 == len(strings):
            return cls._between(buffer, gaps)
        return cls.from_lines([string.encode() for string in strings])  # some hold the separator, or there are none

    @classmethod
    def from_lines(cls, lines: Sequence[bytes], joined: bytes | None = None) -> Texts:
        """The lines; ``joined`` are all of them with one byte (any) between two, where that exists already."""
        count = len(lines)
        lengths = np.fromiter(map(len, lines), np.int32, count)
        starts = np.zeros(count, np.int64)
        np.cumsum(lengths[:-1] + 1, out=starts[1:])
        return cls(np.frombuffer(b"\n".join(lines) if joined is None else joined, np.uint8), starts, lengths)

    @classmethod
    def padded(cls, strings: Sequence[str]) -> Texts:
        """The strings in UTF-8, so that kernels may read them eight bytes at a time."""
        encoded = [string.encode() for string in strings]
        return cls.from_lines(encoded, b"\n".join([*encoded, bytes(PADDING)]))

    @classmethod
    def _between(cls, buffer: Buffer, gaps: npt.NDArray[np.int64]) -> Texts:
        starts = np.zeros(len(gaps) + 1, np.int64)
        lengths = np.empty(len(gaps) + 1, np.int32)
        starts[1:] = gaps
        starts[1:] += 1
        lengths[:-1] = gaps
        lengths[-1] = len(buffer)
        lengths -= starts.astype(np.int32)
        return cls(buffer, starts, lengths)

    @classmethod
    def concat(cls, parts: Sequence[Texts]) -> Texts:
        """All of them, one after the other: in their buffer if they share one, else in a buffer of their own."""
        if parts and all(part.buffer is parts[0].buffer for part in parts):
            starts = np.concatenate([part.starts for part in parts])
            return cls(parts[0].buffer, starts, np.concatenate([part.lengths for part in parts]))
        return cls._gathered(parts)

    @classmethod
    def _gathered(cls, parts: Sequence[Texts]) -> Texts:
        lengths = np.concatenate([part.lengths for part in parts]) if parts else np.empty(0, np.int32)
        starts, size = _consecutive(lengths)
        buffer = np.empty(size, np.uint8)
        at = 0
        for part in parts:
            at = _gather(part.buffer, part.starts, part.lengths, buffer, at)
        return cls(buffer, starts, lengths)

    @property
    def address(self) -> int:
        """Where the buffer is, for kernels; keep the column alive meanwhile."""
        return int(self.buffer.ctypes.data)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, part: slice) -> Texts:
        """Some consecutive strings, as views."""
        return self._with(self.starts[part], self.lengths[part])

    def _with(self, starts: Starts, lengths: Lengths) -> Texts:
        texts = Texts.__new__(Texts)
        texts.buffer, texts.starts, texts.lengths = self.buffer, starts, lengths
        return texts

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.compact()
        return Texts, (own.buffer, own.starts, own.lengths)

    def bytes_at(self, index: int) -> bytes:
        """One string."""
        start = int(self.starts[index])
        return self.buffer[start : start + int(self.lengths[index])].tobytes()

    def take(self, order: npt.NDArray[np.int64]) -> Texts:
        """The strings in another order, or some of them; the buffer is shared."""
        return self._with(self.starts[order], self.lengths[order])

    def compact(self) -> Texts:
        """The same strings, consecutively, in a buffer that holds nothing else."""
        return Texts._gathered([self])


def _consecutive(lengths: Lengths) -> tuple[Starts, int]:
    ends = np.cumsum(lengths, dtype=np.int64)
    return ends - lengths, int(ends[-1]) if len(ends) else 0


@compiled
def _gather(buffer: Buffer, starts: Starts, lengths: Lengths, target: Buffer, at: int) -> int:
    """Copy strings to consecutive places of ``target`` from ``at``; where they end."""
    for i in range(len(starts)):
        start = starts[i]
        for k in range(lengths[i]):
            target[at + k] = buffer[start + k]
        at += lengths[i]
    return at
