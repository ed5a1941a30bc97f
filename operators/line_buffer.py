"""Lines in one buffer, as the scanner reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from operators.event_schema import DEFAULT_CURRENCY
from state.compiled import compiled
from state.load64 import PADDING, load64
from state.texts import Lengths, Starts, Texts

TAIL = DEFAULT_CURRENCY.encode() + bytes(PADDING)
"""Follows the last line's newline: the text that stands for a missing currency, and what kernels may read beyond."""

_USUAL_BYTES = 100
"""Lines are seldom shorter on average; where they are, they are looked for twice."""

_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_ZERO, _ONE, _7 = (np.uint64(n) for n in (0, 1, 7))
_INDEX, _56 = np.uint64(0x0001020304050607), np.uint64(56)


class LineBuffer(Sequence[bytes]):
    """Lines as ``Texts`` whose buffer has a newline after each of them and ``TAIL`` at the end.

    As a sequence it cuts a line out when it is asked for.
    """

    __slots__ = ("texts",)

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    @classmethod
    def of_lines(cls, lines: Sequence[bytes]) -> LineBuffer:
        """The lines, which may hold newlines."""
        if isinstance(lines, LineBuffer):
            return lines
        return cls(Texts.from_lines(lines, b"".join((b"\n".join(lines), b"\n", TAIL))))

    @classmethod
    def of_joined(cls, joined: bytes | npt.NDArray[np.uint8]) -> LineBuffer:
        """The lines of ``joined``, where each ends with a newline and ``TAIL`` follows the last."""
        buffer = np.frombuffer(joined, np.uint8)
        size, room = len(joined) - len(TAIL), len(joined) // _USUAL_BYTES + 1
        while True:
            texts = Texts(buffer, np.empty(room, np.int64), np.empty(room, np.int32))
            count = _find_lines(texts.address, size, texts.starts, texts.lengths)
            if count <= room:
                return cls(texts[:count])
            room = count

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> LineBuffer: ...
    def __getitem__(self, index: int | slice) -> bytes | LineBuffer:
        if isinstance(index, slice):
            return LineBuffer(self.texts[index])
        return self.texts.bytes_at(range(len(self))[index])

    def __iter__(self) -> Iterator[bytes]:
        buffer = self.texts.buffer.tobytes()
        starts = self.texts.starts.tolist()
        return (buffer[start : start + size] for start, size in zip(starts, self.texts.lengths.tolist(), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


@compiled
def _find_lines(base: int, size: int, starts: Starts, lengths: Lengths) -> int:
    """The number of lines in ``size`` bytes; as many of them as there is room for are noted."""
    start = at = base
    count, end, room = 0, base + size, len(starts)
    while start < end:
        found = _ZERO
        while found == _ZERO:
            word = load64(at) ^ _NEWLINES
            found = ~(((word & _LOW_BITS) + _LOW_BITS) | word | _LOW_BITS)  # the high bits of bytes that are zero
            at += 8
        found &= ~found + _ONE
        at += np.int64(((found >> _7) * _INDEX) >> _56) - 8  # type: ignore[assignment]
        if count < room:
            starts[count], lengths[count] = start - base, at - start
        count += 1
        at += 1
        start = at
    return count
