"""The `cem` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flows.backtest_command import backtest
from flows.explain_command import explain
from flows.kpi_command import kpi
from flows.live.customer_command import add_customer_command
from flows.live.pause_command import add_pause_commands
from flows.live.query_command import query
from flows.live.run_command import run
from flows.replay_options import duration_ms, load_or_exit, time_ms
from flows.rule_test_command import add_test_command
from flows.simulate_command import simulate
from flows.state_command import state_app
from flows.text_command import text_app

app = typer.Typer(
    name="cem",
    help="The real-time engine of a bank's customer experience: act before the customer complains.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(name="rules", help="Work with rule files.", no_args_is_help=True)
app.add_typer(rules_app)
add_pause_commands(rules_app)
add_test_command(rules_app)
add_customer_command(app)
app.add_typer(state_app)
app.add_typer(text_app)
app.command()(simulate)
app.command()(run)
app.command()(query)
app.command()(explain)
app.command()(backtest)
app.command()(kpi)

WRONG_INPUT, WRONG_USAGE, FAILED = 1, 2, 3


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"cem {version('cem-engine')}")
        except PackageNotFoundError:
            print("cem (not installed)")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


_MODELS = typer.Option(readable=False, help="A models file, for `score(…)`; by default the one that is shipped.")


@app.command()
def replay(
    rules: Annotated[list[Path], typer.Option(readable=False, help="A rule file; repeat the option for several.")],
    events: Annotated[
        list[Path],
        typer.Option(
            readable=False,  # here and below: typer's own check would call it wrong usage, and say less
            help="An event file (NDJSON, also .gz or .zst), one source partition; repeat for several.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(readable=False, help="Folder for actions.ndjson, dead_letters.ndjson and summary.json.")
    ],
    policy: Annotated[
        Path | None, typer.Option(readable=False, help="The contact policy: control group, caps, quiet hours.")
    ] = None,
    models: Annotated[list[Path] | None, _MODELS] = None,
    lateness: Annotated[int, duration_ms("How far out of order a file may be, e.g. 10s.")] = "10s",  # type: ignore[assignment]  # typer parses it
    dedup: Annotated[int, duration_ms("An event seen again within this is dropped.")] = "1h",  # type: ignore[assignment]
    until: Annotated[
        int | None,
        time_ms("Let event time go on to this if the events end earlier: milliseconds since 1970."),
    ] = None,
    max_jump: Annotated[
        int,
        duration_ms("An event this far above its file's highest time is a dead letter; 0 for no limit."),
    ] = "366d",  # type: ignore[assignment]
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of processes.")] = 1,
    state: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="Keep the state in this folder: a run that was killed goes on when started again."
        ),
    ] = None,
    epoch: Annotated[int, duration_ms("How often the state is written.")] = "1s",  # type: ignore[assignment]
    text_model: Annotated[
        Path | None,
        typer.Option(readable=False, help="The model of feedback's sentiment, from `cem text train`; else our own."),
    ] = None,
    compact_after: Annotated[
        int,
        duration_ms("Clear out what no rule can see any more whenever event time has gone on by this; saves memory."),
    ] = "1d",  # type: ignore[assignment]
) -> None:
    """Run rules over event files: every decision is written, emitted or suppressed with its reason."""
    from flows.failures import failure_message
    from flows.kernels import warm_up
    from flows.progress import say, show_progress
    from flows.replay import ReplayJob
    from flows.replay import replay as run
    from flows.signals import stopped_by_signals

    rule_set, contact_policy = load_or_exit(rules, policy, models)
    job = ReplayJob(
        rule_set, tuple(events), out, contact_policy, lateness, dedup, until, max_jump, workers, compact_after,
        state, max(1, epoch), _text_model(text_model),
    )  # fmt: skip
    try:
        with stopped_by_signals(f"cem replay: stopped; what is in {out} is not complete"):
            warm_up()
            with show_progress(events, "replay") as progress:
                summary = run(job, progress, say)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of the runtime is no Exception
        _fail(f"cem replay: {failure_message(error)}", FAILED)
    _report(summary, out)


def _text_model(path: Path | None) -> Path | None:
    """The path, if the model there can be used; else its problem on stderr and exit code 1."""
    from operators.annotate import default_annotator
    from state.text_model import TextModelError

    if path is not None:
        try:
            default_annotator(path)
        except TextModelError as error:
            _fail(f"cem replay: {error}", WRONG_INPUT)
    return path


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _report(summary: dict, out: Path) -> None:  # type: ignore[type-arg]
    emitted = sum(by.get("emitted", 0) for by in summary["decisions"].values())
    suppressed = sum(sum(by.values()) for by in summary["decisions"].values()) - emitted
    dead = summary["dead_letters"]
    reasons = f" ({', '.join(f'{reason} {n:,}' for reason, n in dead.items())})" if dead else ""
    events = _plural(sum(summary["events"].values()), "event")
    duplicates, dead_letters = _plural(summary["duplicates"], "duplicate"), _plural(sum(dead.values()), "dead letter")
    decisions, waiting = _plural(emitted, "decision"), _plural(summary["armed"], "rule")
    lines = [
        f"{events} ({summary['late']:,} late, {duplicates} dropped); {dead_letters}{reasons}",
        f"{decisions} emitted, {suppressed:,} suppressed",
        f"at the end {summary['pending']:,} held back, {waiting} waiting for a deadline",
        f"{summary['events_per_second']:,} events/s, {summary['peak_rss_bytes'] / 1e6:,.0f} MB; written to {out}",
        *(f"warning: {warning}" for warning in summary["warnings"]),
    ]
    print("\n".join(lines), file=sys.stderr)


@rules_app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(readable=False, help="Rule files; together they are one set.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(readable=False, help="A policy file to check as well.")] = None,
    models: Annotated[list[Path] | None, _MODELS] = None,
) -> None:
    """Print every problem of the files as `file:line:column: CODE rule-id: message (hint)`."""
    from flows.loading import load_model_files
    from rules.check_tickets import check_tickets
    from rules.load import load_rules
    from rules.policy import load_policy

    if not files and policy is None and not models:
        raise typer.BadParameter("give a rule file, a policy with --policy or models with --models", param_hint="FILES")
    model_set, problems = load_model_files(models)
    rule_set, rule_problems = load_rules(files or [], None if model_set is None else model_set.names)
    problems += rule_problems
    if policy is not None:
        loaded, policy_problems = load_policy(policy)
        problems += policy_problems
        if loaded is not None and loaded.tickets is not None and rule_set is not None and files:
            problems += check_tickets(loaded.tickets, rule_set)
    for problem in problems:
        print(problem)
    errors = sum(problem.is_error for problem in problems)
    rules = "no rules loaded" if rule_set is None else _counted(len(rule_set.rules), "rule")
    found = f"{_counted(errors, 'error')}, {_counted(len(problems) - errors, 'warning')}"
    print(f"{rules}, {found}" if files else found, file=sys.stderr)
    if errors:
        raise typer.Exit(WRONG_INPUT)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for events, decisions and the database.")] = Path("demo-out"),
    customers: Annotated[int, typer.Option(min=1, help="Size of the population.")] = 3000,
    days: Annotated[int, typer.Option(min=1, help="Length in days; salaries need 32.")] = 36,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same data and decisions.")] = 1,
    sql: Annotated[str | None, typer.Option(help="Only answer this query on the last demonstration.")] = None,
) -> None:
    """Simulate a bank, run rules over it, and show what they found, in under a minute; needs no server."""
    from flows.demo import DemoJob, InUseError, QueryError, run_demo, show_query
    from flows.failures import known_failure
    from sinks.clickhouse import ClickHouseSinkError

    try:
        if sql is not None:
            show_query(out, sql)
        else:
            run_demo(DemoJob(out, customers, days, seed))
    except QueryError as error:
        _fail(f"cem demo: {error}", WRONG_USAGE)
    except BrokenPipeError:  # `| head` has seen enough
        raise
    except Exception as error:
        known = error if isinstance(error, ClickHouseSinkError | InUseError) else known_failure(error)
        if isinstance(error, OSError):
            known = OSError(f"{error.filename or out}: {error.strerror or error}; choose another folder with --out")
        if known is None:
            raise
        _fail(f"cem demo: {known}", FAILED)


@app.command(name="warm-up")
def warm_up_kernels() -> None:
    """Compile what the engine compiles at its first start, for example while an image is built."""
    from flows.kernels import warm_up

    warm_up()
    print("the kernels are compiled", file=sys.stderr)


def main() -> None:
    """Entry point of the `cem` command."""
    app()


if __name__ == "__main__":
    main()
