"""One HTML page of charts and tables that needs no other file, no script and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from flows.kpi.ask import Asker
from flows.kpi.charts import subject_charts
from flows.kpi.tables import Table

TITLES = {
    "voice": "What customers say", "surveys": "Surveys", "journeys": "Journeys", "tickets": "Tickets",
    "contacts": "Contacts", "fatigue": "Contacts per customer", "rules": "Rules",
}  # fmt: skip

_INTERVALS = "Whiskers, bands and columns called 95 % are intervals that hold the true value with 95 % confidence."

_STYLE = """
body{font:15px/1.5 system-ui,"Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;color:#1d2430;
background:#fff;max-width:920px;margin:0 auto;padding:24px}
h1{font-size:26px;margin:0}h2{font-size:21px;margin:44px 0 8px;border-bottom:2px solid #0072b2}
h3{font-size:15px;margin:26px 0 6px}nav a{margin-right:14px;color:#0072b2}
svg{width:100%;height:auto;display:block;font-family:inherit}svg text{fill:#1d2430}svg text.dim{fill:#6a7280}
svg text.halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-opacity:.85}
svg .grid{stroke:#e3e6ea}svg .zero{stroke:#6a7280}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:12.5px;white-space:nowrap}
th,td{padding:3px 10px 3px 0;text-align:left;border-bottom:1px solid #e3e6ea}
th{color:#6a7280;font-weight:600}.r{text-align:right;font-variant-numeric:tabular-nums}
.note,footer{color:#6a7280;font-size:13px}details{margin:10px 0}summary{cursor:pointer;color:#0072b2;font-size:14px}
"""


def page(ask: Asker, tables: Mapping[str, Sequence[Table]]) -> str:
    """The page; charts are asked for, tables given by subject."""
    links = "".join(f'<a href="#{name}">{escape(TITLES[name])}</a>' for name in tables)
    sections = "".join(_section(name, ask, several) for name, several in tables.items())
    told = f"{str(ask.period).capitalize()}. {_INTERVALS}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Key figures</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>Key figures</h1>'
        f"<p>{escape(told)}</p><nav>{links}</nav>{sections}"
        "<footer><p>Made by cem kpi; what the figures mean stands in docs/kpi.md.</p></footer></body></html>\n"
    )


def _section(subject: str, ask: Asker, tables: Sequence[Table]) -> str:
    charts = "".join(
        f"<h3>{escape(caption)}</h3><div>{drawn}</div>" for caption, drawn in subject_charts(subject, ask, tables)
    )
    shown = "".join(map(_table, tables))
    empty = "" if charts else '<p class="note">Nothing to draw in this period.</p>'
    return f'<section id="{subject}"><h2>{escape(TITLES[subject])}</h2>{charts}{empty}{shown}</section>'


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        marked = zip(cells, table.columns, strict=True)
        return "".join(f"<{tag}{' class=r' if column.right else ''}>{escape(cell)}</{tag}>" for cell, column in marked)

    head = row([column.title for column in table.columns], "th")
    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in table.cells())
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f"<details><summary>{escape(table.title)}: the numbers</summary><div class=wide><table><thead><tr>{head}</tr>"
        f"</thead><tbody>{body}</tbody></table></div>{note}</details>"
    )
