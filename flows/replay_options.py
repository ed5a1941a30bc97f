"""Options that commands share which replay events, and how their values are read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from rules.fields import TS_MAX_MS
from rules.model import RuleSet
from rules.policy import Policy

WRONG_INPUT = 1  # as in ``flows.cli``


def _time_ms(text: str) -> int:
    if not text.isdecimal() or int(text) > TS_MAX_MS:
        raise typer.BadParameter(f"{text!r} is no time: milliseconds since 1970-01-01T00:00Z, such as 1772614400000")
    return int(text)


def _duration_ms(text: str) -> int:
    from rules.durations import DURATION_HINT, parse_duration_ms

    size_ms = 0 if text == "0" else parse_duration_ms(text)
    if size_ms is None:
        raise typer.BadParameter(f"{text!r} is no duration: {DURATION_HINT}")
    return size_ms


def duration_ms(help_text: str) -> Any:
    """An option whose value is a duration, such as ``10s``; in milliseconds."""
    return typer.Option(parser=_duration_ms, metavar="DURATION", help=help_text)


def time_ms(help_text: str) -> Any:
    """An option whose value is a time, in milliseconds since 1970."""
    return typer.Option(parser=_time_ms, metavar="TS_MS", help=help_text)


def load_or_exit(rules: Sequence[Path], policy: Path | None, models: Sequence[Path] | None) -> tuple[RuleSet, Policy]:
    """The rule set and the policy, or every problem on stderr and exit code 1."""
    from flows.loading import load

    loaded = load(rules, policy, models)
    if loaded.rules is None:
        print("\n".join(map(str, loaded.problems)), file=sys.stderr)
        raise typer.Exit(WRONG_INPUT)
    for problem in loaded.problems:
        if problem.code == "W307":  # such a rule never fires, and it may only be that --models was forgotten
            print(problem, file=sys.stderr)
    return loaded.rules, loaded.policy
