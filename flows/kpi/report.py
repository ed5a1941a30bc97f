"""Shows the tables: on the terminal, as JSON, as one page with charts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from flows.demo.show import Show, make_console
from flows.kpi.ask import Asker
from flows.kpi.page import page
from flows.kpi.tables import Table

Tables = Mapping[str, Sequence[Table]]
"""By subject."""


def print_tables(ask: Asker, tables: Tables, console: Console | None = None) -> None:
    """Print every table with its title and note; a line for each value where a table is wider than the screen."""
    show = Show(console or make_console())
    show.line(f"Key figures, {ask.period}. 95 %: the interval that holds the true value with 95 % confidence.")
    for table in (table for several in tables.values() for table in several):
        show.heading(table.title)
        columns = [column.title for column in table.columns]
        if not table.rows:
            show.line("nothing in this period", "dim")
            continue
        right = frozenset(column.title for column in table.columns if column.right)
        show.table(columns, table.cells(), right=right, keep=frozenset(columns))
        if table.note:
            show.line(table.note, "dim")


def print_json(ask: Asker, tables: Tables) -> None:
    """Print all rows: shares of 0 to 1, times in milliseconds, null for what is not known."""
    print(json.dumps(_document(ask, tables), ensure_ascii=False, indent=1))


def write_page(path: Path, ask: Asker, tables: Tables) -> None:
    """Write one HTML file with charts and tables that needs nothing else. OSError if it cannot be written."""
    path.write_text(page(ask, tables), encoding="utf-8")


def _document(ask: Asker, tables: Tables) -> dict[str, object]:
    period = {"from": ask.period.first, "to": ask.period.last}
    return {
        **{name: day.isoformat() if day is not None else None for name, day in period.items()},
        "days": ask.days,
        "tables": {table.name: table.rows for several in tables.values() for table in several},
    }
