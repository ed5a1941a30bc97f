"""Charts as SVG that stands in a page: dots with intervals, lines with bands, stacked bars, columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Any

WIDTH = 860
LABEL_WIDTH = 230
_RIGHT = 120
"""Room for a value beside its row."""
_ROW = 26
_TOP, _BOTTOM = 10, 34
_MAX_LABEL = 34
_HALF = 0.55
"""Width of a character by its height: enough to know what fits."""
_DAY_LABELS = 8

# Okabe and Ito's colours, which people with any colour vision tell apart.
BLUE, ORANGE, GREEN, RED, GREY, YELLOW, SKY, PURPLE = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8a8f98", "#d8c713", "#56b4e9", "#cc79a7",
)  # fmt: skip

Number = float | int | None
Show = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Dot:
    """An estimate with its interval; null where it is not known."""

    label: str
    value: Number
    low: Number
    high: Number
    n: int
    colour: str = BLUE


def text(x: float, y: float, content: str, anchor: str = "start", size: int = 12, kind: str = "") -> str:
    """Text of a chart, escaped; ``kind``: a class of the page's style."""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{named}>{escape(content)}</text>'


def drawing(height: float, parts: Sequence[str], title: str) -> str:
    """An SVG that scales with the page; ``title`` is for those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``.

    >>> ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = high - low or abs(high) or 1.0
    rough = span / (most - 1)
    size = 10.0 ** floor(log10(rough))
    step = next(size * times for times in (1, 2, 2.5, 5, 10, 20) if size * times >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def dots(
    rows: Sequence[Dot], title: str, show: Show, bounds: tuple[float, float] | None = None, unit: float = 1
) -> str:
    """A row for each estimate: a dot, its interval, its value and number of cases.

    ``bounds``: of the axis; ``unit``: of which its marks are round numbers.
    """
    known = [row for row in rows if row.value is not None]
    if not known:
        return ""
    ends = [end for row in known for end in (row.low, row.value, row.high) if end is not None]
    first, last = bounds or (min(ends), max(ends))
    marks = [mark * unit for mark in ticks(first / unit, last / unit)]
    x = _scale(marks[0], marks[-1], LABEL_WIDTH, WIDTH - _RIGHT)
    height = _TOP + _ROW * len(known) + _BOTTOM
    parts = [_grid(x, marks, height, show)]
    for place, row in enumerate(known):
        y = _TOP + _ROW * (place + 0.5)
        low = row.value if row.low is None else row.low
        high = row.value if row.high is None else row.high
        assert row.value is not None
        assert low is not None
        assert high is not None
        told = escape(f"{row.label}: {show(row.value)} ({show(low)} to {show(high)}), n = {row.n:,}")
        parts.append(
            f'<g><title>{told}</title><line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{row.colour}" stroke-width="3" stroke-opacity=".45" stroke-linecap="round"/>'
            f'<circle cx="{x(row.value):.1f}" cy="{y:.1f}" r="5" fill="{row.colour}"/></g>'
        )
        parts.append(text(LABEL_WIDTH - 12, y + 4, _cut(row.label), "end"))
        parts.append(text(WIDTH - _RIGHT + 14, y + 4, f"{show(row.value)}"))
        parts.append(text(WIDTH - 2, y + 4, f"n {row.n:,}", "end", 11, "dim"))
    return drawing(height, parts, title)


def days(rows: Sequence[tuple[str, Number, Number, Number, int]], title: str, show: Show) -> str:
    """A line over days (label, value, low, high, n) with the interval as a band; days without a value are left out."""
    known = [row for row in rows if row[1] is not None]
    if len(known) < 2:
        return ""
    height, left = 240.0, 60.0
    ends = [end for row in known for end in row[1:4] if end is not None]
    marks = ticks(float(min(ends)), float(max(ends)))
    y = _scale(marks[0], marks[-1], height - _BOTTOM, _TOP)
    x = _scale(0, len(known) - 1, left + 30, WIDTH - 36)
    parts = []
    for mark in marks:
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(text(left - 8, y(mark) + 4, show(mark), "end", 11, "dim"))
    sure = [(place, row[2], row[3]) for place, row in enumerate(known) if row[2] is not None and row[3] is not None]
    band = [f"{x(p):.1f},{y(high):.1f}" for p, _, high in sure] + [
        f"{x(p):.1f},{y(low):.1f}" for p, low, _ in sure[::-1]
    ]
    parts.append(f'<polygon points="{" ".join(band)}" fill="{BLUE}" fill-opacity=".15"/>')
    line = [f"{x(place):.1f},{y(float(row[1] or 0)):.1f}" for place, row in enumerate(known)]
    parts.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    every = max(1, ceil(len(known) / _DAY_LABELS))
    for place, (label, value, low, high, n) in enumerate(known):
        told = (
            f"{label}: {show(value)}" + (f" ({show(low)} to {show(high)})" if low is not None else "") + f", n = {n:,}"
        )
        parts.append(
            f'<circle cx="{x(place):.1f}" cy="{y(float(value or 0)):.1f}" r="3" fill="{BLUE}">'
            f"<title>{escape(told)}</title></circle>"
        )
        if place % every == 0:
            parts.append(text(x(place), height - 12, label, "middle", 11, "dim"))
    return drawing(height, parts, title)


def bars(
    rows: Sequence[tuple[str, Mapping[str, int]]], colours: Mapping[str, str], title: str, *, whole: bool = False
) -> str:
    """A bar for each row, in parts by the names of ``colours``, with a legend of those that occur.

    ``whole``: bars of one length, so that the shares of small rows can be seen; the numbers stand beside them.
    """
    shown = [row for row in rows if sum(row[1].values())]
    if not shown:
        return ""
    used = [name for name in colours if any(parts.get(name) for _, parts in shown)]
    legend = 24
    marks = ticks(0, 1 if whole else max(sum(parts.values()) for _, parts in shown))
    x = _scale(0, marks[-1], LABEL_WIDTH, WIDTH - _RIGHT)
    height = _TOP + legend + _ROW * len(shown) + _BOTTOM
    drawn = [_grid(x, marks, height, lambda mark: f"{mark:.0%}" if whole else f"{mark:,.10g}", _TOP + legend)]
    drawn.append(_legend(used, colours))
    for place, (label, parts) in enumerate(shown):
        y, so_far = _TOP + legend + _ROW * place, 0
        size = sum(parts.values()) if whole else 1
        for name in used:
            n = parts.get(name, 0)
            if n:
                told = escape(f"{label}: {name} {n:,}")
                drawn.append(
                    f'<rect x="{x(so_far / size):.1f}" y="{y + 4:.1f}" width="{x(n / size) - x(0):.1f}" '
                    f'height="{_ROW - 8}" fill="{colours[name]}"><title>{told}</title></rect>'
                )
            so_far += n
        drawn.append(text(LABEL_WIDTH - 12, y + _ROW / 2 + 4, _cut(label), "end"))
        drawn.append(text(x(so_far / size) + 6, y + _ROW / 2 + 4, f"{so_far:,}", size=11, kind="dim"))
    return drawing(height, drawn, title)


def _legend(names: Sequence[str], colours: Mapping[str, str]) -> str:
    widths = [34 + len(name) * 12 * _HALF for name in names]
    x, parts = max(0.0, min(LABEL_WIDTH, WIDTH - sum(widths))), []
    for name, width in zip(names, widths, strict=True):
        parts.append(f'<rect x="{x:.1f}" y="{_TOP}" width="11" height="11" rx="2" fill="{colours[name]}"/>')
        parts.append(text(x + 16, _TOP + 10, name))
        x += width
    return "".join(parts)


def _grid(x: Callable[[float], float], marks: Sequence[float], height: float, show: Show, top: float = _TOP) -> str:
    bottom = height - _BOTTOM
    kinds = ["zero" if mark == 0 and marks[0] < 0 else "grid" for mark in marks]
    return "".join(
        f'<line class="{kind}" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{top}" y2="{bottom}"/>'
        + text(x(mark), bottom + 18, show(mark), "middle", 11, "dim")
        for mark, kind in zip(marks, kinds, strict=True)
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    size = (high - low) or 1.0
    return lambda value: start + (value - low) / size * (end - start)


def _cut(label: str) -> str:
    return label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 1] + "…"
