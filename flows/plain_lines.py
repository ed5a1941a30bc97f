"""Whole lines of an unpacked file, read to where they are looked at: nothing is copied but what is cut."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from operators.line_buffer import TAIL

_LOOK_BYTES = 1 << 16
_LEAST_BYTES = 1 << 16
"""A file that is longer than its size says (it grew, or the system makes it up) is asked for so much at least."""


class PlainBlock:
    """The next bytes of a file behind the start of a line that was ``carried`` over.

    ``most``: how many at most, of a file of which ``left`` seem to be left.

    Attributes
    ----------
    read
        How many there were.
    at_end
        Whether nothing follows; the last line has got a newline then.
    end
        Where the last line ends with its newline; 0 if none does.

    Raises
    ------
    OSError
        Reading failed.
    """

    __slots__ = ("_buffer", "_carried", "_filled", "at_end", "end", "read")

    def __init__(self, file: BinaryIO, carried: bytes, most: int, left: int) -> None:
        room = min(most, max(left + 1, _LEAST_BYTES))  # one more, which tells that nothing follows
        self._carried = first = len(carried)
        self._buffer: NDArray[np.uint8] = np.empty(first + room + 1 + len(TAIL), np.uint8)
        self._buffer[:first] = np.frombuffer(carried, np.uint8)
        self.read: int = file.readinto(self._buffer[first : first + room])  # type: ignore[attr-defined]
        self.at_end = self.read < room
        self._filled: int = first + self.read
        self.end: int = self._after_last_newline()
        if self.at_end and self.end < self._filled:
            self._buffer[self._filled] = ord("\n")
            self._filled = self.end = self._filled + 1

    def _after_last_newline(self) -> int:
        high = self._filled
        while high > self._carried:
            low = max(self._carried, high - _LOOK_BYTES)
            found = self._bytes(low, high).rfind(b"\n")
            if found >= 0:
                return low + found + 1
            high = low
        return 0

    @property
    def first_line(self) -> int:
        """Bytes of the first line; one must end."""
        low = self._carried
        while (found := self._bytes(low, low + _LOOK_BYTES).find(b"\n")) < 0:
            low += _LOOK_BYTES
        return low + found

    @property
    def rest(self) -> bytes:
        """What follows the last newline."""
        return self._bytes(self.end or self._carried, self._filled)

    def lines(self, first_line_bytes: int) -> NDArray[np.uint8]:
        """The whole lines, the first of them cut to so many bytes, and ``TAIL``; ``rest`` is no more."""
        self._buffer[self.end : self.end + len(TAIL)] = np.frombuffer(TAIL, np.uint8)
        lines = self._buffer[: self.end + len(TAIL)]
        beyond = self.first_line
        if beyond > first_line_bytes:
            lines = np.concatenate([lines[:first_line_bytes], lines[beyond:]])
        return lines

    def _bytes(self, start: int, end: int) -> bytes:
        return self._buffer[start:end].tobytes()
