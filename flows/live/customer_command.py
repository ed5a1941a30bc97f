"""`cem customer`: what the engine knows of a customer just now, as desks read it from Redis."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from flows.live.pause_command import FAILED, WRONG_INPUT, Config, fail, local_time, rules_of, settings_of, zone_of

if TYPE_CHECKING:
    from rules.model import Rule

_JSON = ("as_of", "written_at", "profile", "features", "tags", "tickets", "armed", "decisions")

_PIPE_WIDTH = 1_000
"""Of a table that no screen limits."""

_Id = Annotated[str, typer.Argument(metavar="ID", help="The customer_id.")]
_Json = Annotated[bool, typer.Option("--json", help="As one JSON object, for programs.")]


def add_customer_command(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(customer)


def customer(customer_id: _Id, config: Config, as_json: _Json = False) -> None:
    """Show a customer as desks see them: features by rule, tags, open tickets, last decisions, and how fresh it is."""
    import redis

    from sinks.redis_views import read_customer

    settings = settings_of(config)
    if settings.views is None:
        fail(f"cem customer: {config} has no `views`, so the engine writes none", WRONG_INPUT)
    try:
        fields = read_customer(settings.views.url.get_secret_value(), customer_id)
    except (redis.RedisError, OSError) as error:
        fail(f"cem customer: Redis at {settings.views.shown} cannot be read: {error}", FAILED)
    if not fields:
        fail(
            f"cem customer: nothing is known of customer {customer_id!r}: no event or decision of them within "
            f"{settings.views.lifetime_ms // 86_400_000} days, or the engine has not written it yet", FAILED,
        )  # fmt: skip
    found = {"customer_id": customer_id} | {name: _parsed(fields.get(name)) for name in _JSON}
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    show_customer(found, rules_of(settings) or {}, time_ns() // 1_000_000)


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


def show_customer(found: Mapping[str, Any], rules: Mapping[str, Rule], now_ms: int) -> None:
    """Print what is kept under a customer's key; ``rules`` give titles and timezones."""
    from rich.console import Console
    from rich.text import Text

    zone = zone_of(rules)
    console = Console() if sys.stdout.isatty() else Console(soft_wrap=True, width=_PIPE_WIDTH)
    console.print(Text(f"customer {found['customer_id']}", style="bold"))
    console.print(Text(_freshness(found, zone, now_ms)))

    def rule_text(rule_id: Any) -> str:
        rule = rules.get(rule_id)
        return str(rule_id) if rule is None or not rule.title else f"{rule_id} {rule.title}"

    def at(ts: Any) -> str:
        return "" if ts is None else local_time(ts, zone)

    profile = found["profile"] or {}
    _table(console, "attributes", ("name", "value"), [(name, _text(value)) for name, value in profile.items()])
    _table(console, "features", ("rule", "feature", "value"), list(_features(found["features"] or {}, rule_text)))
    _table(console, "tags", ("tag", "value", f"since ({zone})", "rule"), [
        (name, _text(tag["value"]), at(tag["ts"]), rule_text(tag["rule_id"]))
        for name, tag in (found["tags"] or {}).items()
    ])  # fmt: skip
    _table(console, "open tickets", (f"since ({zone})", "rule", "holding", "ticket", "stage", "due"), [
        (at(one["since"]), rule_text(one["rule_id"]), one["holding_id"] or "", one["ticket_id"],
         one.get("stage") or "", at(one.get("due")))
        for one in found["tickets"] or ()
    ])  # fmt: skip
    _table(console, "waiting for a deadline", (f"until ({zone})", "rule"), [
        (at(one["deadline"]), rule_text(one["rule_id"])) for one in found["armed"] or ()
    ])  # fmt: skip
    _table(console, "last decisions", (f"time ({zone})", "kind", "rule", "decision", "text"), [
        (at(one["ts"]), one["kind"], rule_text(one["rule_id"]), one["reason"] or one["decision"],
         _said(one["payload"]))
        for one in found["decisions"] or ()
    ])  # fmt: skip


def _freshness(found: Mapping[str, Any], zone: ZoneInfo, now_ms: int) -> str:
    written_ms = found["written_at"]
    written = "" if written_ms is None else f"written {_ago(now_ms - written_ms)}"
    if found["as_of"] is None:
        return f"decisions only, no view yet; {written}"
    return f"as of {local_time(found['as_of'], zone)} {zone} ({_ago(now_ms - found['as_of'])}), {written}"


def _features(features: Mapping[str, Mapping[str, Any]], rule_text: Any) -> Iterator[tuple[str, str, str]]:
    for rule_id, values in features.items():
        for number, (name, value) in enumerate(values.items()):
            yield rule_text(rule_id) if number == 0 else "", name, _text(value)


def _table(console: Any, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print()
    if not rows:
        console.print(Text(f"{title}: none"))
        return
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut cannot be copied
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _said(payload: Any) -> str:
    """What a payload says to people, or all of it."""
    said = [payload[name] for name in ("subject", "text") if isinstance(payload.get(name), str)]
    return said[0] if said else _text(payload)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6f}".rstrip("0").rstrip(".")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ago(ms: int) -> str:
    """How long ago something was, in words.

    >>> _ago(3_400), _ago(180_000), _ago(7_300_000), _ago(3 * 86_400_000), _ago(-5_000)
    ('3 s ago', '3 min ago', '2 h ago', '3 days ago', '5 s ahead')
    """
    word = "ahead" if ms < 0 else "ago"
    seconds = abs(ms) // 1000
    for size, unit in ((2 * 86_400, "days"), (2 * 3_600, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // (size // 2)} {unit} {word}"
    return f"{seconds} s {word}"
