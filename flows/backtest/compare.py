"""Compares two files of decisions: what was added, removed and changed, and what it means for desks and customers."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, BinaryIO
from zoneinfo import ZoneInfo

Record = dict[str, Any]

COMPARED = ("decision", "reason", "would_be", "ts", "class", "payload")
"""What makes a decision that both sides have a changed one."""

CONTACTS = ("ticket", "survey", "notify")
"""Kinds of actions that reach a customer: by a manager, a question or a message."""


@dataclass(slots=True)
class RuleChange:
    """What changed for one rule. ``old`` and ``new``: decisions by `emitted` or the reason.

    ``added`` and ``removed`` by `emitted` and `suppressed`; ``changed``: decisions that both sides have and that
    differ, ``by_field`` in what; ``now_emitted`` and ``no_longer_emitted`` are among them.
    ``old_customers`` and ``new_customers`` are those for whom something was emitted.
    """

    old: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)
    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    by_field: Counter[str] = field(default_factory=Counter)
    now_emitted: int = 0
    no_longer_emitted: int = 0
    old_customers: set[str] = field(default_factory=set)
    new_customers: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Load:
    """What one side asks of people: emitted tickets by queue and local day, contacts by customer."""

    tickets: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    contacts: Counter[str] = field(default_factory=Counter)
    days: set[str] = field(default_factory=set)

    def histogram(self, customers: int) -> dict[str, int]:
        """How many of ``customers`` had 0, 1, 2, and 3 or more contacts."""
        found = Counter(min(count, 3) for count in self.contacts.values())
        return {
            "0": max(0, customers - len(self.contacts)), "1": found[1], "2": found[2], "3+": found[3],
        }  # fmt: skip


@dataclass(slots=True)
class Comparison:
    """By rule what changed, and what each side asks of people."""

    rules: dict[str, RuleChange] = field(default_factory=lambda: defaultdict(RuleChange))
    old: Load = field(default_factory=Load)
    new: Load = field(default_factory=Load)


def compare(old: Path, new: Path, zones: Mapping[str, str], changes: Path | None = None) -> Comparison:
    """Compare two files of decisions; rules that both sides have must have the same version.

    Then the id of a decision says what it is about: rule, customer, anchor, holding, kind and index. Of the old file
    only ids, digests and places are held in memory. ``zones``: the rules' timezones, for days; ``changes``: see
    ``backtest``.
    """
    result = Comparison()
    known: dict[bytes, tuple[bytes, int]] = {}
    with ExitStack() as stack:
        old_file = stack.enter_context(old.open("rb"))
        out = None if changes is None else stack.enter_context(changes.open("w", encoding="utf-8"))
        for key, record, place in _decisions(old_file):
            known[key] = _digest(record), place
            rule = result.rules[record["rule_id"]]
            _note(record, result.old, rule.old, rule.old_customers, zones)
        new_file = stack.enter_context(new.open("rb"))
        for key, record, _ in _decisions(new_file):
            change = result.rules[record["rule_id"]]
            _note(record, result.new, change.new, change.new_customers, zones)
            before = known.pop(key, None)
            if before is None:
                change.added[record["decision"]] += 1
                _write(out, "added", None, record)
            elif before[0] != _digest(record):
                earlier = _read_at(old_file, before[1])
                _note_change(change, earlier, record)
                _write(out, "changed", earlier, record)
        for _, place in known.values():
            record = _read_at(old_file, place)
            result.rules[record["rule_id"]].removed[record["decision"]] += 1
            _write(out, "removed", record, None)
    return result


def _decisions(file: BinaryIO) -> Iterator[tuple[bytes, Record, int]]:
    """Each decision with its key and its place in the file.

    An event that comes again after the dedup horizon gives the same id again: the second has a key of its own.
    """
    again: Counter[str] = Counter()
    seen: set[bytes] = set()
    place = 0
    for line in file:
        record = json.loads(line)
        key = bytes.fromhex(record["action_id"])
        if key in seen:
            again[record["action_id"]] += 1
            key += again[record["action_id"]].to_bytes(4, "big")
        else:
            seen.add(key)
        yield key, record, place
        place += len(line)


def _read_at(file: BinaryIO, place: int) -> Record:
    file.seek(place)
    record: Record = json.loads(file.readline())
    return record


def _digest(record: Record) -> bytes:
    text = json.dumps([record[name] for name in COMPARED], sort_keys=True)
    return blake2b(text.encode(), digest_size=12).digest()


def _note(record: Record, load: Load, outcomes: Counter[str], customers: set[str], zones: Mapping[str, str]) -> None:
    outcomes[record["reason"] or "emitted"] += 1
    zone = ZoneInfo(zones[record["rule_id"]])
    day = datetime.fromtimestamp(record["ts"] / 1000, UTC).astimezone(zone).date().isoformat()
    load.days.add(day)
    if record["decision"] != "emitted":
        return
    customers.add(record["customer_id"])
    if record["kind"] == "ticket":
        queue = record["payload"].get("queue")
        load.tickets[queue if isinstance(queue, str) else "(none)"][day] += 1
    if record["kind"] in CONTACTS:
        load.contacts[record["customer_id"]] += 1


def _note_change(change: RuleChange, old: Record, new: Record) -> None:
    change.changed += 1
    change.by_field.update(name for name in COMPARED if old[name] != new[name])
    change.now_emitted += new["decision"] == "emitted" != old["decision"]
    change.no_longer_emitted += old["decision"] == "emitted" != new["decision"]


def _write(out: IO[str] | None, change: str, old: Record | None, new: Record | None) -> None:
    if out is None:
        return
    about = new or old or {}
    names = ("action_id", "rule_id", "customer_id", "kind", "ts", "anchor_event_id", "holding_id")
    told = ("decision", "reason", "would_be", "ts", "class", "features", "payload")
    line = {"change": change} | {name: about[name] for name in names}
    for side, record in (("old", old), ("new", new)):
        line[side] = None if record is None else {name: record[name] for name in told}
    out.write(json.dumps(line, ensure_ascii=False) + "\n")
