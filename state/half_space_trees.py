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
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.cells import address, get, get_double, put
from state.compiled import compiled

Doubles = NDArray[np.float64]

_PADDING = 0.15
"""A split keeps so far, as a share of its range, from both ends of it."""
_SMALL = 0.1
"""A node with less than this share of a window is not divided further when scoring."""
_LATEST = (1 << 32) - 1
_LOWER = 0 if sys.byteorder == "little" else 1


class Trees(NamedTuple):
    """Trees of one height as arrays; the children of node ``i`` are ``2 i + 1`` and ``2 i + 2``.

    ``feature``: int64[trees, nodes], ``threshold``: float64[trees, nodes]: values below it go left; leaves have none.
    ``reference`` and ``latest``: int32[trees, nodes], masses. All four are views, as what a walk reads lies together:
    ``splits``: int64[trees, nodes, 2], a threshold's bits and its feature; ``masses``: int64[trees, nodes], both
    masses, the latest in the lower half. ``path``: int64[height + 1, trees], the nodes that the row at hand passed,
    counted over all trees; ``meta``: rows of the latest window, and windows that are full; ``counted``: int64[trees],
    scratch.
    """

    feature: NDArray[np.int64]
    threshold: Doubles
    reference: NDArray[np.int32]
    latest: NDArray[np.int32]
    splits: NDArray[np.int64]
    masses: NDArray[np.int64]
    path: NDArray[np.int64]
    meta: NDArray[np.int64]
    counted: NDArray[np.int64]

    @property
    def used_bytes(self) -> int:
        """Bytes of the arrays."""
        return self.splits.nbytes + self.masses.nbytes + self.path.nbytes + self.meta.nbytes + self.counted.nbytes


class Forest(NamedTuple):
    """Trees for kernels (see ``state.cells``): addresses of ``Trees``' arrays, and sizes.

    ``small``: a node with less mass is not divided further when scoring; ``nodes``: of one tree.
    """

    splits: int
    masses: int
    path: int
    meta: int
    counted: int
    trees: int
    height: int
    nodes: int
    window: int
    small: int


COUNTER, WINDOWS = 0, 1


def grow(trees: int, height: int, features: int, seed: int) -> Trees:
    """Trees over features that lie between 0 and 1, as river grows them from this seed."""
    generator = random.Random(seed)
    inner = 2**height - 1
    feature, threshold = np.zeros((trees, inner), np.int64), np.zeros((trees, inner))
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


def planted(feature: NDArray[np.int64], threshold: Doubles) -> Trees:
    """Trees with these splits and no mass."""
    trees, inner = feature.shape
    height, nodes = (inner + 1).bit_length() - 1, 2 * inner + 1
    splits, masses = np.zeros((trees, nodes, 2), np.int64), np.zeros((trees, nodes), np.int64)
    thresholds, halves = splits.view(np.float64)[..., 0], masses.view(np.int32).reshape(trees, nodes, 2)
    splits[:, :inner, 1], thresholds[:, :inner] = feature, threshold
    latest, reference = halves[..., _LOWER], halves[..., 1 - _LOWER]
    return Trees(
        splits[..., 1], thresholds, reference, latest, splits, masses, np.zeros((height + 1, trees), np.int64),
        np.zeros(2, np.int64), np.zeros(trees, np.int64),
    )  # fmt: skip


def forest(trees: Trees, window: int) -> Forest:
    """What kernels need; valid as long as ``trees`` is held."""
    levels, count = trees.path.shape
    return Forest(
        address(trees.splits), address(trees.masses), address(trees.path), address(trees.meta), address(trees.counted),
        count, levels - 1, trees.masses.shape[1], window, math.ceil(_SMALL * window),
    )  # fmt: skip


def max_mass(trees: Trees, window: int) -> int:
    """The largest mass that a row may have in all trees together."""
    levels, count = trees.path.shape
    return int(count * window * (2**levels - 1))


