"""The charts of each subject, by what they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from flows.kpi import svg, words
from flows.kpi.ask import Asker, Row
from flows.kpi.sankey import END_COLOURS, sankey
from flows.kpi.svg import Dot
from flows.kpi.tables import Table
from sinks.kpi_figures import REASONS
from sinks.kpi_surveys import BELONGS

Chart = tuple[str, str]
"""Caption and SVG; the SVG is empty where there is nothing to show."""

_METRICS = {"nps": "NPS", "csat": "CSAT, share of 4 and 5", "ces": "CES, mean of 1 to 7"}
_REASON_COLOURS = {
    "emitted": svg.GREEN,
    **dict(zip(REASONS, (svg.PURPLE, svg.SKY, svg.RED, svg.BLUE, svg.ORANGE, svg.YELLOW, svg.GREY), strict=True)),
    "other": "#444444",
}


def subject_charts(subject: str, ask: Asker, tables: Sequence[Table]) -> list[Chart]:
    """A subject's charts that show something."""
    return [chart for chart in _CHARTS[subject](ask, {table.name: table.rows for table in tables}) if chart[1]]


def _label(row: Row, *, named: bool = False) -> str:
    """The values of a row's dimensions, ``named``: each with its dimension."""
    values = {name: words.text(row[name]) for name in row if name in _DIMENSIONS}
    return " · ".join(f"{name.removesuffix('_id')}: {value}" if named else value for name, value in values.items())


_DIMENSIONS = (
    "touchpoint",
    "channel",
    "tier",
    "day",
    "origin",
    "rule_id",
    "queue",
    "level",
    "kind",
    "class",
    "journey",
    "step",
)
_SHARE_BOUNDS = (0.0, 1.0)


def _voice(ask: Asker, rows: dict[str, list[Row]]) -> list[Chart]:
    charts = []
    daily = ask.voice(["day"])
    for metric, title in _METRICS.items():
        form = words.VOICE[metric]
        over = [
            (row["day"], row["value"], row["low"], row["high"], row["n"]) for row in daily if row["metric"] == metric
        ]
        charts.append((f"{title}, by day", svg.days(over, f"{title} by day", form)))
        dots = [
            Dot(_label(row, named=True) or "all", row["value"], row["low"], row["high"], row["n"], colour)
            for (name, found), colour in zip(rows.items(), _COLOURS * len(rows), strict=False)
            for row in found
            if row["metric"] == metric and not name.endswith("day")
        ]
        charts.append((f"{title}, with 95 % intervals", svg.dots(dots, title, form)))
    return charts


_BELONGS_COLOURS = dict(zip(BELONGS, (svg.GREEN, svg.YELLOW, svg.SKY, svg.GREY, svg.RED), strict=True))


def _surveys(ask: Asker, rows: dict[str, list[Row]]) -> list[Chart]:
    shown = [
        (_label(row, named=True) or "all", row, colour)
        for (_, found), colour in zip(
            [(name, found) for name, found in rows.items() if name != "survey_answers"], _COLOURS, strict=False
        )
        for row in found
    ]
    rates = [
        Dot(f"{row['metric']} · {label}", row["rate"], row["rate_low"], row["rate_high"], row["n"], colour)
        for label, row, colour in shown
    ]
    title = f"Response to surveys within {ask.days} days"
    charts = [(f"{title}, with 95 % intervals", svg.dots(rates, title, words.percent, _SHARE_BOUNDS))]
    for metric, said in _METRICS.items():
        dots = [
            Dot(label, row["value"], row["low"], row["high"], row["scored"], colour)
            for label, row, colour in shown
            if row["metric"] == metric
        ]
        charts.append((f"{said}, of answers to surveys, by who asked", svg.dots(dots, said, words.VOICE[metric])))
    counts: dict[str, dict[str, int]] = {}
    for row in ask.survey_answers():
        counts.setdefault(row["metric"], {})[row["belongs"]] = row["n"]
    caption = "Answers by what asked for them, in shares"
    charts.append((caption, svg.bars(list(counts.items()), _BELONGS_COLOURS, caption, whole=True)))
    return charts


_COLOURS = [svg.BLUE, svg.GREEN, svg.ORANGE, svg.PURPLE]


def _journeys(ask: Asker, rows: dict[str, list[Row]]) -> list[Chart]:
    completion = [
        Dot(_label(row), row["completion"], row["low"], row["high"], row["attempts"]) for row in rows["journeys"]
    ]
    charts = [("Completion, with 95 % intervals", svg.dots(completion, "Completion", words.percent, _SHARE_BOUNDS))]
    links = {journey: list(found) for journey, found in groupby(ask.links(), lambda row: row["journey"])}
    for journey, steps in groupby(ask.steps(), lambda row: row["journey"]):
        known = [row for row in steps if row["break_rate"] is not None]
        if not known:
            continue
        charts.append((f"{journey}: paths", sankey(links.get(journey, []), f"Paths of {journey}")))
        causes = [(row["step"], {name: row[name] for name in ("error", "time-out", "left")}) for row in known]
        charts.append(
            (f"{journey}: where attempts break, and why", svg.bars(causes, END_COLOURS, f"Breaks of {journey}"))
        )
        times = [
            Dot(row["step"], row["mean_ms"], row["mean_low_ms"], row["mean_high_ms"], row["timed"]) for row in known
        ]
        charts.append(
            (
                f"{journey}: mean time of a step",
                svg.dots(times, f"Time by step of {journey}", words.span, unit=_unit(times, words.span)),
            )
        )
    return charts


