"""The demonstration on a tiny bank: what it prints, and what a person can ask afterwards."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from typer.testing import CliRunner

from flows.cli import app
from flows.demo import DemoJob, QueryError, run_demo, show_query
from flows.demo.further import QUERIES, program
from flows.demo.lock import locked
from flows.demo.query import one_query
from flows.demo.run import demo_rules
from flows.demo.score import STORY_RULES, score
from flows.demo.spoil import BROKEN_EACH
from flows.words import REASONS, in_words
from sinks.clickhouse import ClickHouseSinkError, open_embedded

Record = dict[str, Any]


def test_the_command_answers_a_query_or_says_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path), "--sql", "SELECT 1"])
    assert result.exit_code == 3
    assert "no demonstration has been run here" in result.output
    assert list(tmp_path.iterdir()) == []


@dataclass
class Shown:
    folder: Path
    summary: Record
    text: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder, out = tmp_path_factory.mktemp("demo"), io.StringIO()
    job = DemoJob(folder, customers=120, days=34, seed=3, story_rate=0.02)
    summary = run_demo(job, Console(file=out, width=120))
    return Shown(folder, summary, out.getvalue())


def part(text: str, heading: str) -> list[str]:
    """The lines after the heading, to the next empty line."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(heading))
    return lines[start + 1 : lines.index("", start)] if "" in lines[start:] else lines[start + 1 :]


def test_every_story_is_found(shown: Shown) -> None:
    decisions = [json.loads(line) for line in (shown.folder / "decisions" / "actions.ndjson").open()]
    truth = [json.loads(line) for line in (shown.folder / "events" / "truth.ndjson").open()]
    scores = score(truth, decisions)
    assert [s for s in scores if s.missed or not s.expected or s.false_alarms] == []


def test_the_tables_say_what_the_summary_says(shown: Shown) -> None:
    by_rule = {row.split()[0]: row for row in part(shown.text, "Decisions by rule")[3:]}
    for rule, counts in shown.summary["decisions"].items():
        assert str(counts.get("emitted", "-")) in by_rule[rule].split()
    stories = part(shown.text, "Was it right?")[4:]
    while not stories[-1].endswith("1.000"):  # the sentence below the table
        stories.pop()
    assert [row.split()[0] for row in stories] == list(STORY_RULES)
    assert all(row.split()[-2:] == ["1.000", "1.000"] for row in stories)
    dead = sum(shown.summary["dead_letters"].values())
    assert dead == 5 * BROKEN_EACH
    assert f"{dead} dead letters" in shown.text
    assert shown.summary["duplicates"] > 0
    assert f"{shown.summary['duplicates']} duplicates" in shown.text


