"""A column of byte strings: one buffer, and where in it each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import string_at
from typing import Any

import numpy as np
import numpy.typing as npt

from state.cells import address
from state.compiled import compiled
from state.copying import copy_bytes
from state.load64 import PADDING

Buffer = npt.NDArray[np.uint8]
Starts = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]


class Texts:
    """``n`` byte strings. Several columns may share a buffer, so it may hold more than these strings.

    Attributes
    ----------
    address, starts, lengths
        String i is the ``lengths[i]`` bytes (int32) from ``address + starts[i]`` (int64).
    owners
        The uint8 buffers that hold them; they are never written to. Columns of several buffers have address 0.
    """

    __slots__ = ("address", "lengths", "owners", "starts")

    def __init__(self, buffer: Buffer, starts: Starts, lengths: Lengths) -> None:
        buffer.setflags(write=False)
        self.owners: tuple[Buffer, ...] = (buffer,)
        self.address = address(buffer)
        self.starts = starts
        self.lengths = lengths

    @property
    def buffer(self) -> Buffer:
        """The only buffer."""
        (buffer,) = self.owners
        return buffer

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
        """At least one column, one after the other; no string is copied."""
        lengths = np.concatenate([part.lengths for part in parts])
        if all(part.address == parts[0].address for part in parts):
            joined = parts[0]._with(np.concatenate([part.starts for part in parts]), lengths)
        else:
            joined = parts[0]._with(np.concatenate([part.starts + part.address for part in parts]), lengths)
            joined.address = 0
        owners = {id(owner): owner for part in parts for owner in part.owners}
        joined.owners = tuple(owners.values())
        return joined

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, part: slice) -> Texts:
        """Some consecutive strings, as views."""
        return self._with(self.starts[part], self.lengths[part])

    def _with(self, starts: Starts, lengths: Lengths) -> Texts:
        texts = Texts.__new__(Texts)
        texts.owners, texts.address, texts.starts, texts.lengths = self.owners, self.address, starts, lengths
        return texts

    @classmethod
    def consecutive(cls, buffer: Buffer, lengths: Lengths) -> Texts:
        """Strings that fill a buffer."""
        return cls(buffer, _consecutive(lengths)[0], lengths)

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.compact()
        return Texts, (own.buffer, own.starts, own.lengths)

    def bytes_at(self, index: int) -> bytes:
        """One string."""
        return string_at(self.address + self.starts.item(index), self.lengths.item(index))

    def take(self, order: npt.NDArray[np.int64]) -> Texts:
        """The strings in another order, or some of them; the buffer is shared."""
        return self._with(self.starts.take(order), self.lengths.take(order))

    @property
    def size(self) -> int:
        """Bytes of all strings together."""
        return int(self.lengths.sum(dtype=np.int64))

    def write_to(self, buffer: Buffer) -> None:
        """Write the strings one after the other into a buffer of ``size`` bytes."""
        _gather(self.address, self.starts, self.lengths, address(buffer))

    def compact(self) -> Texts:
        """The same strings, consecutively, in a buffer that holds nothing else."""
        starts, size = _consecutive(self.lengths)
        buffer = np.empty(size, np.uint8)
        self.write_to(buffer)
        return Texts(buffer, starts, self.lengths.copy())


def _consecutive(lengths: Lengths) -> tuple[Starts, int]:
    ends = np.cumsum(lengths, dtype=np.int64)
    return ends - lengths, int(ends[-1]) if len(ends) else 0


@compiled
def _gather(source: int, starts: Starts, lengths: Lengths, target: int) -> None:
    """Copy strings to consecutive places from the address ``target``."""
    at = 0
    for i in range(len(starts)):
        copy_bytes(target + at, source + starts[i], lengths[i])
        at += lengths[i]
