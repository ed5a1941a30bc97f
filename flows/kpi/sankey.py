"""A Sankey diagram of the paths through a journey: a column for each place, ribbons as wide as the numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from flows.kpi import svg
from flows.kpi.ask import Row

END_COLOURS = {
    "completed": svg.GREEN, "error": svg.RED, "time-out": svg.ORANGE, "left": svg.GREY, "under way": svg.SKY,
    "goes on": svg.PURPLE,
}  # fmt: skip
OTHERS = "other steps"
MOST_STEPS = 8
"""Steps in a column; rarer ones are drawn together."""
_HEIGHT, _GAP, _NODE = 330.0, 14.0, 12.0
_TOP, _LABEL_ROOM = 24.0, 96.0

Node = tuple[int, str, bool]
"""Column from 1, name, whether a path ends there."""


@dataclass(slots=True)
class _Box:
    """Where a node is drawn, and how much of its two sides is taken by ribbons."""

    x: float
    y: float
    height: float
    left: float = 0.0
    right: float = 0.0


def sankey(rows: Sequence[Row], title: str) -> str:
    """The diagram of one journey from its links; empty if no path has two steps."""
    if not any(not row["ends"] for row in rows):
        return ""
    flows = _flows(rows)
    sizes: dict[Node, int] = defaultdict(int)
    arrived: dict[Node, int] = defaultdict(int)
    for (source, target), n in flows.items():
        sizes[source] += n
        arrived[target] += n
    for node, n in arrived.items():
        sizes[node] = max(sizes[node], n)
    boxes, scale = _placed(sizes)
    parts = []
    for (source, target), n in sorted(flows.items(), key=lambda item: (boxes[item[0][0]].y, boxes[item[0][1]].y)):
        parts.append(_ribbon(boxes[source], boxes[target], n, scale, source, target))
    parts += [_box(node, box, sizes[node]) for node, box in boxes.items()]
    return svg.drawing(_TOP + _HEIGHT + 30, parts, title)


def _flows(rows: Sequence[Row]) -> Mapping[tuple[Node, Node], int]:
    """Attempts between nodes, the rare steps of a column as one."""
    by_place: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        by_place[row["place"]][row["from_step"]] += row["attempts"]
    kept = {
        place: set(sorted(steps, key=lambda step: (-steps[step], step))[:MOST_STEPS])
        for place, steps in by_place.items()
    }

    def node(place: int, step: str) -> Node:
        return place, step if step in kept.get(place, ()) else OTHERS, False

    flows: dict[tuple[Node, Node], int] = defaultdict(int)
    for row in rows:
        source, place = node(row["place"], row["from_step"]), row["place"] + 1
        target = (place, row["to_step"], True) if row["ends"] else node(place, row["to_step"])
        flows[source, target] += row["attempts"]
    return flows


def _placed(sizes: Mapping[Node, int]) -> tuple[dict[Node, _Box], float]:
    """Boxes of the nodes, and pixels for each attempt."""
    columns: dict[int, list[Node]] = defaultdict(list)
    ends = list(END_COLOURS)
    for node in sizes:
        columns[node[0]].append(node)
    for nodes in columns.values():
        nodes.sort(key=lambda n: (n[2], ends.index(n[1]) if n[2] else 0, -sizes[n], n[1]))
    scale = min((_HEIGHT - _GAP * (len(nodes) - 1)) / sum(sizes[node] for node in nodes) for nodes in columns.values())
    apart = (svg.WIDTH - _NODE - _LABEL_ROOM) / max(1, max(columns) - 1)
    boxes = {}
    for column, nodes in sorted(columns.items()):
        y = _TOP
        for node in nodes:
            boxes[node] = _Box((column - 1) * apart, y, max(1.0, sizes[node] * scale))
            y += boxes[node].height + _GAP
    return boxes, scale


def _ribbon(source: _Box, target: _Box, n: int, scale: float, start: Node, end: Node) -> str:
    width = n * scale
    x1, y1 = source.x + _NODE, source.y + source.right + width / 2
    x2, y2 = target.x, target.y + target.left + width / 2
    source.right += width
    target.left += width
    colour = END_COLOURS[end[1]] if end[2] else svg.BLUE
    middle = (x1 + x2) / 2
    told = escape(f"{start[1] or '(none)'} → {end[1] or '(none)'}: {n:,}")
    return (
        f'<path d="M{x1:.1f},{y1:.1f} C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}" fill="none" '
        f'stroke="{colour}" stroke-opacity=".35" stroke-width="{max(0.6, width):.1f}"><title>{told}</title></path>'
    )


def _box(node: Node, box: _Box, n: int) -> str:
    colour = END_COLOURS[node[1]] if node[2] else svg.BLUE
    name = node[1] or "(none)"
    rect = (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{_NODE}" height="{box.height:.1f}" fill="{colour}">'
        f"<title>{escape(f'{name}: {n:,}')}</title></rect>"
    )
    y = box.y + min(box.height / 2, 40) + 4
    return rect + svg.text(box.x + _NODE + 4, y, f"{name} {n:,}", size=11, kind="halo")
