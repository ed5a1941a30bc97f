"""Half-space trees (Tan, Ting, Liu 2011): random trees over the features' ranges that count how many rows fall where.

A node has two masses: of the reference window, which scores are read from, and of the latest window, which is counted
at present; every ``window`` rows the latest becomes the reference. A row's mass in one tree is the sum of ``mass * 2 **
depth`` over the nodes on its way, down to the first with less than a tenth of a window: little where few rows came. As
in river's ``anomaly.HalfSpaceTrees``, whose ``score_one`` is ``1 - mass / max_mass`` here; given the same seed and
features in the order of their names, the trees are the same too.

A null (NaN) goes where more rows of the latest window went, as a missing feature does in river.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled

Doubles = NDArray[np.float64]

_PADDING = 0.15
"""A split keeps so far, as a share of its range, from both ends of it."""
_SMALL = 0.1
"""A node with less than this share of a window is not divided further when scoring."""


class Trees(NamedTuple):
    """Trees of one height as arrays; the children of node ``i`` are ``2 i + 1`` and ``2 i + 2``.

    ``feature``: int16[trees, inner], ``threshold``: float64[trees, inner]: values below it go left; ``reference`` and
    ``latest``: int32[trees, nodes], masses; ``path``: int32[trees, height + 1], the nodes that the row at hand passed;
    ``meta``: rows of the latest window, and windows that are full.
    """

    feature: NDArray[np.int16]
    threshold: Doubles
    reference: NDArray[np.int32]
    latest: NDArray[np.int32]
    path: NDArray[np.int32]
    meta: NDArray[np.int64]


COUNTER, WINDOWS = 0, 1


def grow(trees: int, height: int, features: int, seed: int) -> Trees:
    """Trees over features that lie between 0 and 1, as river grows them from this seed."""
    generator = random.Random(seed)
    inner = 2**height - 1
    feature, threshold = np.zeros((trees, inner), np.int16), np.zeros((trees, inner))
    names = range(features)

    def split(tree: int, node: int, ranges: list[tuple[float, float]]) -> None:
        if node >= inner:
            return
        on = generator.choices(names, [high - low for low, high in ranges])[0]
        low, high = ranges[on]
        at = generator.uniform(low + _PADDING * (high - low), high - _PADDING * (high - low))
        feature[tree, node], threshold[tree, node] = on, at
        ranges[on] = (low, at)
        split(tree, 2 * node + 1, ranges)
        ranges[on] = (at, high)
        split(tree, 2 * node + 2, ranges)
        ranges[on] = (low, high)

    for tree in range(trees):
        split(tree, 0, [(0.0, 1.0)] * features)
    return planted(feature, threshold)


def planted(feature: NDArray[np.int16], threshold: Doubles) -> Trees:
    """Trees with these splits and no mass."""
    trees, inner = feature.shape
    height, nodes = (inner + 1).bit_length() - 1, 2 * inner + 1
    return Trees(
        feature, threshold, np.zeros((trees, nodes), np.int32), np.zeros((trees, nodes), np.int32),
        np.zeros((trees, height + 1), np.int32), np.zeros(2, np.int64),
    )  # fmt: skip


def max_mass(trees: Trees, window: int) -> int:
    """The largest mass that a row may have in all trees together."""
    count, levels = trees.path.shape
    return int(count * window * (2**levels - 1))


@compiled
def mass(trees: Trees, window: int, values: Doubles) -> float:
    """The mass of a row over all trees; the nodes that it passed are noted in ``path``."""
    height = trees.path.shape[1] - 1
    limit = _SMALL * window
    total = 0.0
    for tree in range(len(trees.feature)):
        node, weight = 0, 1.0
        for level in range(height):
            trees.path[tree, level] = node
            here = trees.reference[tree, node]
            total += here * weight
            weight *= 2.0 if here >= limit else 0.0  # nothing counts below a small node
            value = values[trees.feature[tree, node]]
            left = 2 * node + 1
            if math.isnan(value):
                node = left + 1 if trees.latest[tree, left] < trees.latest[tree, left + 1] else left
            else:
                node = left + int(value >= trees.threshold[tree, node])
        trees.path[tree, height] = node
        total += trees.reference[tree, node] * weight
    return total


@compiled
def attribute(trees: Trees, window: int, parts: Doubles) -> None:
    """Set ``parts``, float64[features], to how rare the sides were that the last row took at splits on each.

    A split counts ``log((above + 1) / (here + 1))`` of the masses above it and on the row's side, down to small nodes;
    a part is the sum over a tree's splits, on average over the trees.
    """
    parts[:] = 0.0
    for tree in range(len(trees.feature)):
        for level in range(trees.path.shape[1] - 1):
            node = trees.path[tree, level]
            above = trees.reference[tree, node]
            if above < _SMALL * window:
                break
            here = trees.reference[tree, trees.path[tree, level + 1]]
            parts[trees.feature[tree, node]] += math.log((above + 1.0) / (here + 1.0))
    for on in range(len(parts)):
        parts[on] /= len(trees.feature)


@compiled
def learn_path(trees: Trees, window: int) -> None:
    """Count the row whose mass was asked for last; a full window becomes the reference."""
    for tree in range(trees.path.shape[0]):
        for level in range(trees.path.shape[1]):
            trees.latest[tree, trees.path[tree, level]] += 1
    trees.meta[COUNTER] += 1
    if trees.meta[COUNTER] == window:
        trees.reference[:] = trees.latest
        trees.latest[:] = 0
        trees.meta[COUNTER] = 0
        trees.meta[WINDOWS] += 1


@compiled
def score_and_learn(trees: Trees, window: int, rows: Doubles, masses: Doubles) -> None:
    """For each of ``rows``, float64[n, f], first its mass and then count it; NaN before there is a reference."""
    for i in range(len(rows)):
        found = mass(trees, window, rows[i])
        masses[i] = found if trees.meta[WINDOWS] else math.nan
        learn_path(trees, window)


def splits_of(trees: Sequence[object], names: Sequence[str]) -> Trees:
    """River's trees (``HalfSpaceTrees.trees``, which it grows at the first row) as arrays, without their masses."""
    shapes: list[tuple[list[int], list[float]]] = []
    for root in trees:
        level, on, at = [root], list[int](), list[float]()
        while hasattr(level[0], "feature"):
            on += [names.index(node.feature) for node in level]  # type: ignore[attr-defined]
            at += [node.threshold for node in level]  # type: ignore[attr-defined]
            level = [child for node in level for child in node.children]  # type: ignore[attr-defined]
        shapes.append((on, at))
    return planted(np.array([on for on, _ in shapes], np.int16), np.array([at for _, at in shapes]))