_TICKET_SHARES = (
    "resolved", "first_contact", "sla_first_response", "sla", "sla_statutory", "warned", "breached", "illegal",
    "repeat", "satisfied", "reopened",
)  # fmt: skip
_CLOCK_COLOURS = {"first_response": svg.SKY, "resolution": svg.BLUE, "statutory": svg.PURPLE, "no clock": svg.GREY}


def _tickets(ask: Asker, rows: dict[str, list[Row]]) -> list[Chart]:
    charts = []
    for title, figures, form, bounds in (
        ("Shares", _TICKET_SHARES, words.percent, _SHARE_BOUNDS),
        ("Times", ("first_response_ms", "resolution_ms"), words.span, None),
        ("Satisfaction, 1 to 5", ("satisfaction",), words.number, (1.0, 5.0)),
    ):  # fmt: skip
        dots = [
            Dot(f"{words.TICKET[row['figure']][0]} · {_label(row)}".strip(" ·"), row["value"], row["low"],
                row["high"], row["n"])
            for row in sorted(rows["tickets"], key=lambda row: list(words.TICKET).index(row["figure"]))
            if row["figure"] in figures
        ]  # fmt: skip
        charts.append((f"{title}, with 95 % intervals", svg.dots(dots, title, form, bounds, _unit(dots, form))))
    counts: dict[str, dict[str, int]] = {}
    for row in rows["escalations"]:
        parts = counts.setdefault(f"{row['event']} · {_label(row)}".strip(" ·"), {})
        parts[row["clock"] or "no clock"] = row["n"]
    return [*charts, ("Escalations by clock", svg.bars(list(counts.items()), _CLOCK_COLOURS, "Escalations by clock"))]


def _unit(rows: Sequence[Dot], form: words.Format) -> float:
    """The unit of a chart's axis: that of its longest time."""
    return words.unit_ms(max((row.value or 0 for row in rows), default=0)) if form is words.span else 1


def _contacts(ask: Asker, rows: dict[str, list[Row]]) -> list[Chart]:
    charts = []
    for figure in ("response", "conversion"):
        chosen = [row for row in rows["contacts"] if row["figure"] == figure and row["compared"] == "contacted"]
        dots = []
        for row in chosen:
            label = _label(row)
            dots.append(Dot(label, row["value"], row["low"], row["high"], row["n"]))
            if row["control_n"]:
                control = row["control"], row["control_low"], row["control_high"], row["control_n"]
                dots.append(Dot(f"{label}, control group", *control, svg.GREY))
        title = f"{figure.capitalize()} within {ask.days} days"
        charts.append((f"{title}; grey: the control group", svg.dots(dots, title, words.percent, _SHARE_BOUNDS)))
        gains = [
            Dot(_label(row), row["difference"], row["difference_low"], row["difference_high"], row["n"])
            for row in rows["contacts"]
            if row["figure"] == figure and row["compared"] == "meant" and row["difference"] is not None
        ]
        caption = (
            f"{figure.capitalize()}: what the rule adds, in percentage points (all whom it meant less the control)"
        )
        charts.append((caption, svg.dots(gains, caption, words.points)))
    return charts


def _fatigue(ask: Asker, rows: dict[str, list[Row]]) -> list[Chart]:
    counts = [
        (" · ".join(filter(None, (_label(row), f"{row['contacts']:,}"))), {"customers": row["customers"]})
        for row in rows["spread"]
    ]
    return [("Customers by number of contacts", svg.bars(counts, {"customers": svg.BLUE}, "Contacts per customer"))]


def _rules(ask: Asker, rows: dict[str, list[Row]]) -> list[Chart]:
    outcomes = [(_label(row), {name: row[name] for name in _REASON_COLOURS}) for row in rows["rules"]]
    precision = [
        Dot(_label(row), row["precision"], row["low"], row["high"], row["labelled"]) for row in rows["precision"]
    ]
    return [
        ("Decisions by outcome, in shares", svg.bars(outcomes, _REASON_COLOURS, "Decisions by outcome", whole=True)),
        ("Precision by labels, with 95 % intervals", svg.dots(precision, "Precision", words.percent, _SHARE_BOUNDS)),
    ]


_CHARTS: dict[str, Callable[[Asker, dict[str, list[Row]]], list[Chart]]] = {
    "voice": _voice, "surveys": _surveys, "journeys": _journeys, "tickets": _tickets, "contacts": _contacts,
    "fatigue": _fatigue, "rules": _rules,
}  # fmt: skip
