"""The commands that the demonstration prints to go on with: as they can be pasted, in lines that fit a terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

DEFAULT_OUT = Path("demo-out")
LINE_WIDTH = 79
"""Commands are broken at spaces to fit the usual terminal, in a pipe too: they are copied from there."""

QUERIES = {
    "What was decided, by rule and outcome": (
        "SELECT rule_id, decision, reason, count() AS n FROM cem.decisions FINAL GROUP BY ALL ORDER BY rule_id, n DESC"
    ),
    "The latest of the most urgent tickets": (
        "SELECT toDate(ts) AS day, customer_id, rule_id, JSONExtractString(payload, 'subject') AS subject "
        "FROM cem.decisions FINAL WHERE kind = 'ticket' AND decision = 'emitted' "
        "ORDER BY priority DESC, ts DESC LIMIT 10"
    ),
    "Where the app lets customers down": (
        "SELECT journey, step, error_code, count() AS errors, uniqExact(customer_id) AS customers "
        "FROM cem.events FINAL WHERE error_code <> '' GROUP BY ALL ORDER BY errors DESC LIMIT 10"
    ),
    "What one customer did last": (
        "SELECT ts, stream, page, query, amount FROM cem.events FINAL WHERE customer_id = '{customer}' "
        "ORDER BY ts DESC LIMIT 20"
    ),
}
"""Titles and SQL; `{customer}` stands for the customer of the ticket that was explained."""


def suggestions(customer: str, out: Path) -> list[tuple[str, str]]:
    """Titles and the shell commands that ask the database of the demonstration in `out`."""
    command = demo_command(out)
    made = [(title, query_command(command, sql.replace("{customer}", customer))) for title, sql in QUERIES.items()]
    path = str(out / "clickhouse").replace("\\", "\\\\").replace('"', '\\"')
    python = "\n".join(
        [
            f"{_as_typed(Path(sys.executable))} - <<'END'",
            "from clickhouse_connect import get_client",
            f'client = get_client(interface="chdb", path="{path}")',
            'sql = "SELECT rule_id, count() FROM cem.decisions FINAL GROUP BY ALL"',
            "print(client.query(sql).result_rows)",
            "END",
        ]
    )
    return [*made, ("The same from Python", python)]


def query_command(command: str, sql: str, width: int = LINE_WIDTH) -> str:
    """The shell command for a query, broken at its spaces; `sql` has no double quotes and no spaces in its texts."""
    lines = textwrap.wrap(
        f'{sql}"', width, initial_indent=f'{command} --sql "', subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(lines)


def demo_command(out: Path) -> str:
    """`cem demo` for this folder, as it was started."""
    return f"{program()} demo" + ("" if out == DEFAULT_OUT else f" --out {shlex.quote(str(out))}")


def program(argv0: str | None = None) -> str:
    """What to type for `cem`: its name where the shell finds it, else its path, or the interpreter with the module."""
    script = Path(sys.argv[0] if argv0 is None else argv0)
    if script.name == "cem":
        return _as_typed(script)
    return f"{_as_typed(Path(sys.executable))} -m flows.cli"


def _as_typed(path: Path) -> str:
    found = shutil.which(path.name)
    if found is not None and os.path.abspath(found) == os.path.abspath(path):
        return path.name
    near = os.path.relpath(path)
    if near.startswith(os.pardir):
        return shlex.quote(os.path.abspath(path))
    return shlex.quote(near if os.sep in near else os.path.join(os.curdir, near))
