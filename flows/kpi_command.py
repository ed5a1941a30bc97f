"""`cem kpi`: the key figures, of a demonstration, a live run or a replay's files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.live.pause_command import FAILED, fail

if TYPE_CHECKING:
    from flows.kpi.ask import Period
    from flows.kpi.database import Opened

WRONG_USAGE = 2

_Subjects = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SUBJECT]...", help="voice, surveys, journeys, tickets, contacts, fatigue, rules; all if none."
    ),
]
_Files = Annotated[list[Path] | None, typer.Option(readable=False, help="Event files of a replay; repeat for several.")]


def kpi(
    subjects: _Subjects = None,
    out: Annotated[Path, typer.Option(readable=False, help="Ask the last demonstration in this folder.")] = Path(
        "demo-out"
    ),
    config: Annotated[
        Path | None, typer.Option(readable=False, metavar="FILE", help="Ask the ClickHouse of this live run instead.")
    ] = None,
    events: _Files = None,
    actions: Annotated[
        list[Path] | None, typer.Option(readable=False, help="With --events: the actions.ndjson of the replay.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="With --events: whose days these are.")] = "Asia/Shanghai",
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day, YYYY-MM-DD.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last day, included.")] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Dimensions, such as touchpoint,tier; which, is in docs/kpi.md.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=366, help="surveys, contacts: answer, convert within so many days.")
    ] = 7,
    goal: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE=STREAM.FIELD=VALUE", help="contacts: what is conversion; * for all other rules."),
    ] = None,
    html: Annotated[Path | None, typer.Option(readable=False, help="Write a page with charts here too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Tell how it went: voice, surveys, journeys, tickets, contacts against the control group, fatigue, rules."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from flows.demo.lock import InUseError
    from flows.kpi.ask import Asker, KpiError, check_by, read_goals
    from flows.kpi.report import print_json, print_tables, write_page
    from flows.kpi.tables import SUBJECTS, subject_tables
    from flows.live.logs import without_passwords
    from flows.live.query_command import UnavailableError
    from sinks.contract import SinkError

    chosen = list(dict.fromkeys(subjects or SUBJECTS))
    dimensions = None if by is None else [name.strip() for name in by.split(",") if name.strip()]
    try:
        for subject in chosen:
            if subject not in SUBJECTS:
                raise KpiError(f"there is no {subject!r}; choose from {', '.join(SUBJECTS)}")
            check_by(subject, dimensions or [])
        period, goals = _period(first, last), read_goals(goal or [])
        source = _source(out, config, events, actions, timezone)
    except KpiError as error:
        fail(f"cem kpi: {error}", WRONG_USAGE)
    try:
        with source as opened:
            ask = Asker(opened.client, opened.database, period, days, goals, opened.options)
            tables = {subject: subject_tables(subject, ask, dimensions) for subject in chosen}
            if html is not None:
                write_page(html, ask, tables)
    except (KpiError, InUseError, UnavailableError, SinkError, ClickHouseError) as error:
        fail(f"cem kpi: {without_passwords(str(error).strip())}", FAILED)
    except (OSError, EOFError) as error:
        fail(
            f"cem kpi: {getattr(error, 'filename', None) or html}: {getattr(error, 'strerror', None) or error}", FAILED
        )
    (print_json if as_json else print_tables)(ask, tables)
    if html is not None:
        print(f"the page is in {html}", file=sys.stderr)


def _period(first: str | None, last: str | None) -> Period:
    from flows.kpi.ask import KpiError, Period

    def day(text: str | None) -> date | None:
        try:
            return None if text is None else date.fromisoformat(text)
        except ValueError:
            raise KpiError(f"{text!r} is no day: write YYYY-MM-DD") from None

    period = Period(day(first), day(last))
    if period.first is not None and period.last is not None and period.first > period.last:
        raise KpiError(f"the period ends ({last}) before it begins ({first})")
    return period


def _source(
    out: Path, config: Path | None, events: Sequence[Path] | None, actions: Sequence[Path] | None, timezone: str
) -> AbstractContextManager[Opened]:
    from zoneinfo import ZoneInfo

    from flows.kpi.ask import KpiError
    from flows.kpi.database import of_config, of_demo, of_files

    if config is not None and (events or actions):
        raise KpiError("give --config, or --events and --actions, not both")
    if config is not None:
        return of_config(config)
    if events or actions:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise KpiError(f"{timezone!r} is no timezone: write an IANA name, such as Asia/Shanghai") from None
        return of_files(events or [], actions or [], timezone)
    return of_demo(out)
