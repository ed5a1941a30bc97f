"""Half-space trees here and river's, given the same trees: ``python -m benchmarks.half_space [--out FOLDER]``.

Both score each of the same rows and then learn from it, in turn and in one process; every repetition runs both, so
their ratio is of the same seconds of the same machine. Needs river.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.results import machine
from state.half_space_trees import Doubles, max_mass, planted, score_and_learn, splits_of

HEIGHT, WINDOW = 8, 250
"""River's defaults."""
TOLERANCE = 1e-9


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write ``half_space.json``; exit code 1 if scores differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    try:
        anomaly = importlib.import_module("river.anomaly")
    except ImportError:
        sys.exit("benchmarks.half_space: river is not installed: pip install river")
    found = [
        _compare(anomaly, trees, features, options.rows, options.runs)
        for trees, features in ((10, 3), (10, 10), (25, 10))
    ]
    lines = ["| trees | features | river us/row | here us/row | times as fast | greatest difference |",
             "|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for one in found:
        lines.append(
            f"| {one['trees']} | {one['features']} | {one['river_us']:.1f} | {one['here_us']:.2f} "
            f"| {one['ratio']:.0f} | {one['difference']:.1e} |"
        )
    Console(width=120).print(Markdown("\n".join(lines)))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        result = {"rows": options.rows, "machine": machine(), "compared": found}
        (options.out / "half_space.json").write_text(json.dumps(result, indent=2) + "\n")
    if any(one["difference"] > TOLERANCE for one in found):
        sys.exit("benchmarks.half_space: scores differ")


def _compare(anomaly: Any, trees: int, features: int, rows: int, runs: int) -> dict[str, Any]:
    """Both over the same rows, ``runs`` times; times are medians, the ratio is the median of the runs' ratios."""
    names = [f"f{number:02}" for number in range(features)]
    values = np.random.default_rng(features).beta(2, 5, (rows, features))
    named = [dict(zip(names, row, strict=True)) for row in values.tolist()]
    warm = planted(np.zeros((1, 1), np.int64), np.zeros((1, 1)))
    score_and_learn(warm, WINDOW, values[:1], np.empty(1))  # what compiling costs is measured where starting is
    times: list[tuple[float, float]] = []
    difference = 0.0
    for _ in range(runs):
        river = anomaly.HalfSpaceTrees(n_trees=trees, height=HEIGHT, window_size=WINDOW, seed=1)
        river_scores, river_s = _river(river, named)
        given = splits_of(river.trees, names)
        masses = np.empty(rows)
        start = time.perf_counter()
        score_and_learn(given, WINDOW, values, masses)
        here_s = time.perf_counter() - start
        scores = np.where(np.isnan(masses), 0.0, 1.0 - masses / max_mass(given, WINDOW))
        difference = max(difference, float(np.abs(scores - river_scores).max()))
        times.append((river_s, here_s))
    return {
        "trees": trees, "features": features, "height": HEIGHT, "window": WINDOW, "difference": difference,
        "river_us": 1e6 * statistics.median(one for one, _ in times) / rows,
        "here_us": 1e6 * statistics.median(one for _, one in times) / rows,
        "ratio": statistics.median(one / other for one, other in times),
    }  # fmt: skip


def _river(model: Any, rows: list[dict[str, float]]) -> tuple[Doubles, float]:
    scores = np.empty(len(rows))
    start = time.perf_counter()
    for number, row in enumerate(rows):
        scores[number] = model.score_one(row)
        model.learn_one(row)
    return scores, time.perf_counter() - start


if __name__ == "__main__":
    main()
