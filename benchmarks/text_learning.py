"""``python -m benchmarks.text_learning``: how the classifier of customers' words learns, text by text.

Each text is classified before it is learned from (prequential). The streams: reviews whose scores the simulator's
customers gave, and labelled files (``--labelled``). What is plotted is the share of right ones among the last texts.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.plots import plot_learning
from config.lexicon import load_lexicon
from flows.simulate.run import simulate
from flows.text_files import read_labelled, read_scored
from operators.annotate import default_annotator
from operators.text_learner import TextSet, Training, stream
from operators.text_reading import TextReader
from operators.text_scores import TextScores

_LAST = 500
"""The accuracy shown at a text is that of so many before it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """``accuracy[i]``: of the last texts before ``texts[i]``; ``most_common``: always the commonest class."""

    name: str
    texts: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    most_common: float
    scores: TextScores

    def figures(self) -> dict[str, Any]:
        """For a JSON file."""
        points = {
            str(at): round(value, 4) for at, value in zip(self.texts.tolist(), self.accuracy.tolist(), strict=True)
        }
        return {"name": self.name, "most_common": self.most_common, "accuracy_of_last": points} | self.scores.as_json()


def learned(name: str, texts: Sequence[str], classes: Sequence[int]) -> Curve:
    """One pass over a stream of texts."""
    data = TextSet(TextReader(load_lexicon()), texts, classes, Training().bits)
    found = stream(data, Training()).argmax(1)
    right = np.concatenate([[0], np.cumsum(found == data.classes)])
    at = np.unique(np.linspace(min(50, len(data)), len(data), 60).astype(np.int64))
    begin = np.maximum(at - _LAST, 0)
    most_common = float(np.bincount(data.classes).max() / len(data))
    return Curve(name, at, (right[at] - right[begin]) / (at - begin), most_common, TextScores.of(data.classes, found))


def simulated(customers: int, days: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts of the simulator's customers who also gave a score, in the order of time."""
    with tempfile.TemporaryDirectory(prefix="cem-text-") as folder:
        simulate(Path(folder), customers=customers, days=days, seed=seed)
        return read_scored(sorted(Path(folder).glob("feedback*.ndjson")))


def microseconds_a_text(texts: Sequence[str]) -> float:
    """CPU time of all annotations of a text, on one core."""
    annotate = default_annotator()
    annotate("")
    begun = process_time()
    for text in texts:
        annotate(text)
    return (process_time() - begun) / max(len(texts), 1) * 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0."""
    given = _parser().parse_args(arguments)
    texts, classes = simulated(given.customers, given.days, given.seed)
    curves = [learned("simulated reviews with scores", texts, classes)]
    figures: dict[str, Any] = {"microseconds_a_text": {"simulated": microseconds_a_text(list(dict.fromkeys(texts)))}}
    for path in given.labelled or []:
        texts, classes = read_labelled([path])
        curves.append(learned(f"{path.name.split('.')[0]}", texts, classes))
        figures["microseconds_a_text"][path.name] = microseconds_a_text(texts)
    figures["curves"] = [curve.figures() for curve in curves]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "text-learning.json").write_text(json.dumps(figures, ensure_ascii=False, indent=1), encoding="utf-8")
    picture = plot_learning([(c.name, c.texts, c.accuracy, c.most_common) for c in curves], given.plots or given.out)
    for curve in curves:
        scores = curve.scores
        print(
            f"{curve.name}: {scores.confusion.sum():,} texts, accuracy {scores.accuracy:.3f} (always the "
            f"commonest class {curve.most_common:.3f}), kappa {scores.kappa:.3f}, macro-F1 {scores.macro_f1:.3f}; "
            f"of the last {_LAST} {curve.accuracy[-1]:.3f}"
        )
    print(f"plot: {picture}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_learning", description=__doc__.splitlines()[0])
    parser.add_argument("--labelled", type=Path, action="append", help="a CSV file with text and class; repeatable")
    parser.add_argument("--customers", type=int, default=10_000, help="of the simulation")
    parser.add_argument("--days", type=int, default=30, help="of the simulation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder of the figures")
    parser.add_argument("--plots", type=Path, help="folder of the plot, if another")
    return parser


if __name__ == "__main__":
    sys.exit(main())
