"""`cem simulate`: a synthetic bank's events as files, or as traffic on Kafka."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from flows.live.traffic import TrafficJob, TrafficReport

WRONG_INPUT, FAILED = 1, 3  # as in ``flows.cli``


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def _duration_ms(text: str) -> int:
    from rules.durations import DURATION_HINT, parse_duration_ms

    size_ms = parse_duration_ms(text)
    if size_ms is None:
        raise typer.BadParameter(f"{text!r} is no duration: {DURATION_HINT}")
    return size_ms


def _duration(name: str, help_text: str) -> Any:
    return typer.Option(name, parser=_duration_ms, metavar="DURATION", help=help_text)


_LIVE = "With --config"


def simulate(
    out: Annotated[
        Path | None, typer.Option(readable=False, help="Folder for the event files and truth.ndjson.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Send the events to the topics of this configuration of `cem run` instead, stamped with the time of "
            "sending.",
        ),
    ] = None,
    customers: Annotated[int, typer.Option(min=1, help="Size of the population.")] = 10_000,
    days: Annotated[int, typer.Option(min=1, help="With --out: length of the run in days.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 1,
    events_per_customer_day: Annotated[
        float, typer.Option(min=0.1, help="With --out: mean activity of a customer.")
    ] = 8.0,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --out: files per stream. With --config: create missing topics with so many partitions."
        ),
    ] = None,
    story_rate: Annotated[
        float, typer.Option(min=0.0, help="With --out: injected stories of each kind per customer.")
    ] = 0.002,
    stories: Annotated[
        str, typer.Option(help="With --out: demo, the demonstration's stories, or pack, those of the bank's pack.")
    ] = "demo",
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, max=1e6, help=f"{_LIVE}: events a second; 1000, or none if there is a backlog."),
    ] = None,
    length: Annotated[int | None, _duration("--for", f"{_LIVE}: how long at that rate; else for ever.")] = None,
    backlog: Annotated[
        int, typer.Option(min=0, help=f"{_LIVE}: first so many events as fast as possible, as if of the past.")
    ] = 0,
    backlog_span: Annotated[
        int, _duration("--backlog-span", f"{_LIVE}: how far into the past the backlog's times reach.")
    ] = "1h",  # type: ignore[assignment]  # typer parses it
    record: Annotated[
        Path | None,
        typer.Option(readable=False, help=f"{_LIVE}: write what was acknowledged here, a file for each partition."),
    ] = None,
) -> None:
    """Make up a synthetic bank's events: into files with the stories' truth beside them, or as traffic on Kafka."""
    if (out is None) == (config is None):
        raise typer.BadParameter("give either --out, for files, or --config, for traffic on Kafka", param_hint="--out")
    if config is not None:
        if length is not None and rate is None and backlog:
            raise typer.BadParameter("a backlog alone has no length; give --rate too", param_hint="--for")
        rate = 1000.0 if rate is None and not backlog else rate
        _send(config, {
            "customers": customers, "seed": seed, "rate": rate, "for_ms": length, "backlog": backlog,
            "backlog_span_ms": backlog_span, "record": record, "partitions": partitions,
        })  # fmt: skip
    elif out is not None:
        _write(out, customers=customers, days=days, seed=seed, events_per_customer_day=events_per_customer_day,
               partitions_per_stream=partitions or 1, story_rate=story_rate, stories=_set(stories))  # fmt: skip


def _set(name: str) -> str:
    from flows.simulate.run import STORY_SETS

    if name not in STORY_SETS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(STORY_SETS)}", param_hint="--stories")
    return name


def _write(out: Path, *, days: int, **numbers: Any) -> None:
    from flows.progress import show_days
    from flows.simulate import simulate as run

    try:
        with show_days(days) as progress:
            report = run(out, days=days, progress=progress, **numbers)
    except OSError as error:
        _fail(f"cem simulate: {out}: cannot be written: {error.strerror or error}", FAILED)
    for stream, n in report.events.items():
        print(f"{stream:>10} {n:>12,}")
    stories = ", ".join(f"{kind} {n}" for kind, n in report.stories.items())
    if report.left_out:
        left_out = ", ".join(f"{kind} ({needed} days)" for kind, needed in report.left_out.items())
        print(f"left out, as {days} days are too few: {left_out}")
    print(f"{sum(report.events.values()):,} events at {report.events_per_second:,.0f}/s; stories: {stories}")


def _send(config: Path, numbers: dict[str, Any]) -> None:
    from flows.live.bank_process import BankProcessError
    from flows.live.producing import TrafficError
    from flows.live.recording import RecordingError
    from flows.live.traffic import run_traffic
    from flows.progress import say

    job = _job(config, numbers)
    stop = threading.Event()
    before = [signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        report = run_traffic(job, stop, say)
    except (TrafficError, RecordingError, BankProcessError, OSError) as error:
        _fail(f"cem simulate: {error}", FAILED)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    _tell(report)
    if report.acknowledged < report.sent:
        raise typer.Exit(FAILED)


def _job(config: Path, numbers: dict[str, Any]) -> TrafficJob:
    from config.settings import SettingsError, load_settings
    from flows.live.traffic import TrafficJob

    try:
        source = load_settings(config).source
    except SettingsError as error:
        _fail(str(error), WRONG_INPUT)
    return TrafficJob(source.bootstrap, dict(source.topics), source.options, **numbers)


def _tell(report: TrafficReport) -> None:
    failed = f"; {report.failed:,} FAILED" if report.failed else ""
    print(
        f"{report.acknowledged:,} of {report.sent:,} events acknowledged in {report.seconds:,.1f} s, "
        f"{report.rate:,.0f}/s{failed}\n"
        f"acknowledged after p50 {report.p50_ms:g} ms, p99 {report.p99_ms:g} ms, at most {report.most_ms:g} ms\n"
        f"behind the schedule by {report.behind_seconds:.2f} s at most, {report.behind_at_the_end_seconds:.2f} s at "
        "the end",
        file=sys.stderr,
    )
