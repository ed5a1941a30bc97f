"""A backtest's report as one HTML page, with its charts inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from flows.backtest import charts
from flows.backtest.report import (
    CONTACT_HEAD,
    QUEUE_HEAD,
    RULE_HEAD,
    Report,
    contact_rows,
    queue_rows,
    reason_rows,
    rule_rows,
    runtime_line,
)

MAX_QUEUES = 12
"""So many queues have a chart, of those that differ those with the most tickets; the table has all."""

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#333a42;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{padding:.2rem .7rem;border-bottom:1px solid #e3e6ea;"
    "text-align:right}th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto;display:block;"
    "margin:.5rem 0}.old,.new{display:inline-block;width:.9em;height:.9em;margin:0 .3em 0 1em}"
    f".old{{background:{charts.OLD}}}.new{{background:{charts.NEW}}}"
)


def page(report: Report, old: str, new: str) -> str:
    """The page; ``old`` and ``new`` name the two sides, as by their files."""
    days, queues = report["days"], report["queues"]
    span = f"{days[0]} to {days[-1]}" if days else "no day with a decision"
    events = report["runtime"]["new"]["events"]
    rules = {name: rule for name, rule in report["rules"].items() if rule["old"] or rule["new"]}
    differ = [name for name in queues if queues[name]["old"] != queues[name]["new"]] or list(queues)
    busiest = sorted(differ, key=lambda name: (-sum(queues[name]["old"]) - sum(queues[name]["new"]), name))
    numbers = [number for number in report["contacts"]["old"] if number != "0"]
    reasons = reason_rows(report)
    parts = [
        "<h1>What the new rules would have done</h1>",
        f"<p>{events:,} events of {report['customers']:,} customers; decisions {span}.</p>",
        f'<p><span class="old"></span>old: {escape(old)}<span class="new"></span>new: {escape(new)}</p>',
        "<h2>Emitted decisions by rule</h2>",
        charts.pairs(
            list(rules),
            [rule["old"].get("emitted", 0) for rule in rules.values()],
            [rule["new"].get("emitted", 0) for rule in rules.values()],
        ),
        _table(RULE_HEAD, rule_rows(report)),
    ]
    if reasons:
        parts += ["<h2>Suppressed, where the number differs</h2>", _table(("rule", "reason", "old", "new"), reasons)]
    if queues:
        parts.append("<h2>Tickets by queue and day</h2>")
        parts += [charts.lines(name, days, queues[name]["old"], queues[name]["new"]) for name in busiest[:MAX_QUEUES]]
        if len(busiest) < len(queues):
            parts.append("<p>Queues whose days are the same on both sides have no chart.</p>")
        parts.append(_table(QUEUE_HEAD, queue_rows(report)))
    parts += [
        "<h2>Contacts per customer (tickets, surveys, messages)</h2>",
        charts.columns(numbers, *([report["contacts"][side][n] for n in numbers] for side in ("old", "new"))),
        _table(CONTACT_HEAD, contact_rows(report)),
        f"<p>{escape(runtime_line(report))}</p>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Backtest</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
