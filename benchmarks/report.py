"""Results as a page of Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.process import Figures
from benchmarks.results import Goal, ScenarioResult, Spread, is_met


def as_markdown(results: Sequence[ScenarioResult], about: Figures, mode: str) -> str:
    """Goals first, then a table for each scenario; every rate is a median with the lowest and highest run."""
    parts = [
        "# Benchmark results",
        "",
        _machine(about, mode),
        "",
        *_goals(results),
    ]
    for result in results:
        parts += ["", f"## {result.name}: {result.title}"]
        parts += ["", _data_line(result.data)] if result.data else []
        parts += ["", *_table(result)] if result.runs else []
        parts += [f"\nSkipped: {name}: {why}" for name, why in result.skipped.items()]
    return "\n".join(parts) + "\n"


def _machine(about: Figures, mode: str) -> str:
    return (
        f"{mode} form. {about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, "
        f"Python {about['python']}, bytewax {about['bytewax']}, numpy {about['numpy']}, numba {about['numba']}."
    )


def _data_line(data: Figures) -> str:
    return "; ".join(f"{key.replace('_', ' ')} {_shown(value)}" for key, value in data.items())


def _goals(results: Sequence[ScenarioResult]) -> list[str]:
    rows = []
    for result in results:
        for goal in result.goals:
            measured = result.measured(goal)
            if measured is not None:
                met = "yes" if is_met(goal, measured) else "**no**"
                rows.append(f"| {result.name} | {goal.title} | {_wanted(goal)} | {_spread(measured)} | {met} |")
    if not rows:
        return []
    return ["| scenario | goal | wanted | measured (lowest – highest) | met |", "|---|---|--:|--:|---|", *rows]


def _wanted(goal: Goal) -> str:
    return f"≥ {goal.at_least:g}" if goal.at_least is not None else f"≤ {goal.at_most:g}"


def _table(result: ScenarioResult) -> list[str]:
    columns = [
        (title, path)
        for title, path in _COLUMNS
        if any(result.spread(alternative, path) is not None for alternative in result.runs)
    ]
    titles = [title for title, _ in columns]
    hashes = {
        name: sorted({f["result_hash"] for f in runs if f.get("result_hash")}) for name, runs in result.runs.items()
    }
    if result.base:
        titles.append(f"times the cost of “{result.base}”")
    aligned = "|---|" + "--:|" * len(titles)
    if any(hashes.values()):
        titles, aligned = [*titles, "result"], aligned + "---|"
    lines = ["| | " + " | ".join(titles) + " |", aligned]
    for alternative in result.runs:
        spreads = [result.spread(alternative, path) for _, path in columns]
        cells = [_spread(spread) for spread in [*spreads, *([result.cost(alternative)] if result.base else [])]]
        if any(hashes.values()):
            cells.append(", ".join(hashes[alternative]))
        lines.append(f"| {alternative} | " + " | ".join(cells) + " |")
    return lines


_COLUMNS = (
    ("events/s", "rate"),
    ("seconds", "seconds"),
    ("CPU µs/event", "cpu_us"),
    ("decisions", "decisions"),
    ("agree", "agreeing"),
    ("peak memory, bytes", "peak_rss_bytes"),
    ("bytes/customer", "bytes_per_customer"),
    ("bytes/customer by its own count", "summary.bytes_per_customer"),
    ("events/s without the start", "steady_rate"),
    ("p50 ms", "latency.p50"),
    ("p99 ms", "latency.p99"),
    ("max ms", "latency.max"),
    ("p99 ms from the event", "latency_of_event.p99"),
    ("p99 ms from the schedule", "latency_of_schedule.p99"),
)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    middle = _shown(spread.median)
    low, high = _shown(spread.low), _shown(spread.high)
    return middle if low == high else f"{middle} ({low} – {high})"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
