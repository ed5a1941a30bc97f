"""`cem backtest`: what other rules would have decided over the same events."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flows.replay_options import duration_ms, time_ms

if TYPE_CHECKING:
    from flows.backtest.run import Backtest
    from flows.replay import ReplayJob

WRONG_USAGE, FAILED = 2, 3  # as in ``flows.cli``

CHANGES, REPORT, PAGE = "changes.ndjson", "backtest.json", "backtest.html"


def _fail(message: str, code: int) -> NoReturn:
    print(f"cem backtest: {message}", file=sys.stderr)
    raise typer.Exit(code)


def _file(help_text: str) -> Any:
    return typer.Option(readable=False, help=help_text)


def backtest(
    events: Annotated[list[Path], _file("An event file; repeat the option for several.")],
    rules: Annotated[list[Path] | None, _file("Given twice: the old rule file, then the new one.")] = None,
    old: Annotated[list[Path] | None, _file("An old rule file, where a side has several; repeatable.")] = None,
    new: Annotated[list[Path] | None, _file("A new rule file, where a side has several; repeatable.")] = None,
    out: Annotated[
        Path | None, _file(f"A folder for {PAGE} (tables and charts), {REPORT} and {CHANGES} (each decision).")
    ] = None,
    policy: Annotated[Path | None, _file("The contact policy of both sides.")] = None,
    old_policy: Annotated[Path | None, _file("The old side's contact policy.")] = None,
    new_policy: Annotated[Path | None, _file("The new side's contact policy.")] = None,
    models: Annotated[list[Path] | None, _file("The models files of both sides.")] = None,
    lateness: Annotated[int, duration_ms("How far out of order a file may be.")] = "10s",  # type: ignore[assignment]  # typer parses it
    dedup: Annotated[int, duration_ms("An event seen again within this is dropped.")] = "1h",  # type: ignore[assignment]
    until: Annotated[int | None, time_ms("Let event time go on to this if the events end earlier.")] = None,
    max_jump: Annotated[int, duration_ms("As in a replay; 0 for no limit.")] = "366d",  # type: ignore[assignment]
    text_model: Annotated[Path | None, _file("The model of feedback's sentiment, of both sides.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run old and new rules over the same events: which decisions come and go, the load on desks and customers."""
    from flows.failures import failure_message
    from flows.replay import ReplayJob
    from flows.replay_options import load_or_exit
    from flows.signals import stopped_by_signals

    old_files, new_files = _sides(rules, old, new)
    if policy is not None and (old_policy is not None or new_policy is not None):
        _fail("--policy is for both sides: give it, or --old-policy and --new-policy", WRONG_USAGE)
    jobs = []
    for files, its_policy in ((old_files, old_policy or policy), (new_files, new_policy or policy)):
        rule_set, contact_policy = load_or_exit(files, its_policy, models)
        jobs.append(
            ReplayJob(
                rule_set, tuple(events), Path(), contact_policy, lateness, dedup, until, max_jump, text_model=text_model
            )
        )
    try:
        with stopped_by_signals("cem backtest: stopped"):
            found = _run(jobs[0], jobs[1], out)
    except (SystemExit, KeyboardInterrupt, typer.Exit):
        raise
    except OSError as error:
        _fail(f"{error.filename or out}: {error.strerror or error}", FAILED)
    except BaseException as error:  # a panic of the runtime is no Exception
        _fail(failure_message(error), FAILED)
    _show(found, out, as_json, tuple(", ".join(path.name for path in files) for files in (old_files, new_files)))


def _sides(rules: list[Path] | None, old: list[Path] | None, new: list[Path] | None) -> tuple[list[Path], list[Path]]:
    if rules:
        if old or new:
            _fail("--rules has both sides: give it twice, or --old and --new", WRONG_USAGE)
        if len(rules) != 2:
            _fail(
                "--rules is given twice: the old file, then the new one; where a side has several files, name each "
                "with --old or --new", WRONG_USAGE,
            )  # fmt: skip
        return rules[:1], rules[1:]
    if not old or not new:
        _fail("give --rules OLD --rules NEW, or --old FILE and --new FILE", WRONG_USAGE)
    return old, new


def _run(old: ReplayJob, new: ReplayJob, out: Path | None) -> Backtest:
    from flows.backtest.run import backtest as run
    from flows.progress import show_progress

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    return run(old, new, lambda title: show_progress(old.events, title), None if out is None else out / CHANGES)


def _show(found: Backtest, out: Path | None, as_json: bool, names: tuple[str, ...]) -> None:
    from flows.backtest.page import page
    from flows.backtest.report import lines_of, report_of

    report = report_of(found)
    text = json.dumps(report, ensure_ascii=False, indent=2)
    if out is not None:
        try:
            (out / REPORT).write_text(text + "\n", encoding="utf-8")
            (out / PAGE).write_text(page(report, *names), encoding="utf-8")
        except OSError as error:
            _fail(f"{error.filename or out}: {error.strerror}", FAILED)
    print(text if as_json else "\n".join(lines_of(report)))
    if out is not None:
        print(f"tables and charts: {out / PAGE}; each decision: {out / CHANGES}", file=sys.stderr)
