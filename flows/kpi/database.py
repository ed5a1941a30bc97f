"""The database that is asked: of the last demonstration, of a live run, or made of what a replay read and wrote."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zstandard
from clickhouse_connect.driver.client import Client

from flows.demo.lock import locked
from flows.kpi.ask import KpiError
from flows.replay import DEAD_LETTERS
from sinks.clickhouse import Tables, open_embedded
from sinks.kpi_views import KPI_VIEWS


@dataclass(frozen=True, slots=True)
class Opened:
    """A client, the database in it, and settings that keep queries from changing anything."""

    client: Client
    database: str = "cem"
    options: dict[str, Any] = field(default_factory=dict)


@contextmanager
def of_demo(out: Path) -> Iterator[Opened]:
    """The database of the last demonstration in a folder. KpiError if there is none, InUseError while one runs."""
    folder = out / "clickhouse"
    if not folder.is_dir():
        raise KpiError(f"{folder}: no demonstration has been run here; run `cem demo`, or give --config or --events")
    with locked(out), closing(open_embedded(folder, read_only=True)) as client:
        yield checked(Opened(client))


@contextmanager
def of_config(config: Path) -> Iterator[Opened]:
    """The database of a live run; KpiError if its settings have none."""
    from flows.live.pause_command import settings_of
    from flows.live.query_command import reading_client

    settings = settings_of(config)
    if settings.sinks.clickhouse is None:
        raise KpiError(f"{config} has no sinks.clickhouse, so there are no tables to ask")
    with reading_client(settings) as (client, options):
        yield checked(Opened(client, settings.sinks.clickhouse.database, options))


@contextmanager
def of_files(events: Sequence[Path], actions: Sequence[Path], timezone: str) -> Iterator[Opened]:
    """A database for the time being, of event files and decisions; days are those of the timezone.

    Dead letters beside the decisions name lines of the event files that are left out. OSError for files that cannot
    be read.
    """
    for path in (*events, *actions):
        path.open("rb").close()  # said before a database is made
    dead = set().union(*(_dead_lines(path.parent / DEAD_LETTERS) for path in actions))
    with (
        TemporaryDirectory(prefix="cem-kpi-") as folder,
        closing(open_embedded(Path(folder) / "clickhouse")) as client,
    ):
        tables = Tables(client, timezone=timezone)
        tables.create()
        for path in events:
            tables.insert_events(line for number, line in _numbered(path) if (str(path), number) not in dead)
        for path in actions:
            tables.insert_decisions(line for _, line in _numbered(path))
        yield Opened(client)


def checked(opened: Opened) -> Opened:
    """The same, or KpiError if a database of an older version has no views, or fewer."""
    if not opened.client.query(f"EXISTS TABLE `{opened.database}`.{KPI_VIEWS[-1]}").result_rows[0][0]:
        raise KpiError(
            f"database {opened.database}: it has not all views of key figures, for an older version of the program "
            "made it; the next `cem run` adds them, and so does a new `cem demo`"
        )
    return opened


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    with path.open("rb") as file:
        lines: Any = file
        if path.suffix == ".gz":
            lines = gzip.GzipFile(fileobj=file)
        elif path.suffix == ".zst":
            lines = BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, line.rstrip()


def _dead_lines(path: Path) -> set[tuple[str, int]]:
    found = set()
    if path.is_file():
        for _, line in _numbered(path):
            source, _, number = json.loads(line)["source"].rpartition(":")
            found.add((source, int(number)))
    return found
