"""What the demonstration prints: rich tables on a terminal, plain ones elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from flows.demo.explain import Explanation
from flows.demo.score import StoryScore
from flows.words import REASONS
from rules.model import RuleSet

PLAIN_WIDTH = 120
_TITLE_WIDTH = 20
"""Columns for a rule's title below which it is left out."""
_WORD_WIDTH = 20
"""A longer word may be broken to make room."""
_GAP_WIDTH = 3
"""Between two columns, in both boxes."""
_ENDLESS = 100_000
_PLAIN_BOX = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line of hyphens under the head and nothing else."""
_OUTCOMES = ("emitted", *REASONS)
_STREAMS = {
    "profile": "profile updates", "ticket": "ticket updates", "label": "labels", "click": "clicks",
    "txn": "transactions", "feedback": "pieces of feedback",
}  # fmt: skip


class Show:
    """Prints the parts of the demonstration to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def heading(self, text: str) -> None:
        """A line that begins a part."""
        self.console.print()
        self.console.print(Text(text, style="bold cyan"))

    def line(self, text: str, style: str = "") -> None:
        """A line of text as it is, wrapped at the console's width."""
        self._print(Text(text, style=style))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[str] = frozenset(),
              keep: frozenset[str] = frozenset()) -> None:  # fmt: skip
        """A table; columns in `right` are aligned so, those in `keep` are not wrapped.

        No number is ever cut: where the screen is too narrow the lines are longer than it.
        """
        table, least = self._table(columns, list(rows), right, keep)
        if least > self.console.width:
            table.width = least
        self._print(table)

    def fits(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Whether the table has room on the screen without a cell being wrapped."""
        return self._table(columns, rows, frozenset(), frozenset(columns))[1] <= self.console.width

    def records(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows that are too wide for a table: a line `column: value` for each value."""
        for number, row in enumerate(rows, start=1):
            if number > 1:
                self.console.print()
            self.line(f"row {number}", "dim")
            for name, value in zip(columns, row, strict=True):
                self.console.print(Text.assemble((f"{name}: ", "bold"), value), soft_wrap=True)

    def summary(self, summary: Mapping[str, Any], rules: int, customers: int, days: int) -> None:
        """Counts of the replay."""
        total = sum(summary["events"].values())
        streams = ", ".join(f"{n:,} {_STREAMS.get(stream, stream)}" for stream, n in summary["events"].items())
        self.line(f"{total:,} events of {customers:,} customers over {days} days ({streams})")
        self.line(f"{summary['events_per_second']:,} events/s through {rules} rules")
        dead = ", ".join(f"{reason} {n:,}" for reason, n in summary["dead_letters"].items())
        self.line(
            f"{sum(summary['dead_letters'].values()):,} dead letters{f' ({dead})' if dead else ''}, "
            f"{summary['duplicates']:,} duplicates dropped, {summary['late']:,} late events kept, "
            f"{summary['pending']:,} decisions still waiting for the end of the quiet hours"
        )  # fmt: skip

    def decisions(self, summary: Mapping[str, Any], rules: RuleSet) -> None:
        """Decisions by rule and outcome, the rules in order of priority; a line for each where it is narrow."""
        by_rule = summary["decisions"]
        used = [name for name in _OUTCOMES if any(name in counts for counts in by_rule.values())]
        counted = [(rule, by_rule.get(rule.id, {})) for rule in sorted(rules.rules, key=lambda rule: -rule.priority)]
        totals = {name: sum(counts.get(name, 0) for _, counts in counted) for name in used}
        self.line("Counts actions, sent or held back for the reason named; a rule may have several for one case.")
        rows = [[rule.id, rule.title, *(_count(counts.get(name, 0)) for name in used)] for rule, counts in counted]
        rows.append(["all", "", *(_count(totals[name]) for name in used)])
        if self.fits(["rule", *used], [[row[0], *row[2:]] for row in rows]):
            names = ["rule", "title", *used]
            if not self.fits(["rule", "t" * _TITLE_WIDTH, *used], [[row[0], "", *row[2:]] for row in rows]):
                names, rows = ["rule", *used], [[row[0], *row[2:]] for row in rows]
            self.table(names, rows, right=frozenset(used), keep=frozenset(["rule", *used]))
            return
        lines = []
        for rule_id, counts in [*((rule.id, counts) for rule, counts in counted), ("all", totals)]:
            outcomes = [(name, _count(counts[name])) for name in used if counts.get(name)] or [("none", "-")]
            lines += [[rule_id if place == 0 else "", *pair] for place, pair in enumerate(outcomes)]
        columns = ("rule", "outcome", "actions")
        self.table(columns, lines, right=frozenset(["actions"]), keep=frozenset(columns))

    def scores(self, scores: Sequence[StoryScore], rules: RuleSet | None = None) -> None:
        """Each story's rule against the truth, and which of the rules have none."""
        self.line("Counts cases: a story hidden in the data is one, whatever the number of actions.")
        numbers = ["expected", "found", "missed", "false\nalarms", "precision", "recall"]
        rows = [
            [s.story, s.rule_id, str(s.expected), str(s.found), _count(len(s.missed)), _count(s.false_alarms),
             _share(s.precision), _share(s.recall)]
            for s in scores
        ]  # fmt: skip
        names = ["story", "rule", *numbers]
        if not self.fits(names, rows):
            names, rows = ["story and rule", *numbers], [[f"{row[0]}\n{row[1]}", *row[2:]] for row in rows]
        self.table(names, rows, right=frozenset(numbers), keep=frozenset(names))
        scored = {s.rule_id for s in scores}
        others = [rule.id for rule in rules.rules if rule.id not in scored] if rules is not None else []
        if others:
            self.line(f"Not in this table, as no story in the data is meant for them: {', '.join(others)}.")

    def explanation(self, e: Explanation) -> None:
        """One ticket in words."""
        payload = e.decision["payload"]
        due = f", due within {payload['sla']}" if "sla" in payload else ""
        self._labelled("Ticket", f"{payload.get('subject', '')} -> {payload.get('queue', '')}{due}")
        self._labelled("Who", e.who)
        self._labelled("Rule", e.rule)
        self._labelled("Why", f"{e.condition}; {e.timing}")
        self._labelled("To do", e.advice)
        self.console.print()
        short = all(cell_len(value) <= _TITLE_WIDTH for _, value, _ in e.reasons)
        keep = frozenset(["feature", "value"] if short else ["feature"])
        self.table(("feature", "value", "meaning"), e.reasons, right=frozenset(["value"]), keep=keep)
        self.heading("The events that led to it")
        self.table(("time", "stream", "what happened", ""), e.evidence, keep=frozenset(["time", "stream"]))
        if e.beside:
            self.heading("Held back for the same customer within a week")
            names = ("time", "rule", "kind", "why")
            self.table(names, e.beside, keep=frozenset(names[:3]))
        else:
            self.line("Nothing was held back for the same customer within a week.")

    def suggestions(self, suggestions: Iterable[tuple[str, str]], out: Path) -> None:
        """Titles and the commands to go on with, printed as they are so that they can be pasted."""
        for title, command in suggestions:
            self.line(f"# {title}", "dim")
            self.console.print(command, soft_wrap=True, markup=False, highlight=False)
        self.line(f"Everything is in {out}: events/ (with truth.ndjson), decisions/, clickhouse/.")

    def _table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[str], keep: frozenset[str]
    ) -> tuple[Table, int]:
        """The table and the least width in which nothing that should stay whole is broken."""
        cells = [[Text(cell) for cell in row] for row in rows]
        table = Table(
            box=box.SIMPLE_HEAD if self.console.is_terminal else _PLAIN_BOX,
            pad_edge=False,
            show_edge=False,
            padding=(0, 1),
        )
        least = _GAP_WIDTH * (len(columns) - 1)
        endless = self.console.options.update(width=_ENDLESS)  # what a cell needs, whatever the screen has
        for place, name in enumerate(columns):
            whole = [Measurement.get(self.console, endless, text) for text in (Text(name), *(r[place] for r in cells))]
            width = max(m.maximum for m in whole) if name in keep else min(max(m.minimum for m in whole), _WORD_WIDTH)
            justify: Literal["left", "right"] = "right" if name in right else "left"
            table.add_column(name, justify=justify, no_wrap=name in keep, overflow="fold")
            least += width
        for row in cells:
            table.add_row(*row)
        return table, least

    def _labelled(self, label: str, text: str) -> None:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=7)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, style="bold"), Text(text))
        self._print(grid)

    def _print(self, what: Table | Text) -> None:
        if self.console.is_terminal:
            self.console.print(what, crop=False)
            return
        with self.console.capture() as captured:
            self.console.print(what, crop=False)
        for line in captured.get().splitlines():  # rich fills lines with spaces up to the width
            self.console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


def make_console() -> Console:
    """The console on standard output, wide enough for the tables where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


def _count(n: int) -> str:
    return f"{n:,}" if n else "-"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
