"""Tables in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width


def _width(text: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False) -> Iterator[str]:
    """A table in plain text, aligned where a Chinese character takes two places.

    ``numbers``: all columns but those that hold a letter anywhere below the head are numbers, and stand to the right.

    >>> print("\\n".join(table(("a", "b"), [("提前", "1"), ("xyz", "2")])))
      a     b
      提前  1
      xyz   2
    """
    columns = [[head[place], *(row[place] for row in rows)] for place in range(len(head))]
    widths = [max(map(_width, column)) for column in columns]
    right = [numbers and not any(char.isalpha() for cell in column[1:] for char in cell) for column in columns]
    for line in (head, *rows):
        cells = (_cell(*place) for place in zip(line, widths, right, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()


def _cell(text: str, width: int, right: bool) -> str:
    room = " " * (width - _width(text))
    return room + text if right else text + room
