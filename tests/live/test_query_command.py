"""`cem query`: the tables of a live run, asked without changing them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.live.query_command import query
from sinks.clickhouse import open_embedded

ROOT = Path(__file__).resolve().parents[2]
COUNT = "SELECT count() AS n FROM cem.numbers"


def settings(folder: Path, sinks: str) -> Path:
    path = folder / "live.yaml"
    rules = ROOT / "rules/packs/demo.yaml"
    path.write_text(
        f"rules: [{rules}]\nstate: state\nsource:\n  bootstrap: localhost:1\n  topics: {{click: [bank.click]}}\n"
        f"sinks: {sinks}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of one table with three rows."""
    folder = tmp_path_factory.mktemp("query")
    fill = (
        "import sys; from pathlib import Path; from sinks.clickhouse import open_embedded\n"
        "client = open_embedded(Path(sys.argv[1]))\n"
        "client.command('CREATE DATABASE cem')\n"
        "client.command('CREATE TABLE cem.numbers (n UInt8) ENGINE = MergeTree ORDER BY n')\n"
        "client.command('INSERT INTO cem.numbers SELECT number FROM numbers(3)')\n"
        "client.close()\n"
    )
    subprocess.run([sys.executable, "-c", fill, str(folder / "db")], cwd=ROOT, check=True)
    return folder


@pytest.fixture
def open_elsewhere(folder: Path) -> Iterator[None]:
    """Another process has the database open."""
    hold = (
        "import sys; from pathlib import Path; from sinks.clickhouse import open_embedded\n"
        "client = open_embedded(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(folder / "db")], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    yield
    process.communicate()


def ended(sql: str, config: Path) -> int:
    with pytest.raises(typer.Exit) as raised:
        query(sql, config)
    return raised.value.exit_code


def test_the_embedded_engine_answers_and_is_not_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = settings(folder, "{clickhouse: {path: db}}")
    query(COUNT, config)
    assert capsys.readouterr().out == "n\n3\n"
    assert ended("TRUNCATE TABLE cem.numbers", config) == 2
    assert "only queries are run here" in capsys.readouterr().err
    assert ended("SELECT nope FROM cem.numbers", config) == 2
    assert "nope" in capsys.readouterr().err


@pytest.mark.usefixtures("open_elsewhere")
def test_a_folder_that_the_engine_has_open(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(COUNT, settings(folder, "{clickhouse: {path: db}}")) == 3
    assert capfd.readouterr().err == (
        f"cem query: {folder / 'db'}: the engine is running and holds the folder; stop it, or use a server "
        "(sinks.clickhouse.url)\n"
    )


def test_a_server_is_asked_with_its_own_guard_against_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    urls, given = [], []

    def connect(url: str) -> Any:
        urls.append(url)
        client = open_embedded(folder / "db")
        ask = client.query
        monkeypatch.setattr(
            client, "query", lambda sql, settings: given.append(settings) or ask(sql, settings=settings)
        )
        return client

    monkeypatch.setattr("sinks.clickhouse_writer.connect_http", connect)
    query(COUNT, settings(folder, "{clickhouse: {url: 'http://cem:secret@ch:8123'}}"))
    assert (urls, given) == (["http://cem:secret@ch:8123"], [{"readonly": 2}])
    assert capsys.readouterr().out == "n\n3\n"


def test_where_there_is_nothing_to_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(COUNT, settings(tmp_path, "{clickhouse: {path: none}}")) == 3
    assert "there is no database here yet" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert ended(COUNT, settings(tmp_path, "{files: out}")) == 1
    assert "has no sinks.clickhouse" in capsys.readouterr().err
    assert ended(COUNT, settings(tmp_path, "{clickhouse: {url: 'http://cem:secret@localhost:1'}}")) == 3
    said = capsys.readouterr().err
    assert "localhost" in said
    assert "secret" not in said