def mass(trees: Trees, window: int, values: Doubles) -> float:
    """The mass of one row over all trees; the nodes that it passed are noted in ``path``."""
    return walk(forest(trees, window), address(values))


def attribute(trees: Trees, window: int, parts: Doubles) -> None:
    """As ``explain``, of the row whose mass was asked for last."""
    explain(forest(trees, window), parts)


def score_and_learn(trees: Trees, window: int, rows: Doubles, masses: Doubles) -> None:
    """For each of ``rows``, float64[n, f], first its mass and then count it; NaN before there is a reference."""
    _score_and_learn(forest(trees, window), address(rows), rows.shape[1], masses)


@compiled
def walk(forest: Forest, values: int) -> float:
    """The mass of the row at the address ``values`` over all trees; the nodes that it passed are noted in the path.

    All trees go down a level together: none waits for another's loads, so the processor overlaps them.
    """
    trees, nodes, path = forest.trees, forest.nodes, forest.path
    for tree in range(trees):
        put(path, tree, tree * nodes)
        put(forest.counted, tree, -1)  # all bits, until a small node was passed
    total = 0
    for level in range(forest.height):
        for tree in range(trees):
            node = get(path, tree)
            counted = get(forest.counted, tree)
            here = get(forest.masses, node) >> 32
            total += (here << level) & counted
            put(forest.counted, tree, counted if here >= forest.small else 0)
            left = 2 * node + 1 - tree * nodes
            value = get_double(values, get(forest.splits, 2 * node + 1))
            if math.isnan(value):
                lefts, rights = get(forest.masses, left) & _LATEST, get(forest.masses, left + 1) & _LATEST
                put(path, trees + tree, left + int(lefts < rights))
            else:
                put(path, trees + tree, left + int(value >= get_double(forest.splits, 2 * node)))
        path += 8 * trees
    for tree in range(trees):
        here = get(forest.masses, get(path, tree)) >> 32
        total += (here << forest.height) & get(forest.counted, tree)
    return float(total)


@compiled
def explain(forest: Forest, parts: Doubles) -> None:
    """Set ``parts``, float64[features], to how rare the sides were that the last row took at splits on each.

    A split counts ``log((above + 1) / (here + 1))`` of the masses above it and on the row's side, down to small nodes;
    a part is the sum over a tree's splits, on average over the trees.
    """
    parts[:] = 0.0
    for tree in range(forest.trees):
        for level in range(forest.height):
            node = get(forest.path, level * forest.trees + tree)
            above = get(forest.masses, node) >> 32
            if above < forest.small:
                break
            here = get(forest.masses, get(forest.path, (level + 1) * forest.trees + tree)) >> 32
            parts[get(forest.splits, 2 * node + 1)] += math.log((above + 1.0) / (here + 1.0))
    for on in range(len(parts)):
        parts[on] /= forest.trees


@compiled
def learn_path(forest: Forest) -> None:
    """Count the row whose mass was asked for last; a full window becomes the reference."""
    for step in range(forest.trees * (forest.height + 1)):
        node = get(forest.path, step)
        put(forest.masses, node, get(forest.masses, node) + 1)
    rows = get(forest.meta, COUNTER) + 1
    if rows == forest.window:
        for node in range(forest.trees * forest.nodes):
            put(forest.masses, node, get(forest.masses, node) << 32)
        put(forest.meta, WINDOWS, get(forest.meta, WINDOWS) + 1)
        rows = 0
    put(forest.meta, COUNTER, rows)


@compiled
def _score_and_learn(forest: Forest, rows: int, width: int, masses: Doubles) -> None:
    for i in range(len(masses)):
        found = walk(forest, rows + 8 * width * i)
        masses[i] = found if get(forest.meta, WINDOWS) else math.nan
        learn_path(forest)


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
    return planted(np.array([on for on, _ in shapes], np.int64), np.array([at for _, at in shapes]))
