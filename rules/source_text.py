"""A file's text with places: offsets to lines and columns, and characters of a YAML scalar to offsets."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from rules.model import Position

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}


@dataclass(slots=True)
class SourceText:
    """``text`` has ``\\n`` line ends only."""

    file: str
    text: str
    _starts: list[int] = field(default_factory=list)
    _aligned: dict[int, list[int]] = field(default_factory=dict)

    def place(self, offset: int) -> Position:
        """Line and column (in characters, from 1) of ``offset``."""
        if not self._starts:
            self._starts = [0, *accumulate(len(line) + 1 for line in self.text.split("\n"))]
        line = min(bisect_right(self._starts, offset), len(self._starts) - 1)
        return Position(self.file, line, offset - self._starts[line - 1] + 1)

    def place_in_scalar(self, start: int, value: str, style: str, offset: int) -> Position:
        """The place of character ``offset`` of the scalar ``value`` that is written at ``start``.

        ``style`` is ``"``, ``'``, ``|``, ``>`` or empty (plain). Exact, except inside the indentation of block
        scalars.
        """
        if start not in self._aligned:
            self._aligned[start] = self._align(start, value, style)
        offsets = self._aligned[start]
        return self.place(offsets[min(max(offset, 0), len(offsets) - 1)])

    def _align(self, start: int, value: str, style: str) -> list[int]:
        """The offset of every character of ``value``, and of its end."""
        at = start
        if style in ("'", '"'):
            at += 1
        elif style in ("|", ">"):
            line_end = self.text.find("\n", start)
            at = self._skip_space(line_end if line_end >= 0 else len(self.text))
        offsets = []
        for char in value:
            while style == '"' and self.text.startswith("\\\n", at):
                at = self._skip_space(at + 1)
            offsets.append(at)
            at = self._after(at, char, style)
        return [*offsets, at]

    def _after(self, at: int, char: str, style: str) -> int:
        """The offset behind the text at ``at`` that stands for ``char``."""
        raw = self.text[at : at + 1]
        if style == '"' and raw == "\\":
            follows = self.text[at + 1 : at + 2]
            length = _ESCAPE_LENGTHS.get(follows, 2)
            pair = ord(char) > 0xFFFF and length == 6
            return at + (12 if pair else length)
        if style == "'" and raw == "'":
            return at + 2
        if char in " \n" and raw in ("\n", " ", "\t"):
            line_end = self.text.find("\n", at)
            if raw == "\n" or (line_end >= 0 and not self.text[at:line_end].strip()):
                return self._skip_space(at)
            return at + 1
        return at + 1 if raw == char else at

    def _skip_space(self, at: int) -> int:
        while at < len(self.text) and self.text[at] in " \t\n":
            at += 1
        return at
