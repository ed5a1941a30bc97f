"""`cem rules pause`, `resume` and `paused`: the kill switch of rules, for an engine that runs."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn
from zoneinfo import ZoneInfo

import typer

if TYPE_CHECKING:
    from config.settings import LiveSettings
    from flows.live.pauses import PauseFiles
    from rules.model import Rule

WRONG_INPUT, FAILED = 1, 3  # as in ``flows.cli``
_DEFAULT_ZONE = "Asia/Shanghai"

Config = Annotated[Path, typer.Option(readable=False, metavar="FILE", help="The settings file of the run.")]
_Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of rules.")]
_By = Annotated[str | None, typer.Option(metavar="NAME", help="Who does it, for the audit; you if not given.")]
_Why = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit.")]


def add_pause_commands(rules_app: typer.Typer) -> None:
    """Register the commands under ``cem rules``."""
    for command in (pause, resume, paused):
        rules_app.command()(command)


def fail(message: str, code: int) -> NoReturn:
    """End the command with a message for people."""
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def settings_of(config: Path) -> LiveSettings:
    """The settings in a file, or every problem of it and exit code 1."""
    from config.settings import SettingsError, load_settings

    try:
        return load_settings(config)
    except SettingsError as error:
        fail(str(error), WRONG_INPUT)


def rules_of(settings: LiveSettings) -> Mapping[str, Rule] | None:
    """The rules by id; null, with a warning, if they do not load as they are now."""
    from rules.load import load_rules

    rules, problems = load_rules(list(settings.rules))
    if rules is None:
        found = "\n".join(map(str, problems))
        print(f"{found}\nwarning: the rules do not load as they are now", file=sys.stderr)
        return None
    return {rule.id: rule for rule in rules.rules}


def zone_of(rules: Mapping[str, Rule] | None) -> ZoneInfo:
    """The timezone in which times are shown to people: that of the rules."""
    return ZoneInfo(next((rule.timezone for rule in (rules or {}).values()), _DEFAULT_ZONE))


def local_time(at_ms: int, zone: ZoneInfo) -> str:
    """A time in a timezone, whose name belongs beside it."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(at_ms)


@contextmanager
def _explained(command: str) -> Iterator[None]:
    from flows.live.pauses import PausesError

    try:
        yield
    except PausesError as error:
        fail(f"cem rules {command}: {error}", FAILED)


def pause(ids: _Ids, config: Config, by: _By = None, why: _Why = "") -> None:
    """Let rules decide nothing more, until `cem rules resume`: within 2 s, without a restart, also after one.

    What they would have done is written as suppressed with reason `paused`. A rule with `unless` does not arm.
    """
    _change("pause", ids, config, by, why)


def resume(ids: _Ids, config: Config, by: _By = None, why: _Why = "") -> None:
    """Let rules decide again that were paused. What was suppressed meanwhile stays so."""
    _change("resume", ids, config, by, why)


def _change(change: Literal["pause", "resume"], ids: list[str], config: Path, by: str | None, why: str) -> None:
    with _explained(change):
        settings = settings_of(config)
        files = _files(settings)
        rules = rules_of(settings)
        _refuse_unknown(change, ids, rules, files)
        made, before = files.change(ids, change, at_ms=time_ns() // 1_000_000, by=by or getpass.getuser(), why=why)
    changed = {one.rule_id for one in made}
    zone = zone_of(rules)
    for rule_id in dict.fromkeys(ids):
        if rule_id in changed:
            print(f"{rule_id} is {'paused' if change == 'pause' else 'no longer paused'}")
        elif change == "pause":
            since = before[rule_id]
            print(f"{rule_id} was paused already, by {since.by} at {local_time(since.at_ms, zone)} {zone}")
        else:
            print(f"{rule_id} was not paused")
        rule = (rules or {}).get(rule_id)
        if rule is not None and rule.status == "paused":
            print(f"note: {rule_id} has `status: paused` in {rule.position.file}, so it is not evaluated in any case")


def _files(settings: LiveSettings) -> PauseFiles:
    from flows.live.pauses import PauseFiles

    return PauseFiles(settings.state)


def _refuse_unknown(change: str, ids: list[str], rules: Mapping[str, Any] | None, files: PauseFiles) -> None:
    from rules.diagnostics import did_you_mean, shown

    if rules is None:
        print("warning: so nobody knows whether there are rules of these ids", file=sys.stderr)
        return
    known = {*rules, *files.paused()} if change == "resume" else set(rules)  # one that was paused may be gone since
    wrong = [
        f"no rule has the id {shown(rule_id)}{f' ({hint})' if (hint := did_you_mean(rule_id, sorted(known))) else ''}"
        for rule_id in ids
        if rule_id not in known
    ]
    if wrong:
        fail("\n".join(f"cem rules {change}: {line}" for line in [*wrong, "nothing was changed"]), WRONG_INPUT)


def paused(config: Config) -> None:
    """List the rules that are paused: since when, by whom and why."""
    from rich.console import Console
    from rich.table import Table

    with _explained("paused"):
        settings = settings_of(config)
        found = _files(settings).paused()
        rules = rules_of(settings) or {}
    if not found:
        print("no rule is paused")
        return
    zone = zone_of(rules)
    table = Table("rule", "title", f"paused since ({zone})", "by", "why", box=None, pad_edge=False)
    for rule_id, change in sorted(found.items()):
        rule = rules.get(rule_id)
        title = "(no such rule any more)" if rule is None else rule.title
        table.add_row(rule_id, title, local_time(change.at_ms, zone), change.by, change.why)
    Console(soft_wrap=True).print(table)