def test_the_explanation_names_features_evidence_and_what_to_do(shown: Shown) -> None:
    start = shown.text.index("One ticket explained")
    text = shown.text[start : shown.text.index("Look further")]
    rules, _ = demo_rules()
    rule = next(rule for rule in rules.rules if f"({rule.id} v" in text)
    for name, expression in rule.lets:
        (row,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
        assert in_words(expression)[:20] in row
    assert rule.title in text
    assert "The events that led to it" in text
    assert any(word in text for word in ("Nothing was held back", *REASONS))


def test_rules_without_a_story_are_named(shown: Shown) -> None:
    rules, _ = demo_rules()
    (start,) = [i for i, row in enumerate(shown.text.splitlines()) if row.startswith("Not in this table")]
    said = " ".join(shown.text.splitlines()[start : start + 3])
    assert {rule.id for rule in rules.rules if rule.id in said} == {rule.id for rule in rules.rules} - set(
        STORY_RULES.values()
    )


def test_the_printed_commands_can_be_pasted(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown.text[shown.text.index("Look further") : shown.text.index("# The same from Python")]
    commands = [command.split("\n", 1)[1] for command in text.split("\n# ")[1:]]
    assert len(commands) == len(QUERIES)
    for command in commands:
        assert max(map(len, command.splitlines()[1:])) < 80
        *start, out_option, folder, sql_option, sql = shlex.split(command)
        assert (start[-1], out_option, folder, sql_option) == ("demo", "--out", str(shown.folder), "--sql")
        out = io.StringIO()
        show_query(shown.folder, sql, Console(file=out, width=200))
        assert len(out.getvalue().splitlines()) > 2, command


def test_the_database_holds_what_the_replay_kept(shown: Shown) -> None:
    out = io.StringIO()
    sql = "SELECT (SELECT count() FROM cem.events FINAL), (SELECT count() FROM cem.decisions FINAL)"
    show_query(shown.folder, sql, Console(file=out, width=100))
    kept = sum(shown.summary["events"].values()) - shown.summary["duplicates"]
    decided = sum(sum(counts.values()) for counts in shown.summary["decisions"].values())
    assert out.getvalue().split()[-2:] == [str(kept), str(decided)]


def test_a_second_run_in_the_same_folder_replaces_the_first(shown: Shown, tmp_path: Path) -> None:
    job = DemoJob(shown.folder / "again", customers=20, days=3, seed=1)
    first = run_demo(job, Console(file=io.StringIO(), width=120))
    second = run_demo(job, Console(file=io.StringIO(), width=120))
    assert first["decisions"] == second["decisions"]
    out = io.StringIO()
    show_query(job.out, "SELECT count() FROM cem.decisions", Console(file=out))
    assert out.getvalue().split()[-1] == str(sum(sum(c.values()) for c in second["decisions"].values()))


def test_a_query_without_a_demonstration_or_with_a_mistake_says_so(shown: Shown, tmp_path: Path) -> None:
    with pytest.raises(ClickHouseSinkError, match="no demonstration has been run here"):
        show_query(tmp_path, "SELECT 1")
    (tmp_path / "clickhouse").mkdir()
    with pytest.raises(ClickHouseSinkError, match="no demonstration has been run here"):
        show_query(tmp_path, "SELECT 1")
    with pytest.raises(QueryError, match="nope"):
        show_query(shown.folder, "SELECT nope")


# ---- queries of a person


def answer(shown: Shown, sql: str, width: int | None = None) -> str:
    """What is printed: on a terminal of this width, or into a file."""
    out = io.StringIO()
    console = Console(file=out) if width is None else Console(file=out, width=width, force_terminal=True, no_color=True)
    show_query(shown.folder, sql, console)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "empty"),
        (" ; -- nothing", "empty"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT 1; DROP TABLE cem.events", "several statements"),
        ("DROP TABLE cem.events", "only queries"),
        ("/* SELECT */ INSERT INTO cem.dead_letters SELECT * FROM cem.dead_letters", "only queries"),
        ("SET readonly = 0", "only queries"),
        ("SELECT 1 INTO OUTFILE 'answer.txt'", "only queries"),
        ("SELECT 1 FORMAT JSON", "leave FORMAT out"),
        ("SELECT count() FROM cem.nope", "nope"),
    ],
)
def test_what_is_no_single_query_is_wrong_usage_and_changes_nothing(shown: Shown, sql: str, message: str) -> None:
    before = answer(shown, "SELECT name, total_rows FROM system.tables WHERE database = 'cem' ORDER BY name")
    result = CliRunner().invoke(app, ["demo", "--out", str(shown.folder), "--sql", sql])
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert answer(shown, "SELECT name, total_rows FROM system.tables WHERE database = 'cem' ORDER BY name") == before


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE cem.dead_letters",
        "TRUNCATE TABLE cem.dead_letters",
        "ALTER TABLE cem.dead_letters DELETE WHERE 1",
        "INSERT INTO cem.dead_letters SELECT * FROM cem.dead_letters",
        "CREATE TABLE cem.other (n Int8) ENGINE = Memory",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
    ],
)
def test_the_engine_itself_refuses_changes_when_it_is_read_only(shown: Shown, sql: str) -> None:
    with (
        closing(open_embedded(shown.folder / "clickhouse", read_only=True)) as client,
        pytest.raises(ClickHouseError, match="READONLY"),
    ):
        client.command(sql)


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("SELECT 'a;b' -- c;d\n;", "SELECT 'a;b'"),
        ("SELECT 'it''s; --', \"x;\", `y;`", "SELECT 'it''s; --', \"x;\", `y;`"),
        ("(SELECT 1) UNION ALL (SELECT 2);", "(SELECT 1) UNION ALL (SELECT 2)"),
        ("with 1 AS x select x", "with 1 AS x select x"),
    ],
)
def test_semicolons_in_texts_and_comments_end_no_statement(sql: str, kept: str) -> None:
    assert one_query(sql) == kept


def test_an_answer_in_a_file_is_tab_separated_under_its_names(shown: Shown) -> None:
    sql = "SELECT 'a\\tb\\nc' AS text, NULL AS none, toDateTime64('2026-01-02 03:04:05.678', 3) AS ts, 12 AS n"
    assert answer(shown, sql) == "text\tnone\tts\tn\na\\tb\\nc\t\t2026-01-02 03:04:05.678\t12\n"


def test_an_answer_on_a_terminal_is_a_table_or_a_line_for_each_value(shown: Shown) -> None:
    sql = "SELECT 1234567 AS number, repeat('x', 61) AS text, number + 1 AS next FROM numbers(2)"
    table = answer(shown, sql, width=100).splitlines()
    assert table[0].split() == ["number", "text", "next"]
    assert table[2].split() == ["1234567", "x" * 61, "1234568"]
    records = answer(shown, sql, width=80).splitlines()
    assert records[:4] == ["row 1", "number: 1234567", f"text: {'x' * 61}", "next: 1234568"]
    assert records[4:6] == ["", "row 2"]
    assert answer(shown, "SELECT * FROM cem.events WHERE 0", width=80) == "no rows\n"


# ---- one run at a time, and how it was started


def test_a_folder_in_use_is_left_alone(shown: Shown) -> None:
    with locked(shown.folder):
        for more in ([], ["--sql", "SELECT 1"]):
            result = CliRunner().invoke(app, ["demo", "--out", str(shown.folder), *more])
            assert result.exit_code == 3
            assert f"{shown.folder} is in use by another run; wait or choose --out" in result.output
    assert answer(shown, "SELECT 1 AS one") == "one\n1\n"


def test_the_command_is_printed_as_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "my venv" / "bin" / "cem"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(tmp_path)
    assert program("my venv/bin/cem") == "'my venv/bin/cem'"
    monkeypatch.chdir(script.parent)
    assert program("./cem") == "./cem"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert program(str(script)) == f"'{script}'"
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.defpath}")
    assert program(str(script)) == "cem"
    assert program("/repo/flows/cli.py").endswith(" -m flows.cli")
