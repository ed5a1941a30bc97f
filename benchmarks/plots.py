"""Plots of the results as PNG, for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import Figures
from benchmarks.results import ScenarioResult, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _GREY = "#1f5fa8", "#9aa5b1"


def write_plots(results: Sequence[ScenarioResult], folder: Path) -> list[Path]:
    """Write a plot for each scenario that has one; the files' paths."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for result in results:
        if result.name not in _PLOTS or not result.runs:
            continue
        figure, axes = pyplot.subplots(figsize=(7, 3.6), dpi=150, layout="constrained")
        _PLOTS[result.name](result, axes)
        axes.spines[["top", "right"]].set_visible(False)
        path = folder / f"bench-{result.name}.png"
        figure.savefig(path, metadata={"Software": None})
        pyplot.close(figure)
        written.append(path)
    return written


def plot_soak(figures: Figures, folder: Path) -> Path:
    """Plot the memory of a soak by events sent; the file's path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6), dpi=150, layout="constrained")
    samples = figures["samples"]
    axes.plot([row[0] / 1e6 for row in samples], [row[2] / 2**20 for row in samples], color=_BLUE)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("million events")
    axes.set_ylabel("memory of the process, MiB")
    axes.spines[["top", "right"]].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench-soak.png"
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
    return path


def plot_learning(curves: Sequence[tuple[str, Any, Any, float]], folder: Path) -> Path:
    """Plot curves of (name, texts, accuracy, that of the commonest class); the file's path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, _ = pyplot.subplots(1, len(curves), figsize=(3.6 * len(curves), 3.4), dpi=150, layout="constrained")
    for axes, (name, texts, accuracy, most_common) in zip(figure.axes, curves, strict=True):
        axes.plot(texts, accuracy, color=_BLUE)
        axes.axhline(most_common, color=_GREY, linestyle="--", linewidth=1)
        axes.annotate("always the commonest class", (texts[-1], most_common - 0.02), ha="right", va="top", color=_GREY)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("texts")
        axes.set_ylim(0, 1.02)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("accuracy before learning, last 500")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench-text-learning.png"
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
    return path


def _rates(result: ScenarioResult) -> list[tuple[str, Spread]]:
    found = [(name, result.spread(name, "rate")) for name in result.runs]
    return [(name, spread) for name, spread in found if spread is not None]


def _curve(axes: Axes, xs: list[int], rates: list[Spread], label: str) -> None:
    middle = [rate.median for rate in rates]
    spans = [[rate.median - rate.low for rate in rates], [rate.high - rate.median for rate in rates]]
    axes.errorbar(xs, middle, yerr=spans, marker="o", capsize=3, color=_BLUE)
    axes.set_xscale("log")
    axes.set_xticks(xs, [f"{x:,}" for x in xs])
    axes.minorticks_off()
    axes.set_xlabel(label)
    _thousands(axes.yaxis, "events a second, one process")


def _thousands(axis: Any, label: str) -> None:
    axis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f} k" if value else "0")
    axis.set_label_text(label)


def _by_rules(result: ScenarioResult, axes: Axes) -> None:
    rates = dict(_rates(result))
    decode = rates.pop("decode only", None)
    rates.pop("columns only", None)
    _curve(axes, [int(name.split()[0]) for name in rates], list(rates.values()), "rules")
    if decode is not None:
        axes.axhline(decode.median, color=_GREY, linestyle="--")
        axes.annotate("decoding alone", (10, decode.median), xytext=(0, -12), textcoords="offset points", color=_GREY)
    axes.set_ylim(bottom=0)


def _by_customers(result: ScenarioResult, axes: Axes) -> None:
    rates = _rates(result)
    _curve(axes, [int(name.split()[0]) for name, _ in rates], [rate for _, rate in rates], "customers")
    axes.set_ylim(bottom=0)


def _bars(result: ScenarioResult, axes: Axes) -> None:
    """Each at its best: again and without its start, where that was measured."""
    best = {name.partition(", again")[0]: rate for name, rate in _rates(result)}  # the last row of each is its best
    rates = list(best.items())[::-1]
    names = [name for name, _ in rates]
    colours = [_BLUE if name.startswith("engine") else _GREY for name in names]
    bars = axes.barh(names, [rate.median for _, rate in rates], color=colours)
    axes.bar_label(bars, [f" {rate.median:,.0f}" for _, rate in rates])
    axes.margins(x=0.15)
    _thousands(axes.xaxis, "events a second, in the best of its rows")


def _latency(result: ScenarioResult, axes: Axes) -> None:
    runs = next(iter(result.runs.values()))
    axes.hist([value for run in runs for value in run["latency"]["quantiles"]], bins=60, color=_BLUE)
    for name, height in (("p50", 0.92), ("p99", 0.84)):  # one above the other, as they may be close
        value = sorted(run["latency"][name] for run in runs)[len(runs) // 2]
        axes.axvline(value, color=_GREY, linestyle="--")
        axes.annotate(f" {name} {value:.1f}", (value, height), xycoords=("data", "axes fraction"))
    axes.set_xlabel("milliseconds from reading a message to its decision, 5,000 events a second")
    axes.set_ylabel("share of decisions")
    axes.set_yticks([])


_PLOTS: dict[str, Callable[[ScenarioResult, Axes], None]] = {
    "rules": _by_rules, "customers": _by_customers, "alternatives": _bars, "latency": _latency,
}  # fmt: skip
