"""What the demonstration prints: rich tables on a terminal, plain ones elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.demo.explain import Explanation
from flows.demo.score import StoryScore
from rules.model import RuleSet

PLAIN_WIDTH = 120
NARROW_WIDTH = 105
"""Below this a table of counts leaves something out, so that rich does not cut its numbers off."""
_PLAIN_BOX = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line of hyphens under the head and nothing else."""
_REASONS = ("shadow", "holdout", "opt_out", "cooldown", "cap", "quiet_hours", "open_ticket")


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
        """A table; columns in `right` are aligned so, those in `keep` are not wrapped."""
        table = Table(
            box=box.SIMPLE_HEAD if self.console.is_terminal else _PLAIN_BOX,
            pad_edge=False,
            show_edge=False,
            padding=(0, 1),
        )
        for name in columns:
            table.add_column(name, justify="right" if name in right else "left", no_wrap=name in keep, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._print(table)

    def summary(self, summary: Mapping[str, Any], rules: int, customers: int, days: int) -> None:
        """Counts of the replay."""
        total = sum(summary["events"].values())
        streams = ", ".join(f"{stream} {n:,}" for stream, n in summary["events"].items())
        self.line(f"{total:,} events of {customers:,} customers over {days} days ({streams})")
        self.line(f"{summary['events_per_second']:,} events/s through {rules} rules")
        dead = ", ".join(f"{reason} {n:,}" for reason, n in summary["dead_letters"].items())
        self.line(
            f"{sum(summary['dead_letters'].values()):,} dead letters{f' ({dead})' if dead else ''}, "
            f"{summary['duplicates']:,} duplicates dropped, {summary['late']:,} late events kept, "
            f"{summary['pending']:,} decisions still waiting for the end of the quiet hours"
        )  # fmt: skip

    def decisions(self, summary: Mapping[str, Any], rules: RuleSet) -> None:
        """Decisions by rule and outcome, the rules in order of priority."""
        by_rule = summary["decisions"]
        used = [reason for reason in _REASONS if any(reason in counts for counts in by_rule.values())]
        narrow = self.console.width < NARROW_WIDTH
        names = ["rule", *([] if narrow else ["title"]), "emitted", *used]
        rows = []
        for rule in sorted(rules.rules, key=lambda rule: -rule.priority):
            counts = by_rule.get(rule.id, {})
            title = [] if narrow else [rule.title]
            rows.append([rule.id, *title, *(_count(counts.get(name, 0)) for name in ("emitted", *used))])
        totals = [sum(counts.get(name, 0) for counts in by_rule.values()) for name in ("emitted", *used)]
        rows.append(["all", *([] if narrow else [""]), *map(_count, totals)])
        self.table(names, rows, right=frozenset(["emitted", *used]), keep=frozenset(["rule", "emitted", *used]))

    def scores(self, scores: Sequence[StoryScore]) -> None:
        """Each story's rule against the truth."""
        narrow = self.console.width < NARROW_WIDTH
        numbers = ["expected", "found", "missed", "false\nalarms", "precision", "recall"]
        rows = [
            [
                *([f"{s.story}\n{s.rule_id}"] if narrow else [s.story, s.rule_id]),
                *(str(s.expected), str(s.found), _count(len(s.missed)), _count(s.false_alarms)),
                *(_share(s.precision), _share(s.recall)),
            ]
            for s in scores
        ]
        names = [*(["story and rule"] if narrow else ["story", "rule"]), *numbers]
        self.table(names, rows, right=frozenset(numbers), keep=frozenset(names))

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
        self.table(("feature", "value", "meaning"), e.reasons, right=frozenset(["value"]), keep=frozenset(["feature"]))
        self.heading("The events that led to it")
        self.table(("time", "stream", "what happened", ""), e.evidence, keep=frozenset(["time", "stream", ""]))
        if e.beside:
            self.heading("Held back for the same customer within a week")
            names = ("time", "rule", "kind", "why")
            self.table(names, e.beside, keep=frozenset(names[:3]))
        else:
            self.line("Nothing was held back for the same customer within a week.")

    def queries(self, queries: Iterable[tuple[str, str]], command: str, folder: Path, out: Path) -> None:
        """The SQL to go on with, each with the command that runs it."""
        for title, sql in queries:
            self.line(f"# {title}", "dim")
            self.console.print(f'{command} --sql "{sql}"', soft_wrap=True, markup=False, highlight=False)
        self.line("# The same from Python", "dim")
        snippet = (
            "import clickhouse_connect\n"
            f'client = clickhouse_connect.get_client(interface="chdb", path="{folder}")\n'
            'print(client.query("SELECT rule_id, count() FROM cem.decisions FINAL GROUP BY ALL").result_rows)'
        )
        self.console.print(snippet, soft_wrap=True, markup=False, highlight=False)
        self.line(f"Everything is in {out}: events/ (with truth.ndjson), decisions/, clickhouse/.")

    def _labelled(self, label: str, text: str) -> None:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=7)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, style="bold"), Text(text))
        self._print(grid)

    def _print(self, what: Table | Text) -> None:
        if self.console.is_terminal:
            self.console.print(what)
            return
        with self.console.capture() as captured:
            self.console.print(what)
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
