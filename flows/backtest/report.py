"""What a backtest found, as data for JSON, and as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from flows.backtest.compare import Load
from flows.backtest.run import Backtest, Side
from flows.table import table

Report = dict[str, Any]


def report_of(found: Backtest) -> Report:
    """All figures of a backtest."""
    comparison = found.comparison
    days = _days(comparison.old.days | comparison.new.days)
    return {
        "customers": found.customers,
        "days": days,
        "rules": {rule_id: _rule(found, rule_id) for rule_id in sorted(found.rules)},
        "queues": _queues(comparison.old, comparison.new, days),
        "contacts": {
            "old": comparison.old.histogram(found.customers), "new": comparison.new.histogram(found.customers),
        },
        "runtime": {"old": _runtime(found.old), "new": _runtime(found.new)},
    }  # fmt: skip


def _rule(found: Backtest, rule_id: str) -> dict[str, Any]:
    change = found.comparison.rules[rule_id]
    return {
        "title": found.rules[rule_id].title,
        "customers": {
            "old": len(change.old_customers), "new": len(change.new_customers),
            "gained": len(change.new_customers - change.old_customers),
            "lost": len(change.old_customers - change.new_customers),
        },
        "old": dict(change.old), "new": dict(change.new),
        "added": {name: change.added[name] for name in ("emitted", "suppressed")},
        "removed": {name: change.removed[name] for name in ("emitted", "suppressed")},
        "changed": change.changed, "changed_in": dict(change.by_field),
        "now_emitted": change.now_emitted, "no_longer_emitted": change.no_longer_emitted,
    }  # fmt: skip


def _days(found: Iterable[str]) -> list[str]:
    """All local days from the first to the last one with a decision."""
    known = sorted(found)
    if not known:
        return []
    first, last = date.fromisoformat(known[0]), date.fromisoformat(known[-1])
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def _queues(old: Load, new: Load, days: list[str]) -> dict[str, dict[str, list[int]]]:
    names = sorted(old.tickets.keys() | new.tickets.keys())
    return {
        name: {
            side: [load.tickets[name][day] if name in load.tickets else 0 for day in days]
            for side, load in (("old", old), ("new", new))
        }
        for name in names
    }  # fmt: skip


def _runtime(side: Side) -> dict[str, Any]:
    return {
        "seconds": round(side.seconds, 3), "events_per_second": side.summary["events_per_second"],
        "events": sum(side.summary["events"].values()), "peak_rss_bytes": side.summary["peak_rss_bytes"],
    }  # fmt: skip


def rule_rows(report: Report) -> list[tuple[str, ...]]:
    """By rule: emitted before and after, what came and went, what changed; and all together."""
    rows, total = [], [0] * 7
    for rule_id, rule in report["rules"].items():
        numbers = [
            rule["old"].get("emitted", 0), rule["new"].get("emitted", 0),
            sum(rule["added"].values()), sum(rule["removed"].values()), rule["changed"],
            rule["customers"]["gained"], rule["customers"]["lost"],
        ]  # fmt: skip
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        rows.append((rule_id, *(f"{number:,}" for number in numbers)))
    return [*rows, ("all", *(f"{number:,}" for number in total))]


RULE_HEAD = ("rule", "emitted old", "new", "decisions added", "removed", "changed", "customers gained", "lost")


def reason_rows(report: Report) -> list[tuple[str, ...]]:
    """By rule and reason how many were suppressed, where the two differ."""
    rows: list[tuple[str, ...]] = []
    for rule_id, rule in report["rules"].items():
        for reason in sorted((rule["old"].keys() | rule["new"].keys()) - {"emitted"}):
            old, new = rule["old"].get(reason, 0), rule["new"].get(reason, 0)
            if old != new:
                rows.append((rule_id, reason, f"{old:,}", f"{new:,}"))
    return rows


def queue_rows(report: Report) -> list[tuple[str, ...]]:
    """By queue the tickets, on average and at most a day."""
    rows = []
    for name, sides in report["queues"].items():
        cells = [name]
        for values in (sides["old"], sides["new"]):
            cells += [f"{sum(values):,}", f"{sum(values) / len(values):.1f}", f"{max(values):,}"]
        rows.append(tuple(cells))
    return rows


QUEUE_HEAD = ("queue", "old tickets", "a day", "at most", "new tickets", "a day", "at most")


def contact_rows(report: Report) -> list[tuple[str, ...]]:
    """How many customers had how many contacts."""
    old, new = report["contacts"]["old"], report["contacts"]["new"]
    return [(number, f"{old[number]:,}", f"{new[number]:,}", _difference(new[number] - old[number])) for number in old]


def _difference(number: int) -> str:
    return f"{number:+,}" if number else "0"


CONTACT_HEAD = ("contacts", "customers old", "new", "difference")


def lines_of(report: Report) -> Iterator[str]:
    """The report for people."""
    days = report["days"]
    span = f"{days[0]} to {days[-1]}" if days else "no day with a decision"
    events, customers = report["runtime"]["new"]["events"], report["customers"]
    named = f"{customers:,} {'customer' if customers == 1 else 'customers'}"
    yield f"{events:,} events of {named}; decisions {span}"
    yield from ["", "Decisions by rule", *table(RULE_HEAD, rule_rows(report), numbers=True)]
    reasons = reason_rows(report)
    if reasons:
        yield from ["", "Suppressed, where the number differs"]
        yield from table(("rule", "reason", "old", "new"), reasons, numbers=True)
    if report["queues"]:
        yield from ["", "Tickets by queue", *table(QUEUE_HEAD, queue_rows(report), numbers=True)]
    yield from ["", "Contacts per customer (tickets, surveys, messages)"]
    yield from table(CONTACT_HEAD, contact_rows(report), numbers=True)
    yield ""
    yield runtime_line(report)


def runtime_line(report: Report) -> str:
    """How long the two replays took."""
    old, new = report["runtime"]["old"], report["runtime"]["new"]
    ratio = f", {new['seconds'] / old['seconds']:.2f} times the old" if old["seconds"] else ""
    return (
        f"Runtime: old {old['seconds']:.1f} s ({old['events_per_second']:,} events/s), new {new['seconds']:.1f} s "
        f"({new['events_per_second']:,} events/s){ratio}"
    )
