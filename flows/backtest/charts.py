"""Charts as SVG, written by ourselves so that a report is one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

OLD, NEW = "#9aa3ad", "#1f6fb2"
_GRID, _TEXT = "#e3e6ea", "#333a42"
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def pairs(labels: Sequence[str], old: Sequence[int], new: Sequence[int]) -> str:
    """Horizontal bars, two for each label."""
    left, width, row = 190, 460, 34
    top = max([1, *old, *new])
    parts = []
    for place, (label, before, after) in enumerate(zip(labels, old, new, strict=True)):
        y = 6 + place * row
        parts.append(_text(left - 8, y + 18, _short(label, 26), "end"))
        for value, colour, offset in ((before, OLD, 0), (after, NEW, 13)):
            size = width * value / top
            parts.append(f'<rect x="{left}" y="{y + offset}" width="{size:.1f}" height="12" fill="{colour}"/>')
            parts.append(_text(left + size + 5, y + offset + 10, f"{value:,}"))
    return _svg(left + width + 70, 12 + row * len(labels), parts, "Emitted decisions by rule, old and new")


def lines(title: str, days: Sequence[str], old: Sequence[int], new: Sequence[int]) -> str:
    """Two lines over days."""
    left, top, width, height = 46, 30, 560, 130
    most = max([1, *old, *new])
    step = width / max(1, len(days) - 1)
    parts = [_text(left, 16, title, weight="bold")]
    for value in sorted({0, most // 2, most}):
        y = top + height - height * value / most
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>')
        parts.append(_text(left - 6, y + 4, f"{value:,}", "end"))
    for values, colour in ((old, OLD), (new, NEW)):
        points = [(left + place * step, top + height - height * value / most) for place, value in enumerate(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) <= 62:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
    every = max(1, -(-len(days) // 6))
    for place in range(0, len(days), every):
        parts.append(_text(left + place * step, top + height + 18, days[place][5:], "middle"))
    return _svg(left + width + 24, top + height + 28, parts, f"Tickets a day in {title}, old and new")


def columns(labels: Sequence[str], old: Sequence[int], new: Sequence[int]) -> str:
    """Upright bars, two for each label."""
    left, top, height, group = 20, 22, 140, 110
    most = max([1, *old, *new])
    parts = []
    for place, (label, before, after) in enumerate(zip(labels, old, new, strict=True)):
        x = left + place * group
        for value, colour, offset in ((before, OLD, 0), (after, NEW, 42)):
            size = height * value / most
            y = top + height - size
            parts.append(f'<rect x="{x + offset}" y="{y:.1f}" width="38" height="{size:.1f}" fill="{colour}"/>')
            parts.append(_text(x + offset + 19, y - 5, f"{value:,}", "middle"))
        parts.append(_text(x + 40, top + height + 18, label, "middle"))
    return _svg(left + group * len(labels), top + height + 28, parts, "Customers by number of contacts, old and new")


def _svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
    return f'{head} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    style = f'{_FONT} fill="{_TEXT}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
