"""Tells in words what a state folder keeps of one customer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from flows.state_customer import ordering_of, shards_of_customer, waiting_of
from flows.state_files import key_of
from flows.state_inspect import time_text
from flows.state_rules import FolderRules
from flows.state_show_models import models_in_words
from operators.feature_values import feature_values
from operators.survey import (
    CUSTOMERS,
    KeptCustomer,
    end_of,
    find_customer,
    read_rows,
    rules_id,
    watermark_of,
)
from operators.tables import PlanTables
from rules.model import Rule
from rules.unparse import aggregate_text
from state.contacts import ContactLedger
from state.customer_records import Record
from state.hashing import text_hashes
from state.row_snapshots import Sections
from state.state_folder import StateFolder
from state.texts import Texts
from state.timers import HELD


def customer_in_words(folder: StateFolder, customer_id: str, known: FolderRules) -> list[str] | None:
    """Lines about a customer, as of the moment from which a run would go on; null if nothing is kept.

    Where the rules are not known there are no names of profile attributes, and no aggregates.

    Raises
    ------
    StateError
        A file is damaged or missing.
    """
    shards = shards_of_customer(folder, customer_id)
    if "decide" not in shards:
        return None
    frames = shards["decide"].sections
    found = find_customer(frames, customer_id)
    waiting = list(_waiting(ordering_of(shards), customer_id))
    customer_hash = int(text_hashes(Texts.from_lines([customer_id.encode()]), key_of(folder))[0])
    models = list(models_in_words(shards, customer_id, customer_hash, known))
    if found is None and not waiting and not models:
        return None
    lines = [f"customer {customer_id}", f"as of {time_text(watermark_of(frames[-1]))}"]
    if found is not None:
        tables = known.known_tables(rules_id(frames[-1 if found.frame is None else found.frame]))
        rules = {} if tables is None else {planned.rule.id: planned.rule for planned in tables.plan.rules}
        lines += _profile(found, tables)
        lines += _features(found, frames, tables)
        lines += _contacts(found.record, rules)
        lines += _tickets(found.record)
        lines += _to_come(found.record)
    lines += _section("what models keep for their features, and events that they may learn from", models)
    return [*lines, *waiting]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def _profile(found: KeptCustomer, tables: PlanTables | None) -> list[str]:
    if found.profile is None:
        return _section("profile", ["none"])
    names = tables.plan.fields["profile"] if tables is not None else ()
    if len(names) != len(found.profile):
        names = tuple(f"attribute {n}" for n in range(1, len(found.profile) + 1))
    values = zip(names, found.profile, strict=True)
    return _section(
        "profile (what rules read of it)", [f"{name} = {_text(value)}" for name, value in values if value is not None]
    )


def _features(found: KeptCustomer, frames: Sequence[Sections], tables: PlanTables | None) -> list[str]:
    if found.frame is None or tables is None:
        return []
    frame = read_rows(frames[found.frame], CUSTOMERS)
    if frame.fixed.shape[1] != tables.customer.layout.row_words:
        return _section("aggregates", ["not known: the rules are not those by which they were kept"])
    t_ms = min(watermark_of(frames[-1]), end_of(frames[-1]))
    names = map(aggregate_text, tables.plan.customer.aggregates)
    values = zip(names, feature_values(tables, frame, found.row, t_ms), strict=True)
    return _section("aggregates (as at a tick, with no anchor)", [f"{name} = {_text(value)}" for name, value in values])


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _rule_text(short: Any) -> str:
    """A rule's id, with the holding where there is one."""
    return short if isinstance(short, str) else f"{short[0]} (holding {short[1]})"


def _kinds(short: Any, rules: dict[str, Rule]) -> str:
    rule = rules.get(short if isinstance(short, str) else short[0])
    return f" ({', '.join(dict.fromkeys(action.kind for action in rule.actions))})" if rule is not None else ""


def _contacts(record: Record, rules: dict[str, Rule]) -> list[str]:
    lines = [
        f"{_rule_text(short)}{_kinds(short, rules)}: last emitted {time_text(t_ms)}"
        for short, t_ms in ContactLedger.from_record(record.get("contacts", [])).last_times()
    ]
    for rule_id, emitted in record.get("shadows", {}).items():
        times = [t_ms for _, t_ms in ContactLedger.from_record(emitted).last_times()]
        if times:
            lines.append(f"{rule_id}: in shadow, would last have emitted {time_text(max(times))}")
    return _section("what rules did (contacts, tags, tickets, alerts), as far as it still matters", lines)


def _tickets(record: Record) -> list[str]:
    return _section("tickets", [
        f"{ticket} of {rule_id if holding_id is None else _rule_text((rule_id, holding_id))}: "
        f"{'closed' if is_closed else 'open'}"
        for rule_id, holding_id, ticket, is_closed in record.get("tickets", ())
    ])  # fmt: skip


def _to_come(record: Record) -> list[str]:
    lines = [
        f"{rule_id} fires at {time_text(deadline_ms)} if nothing disarms it; {_firing_text(firing)}"
        for rule_id, (deadline_ms, firing, *_) in record.get("armed", {}).items()
        if firing is not None
    ]
    lines += [
        f"{rule_id}: {'a decision is' if len(indices) == 1 else f'{len(indices)} decisions are'} held until "
        f"{time_text(at_ms)}; {_firing_text(firing)}"
        for rule_id, at_ms, kind, indices, firing, *_ in record["timers"]
        if kind == HELD
    ]
    return _section("what is to come", lines)


def _firing_text(firing: Sequence[Any]) -> str:
    stream, anchor_id, anchor_ms, _, holding_id, features, *_ = firing
    holding = f" for holding {holding_id}" if holding_id is not None else ""
    values = ", ".join(f"{name} = {_text(value)}" for name, value in features.items())
    return f"by {stream} {anchor_id} of {time_text(anchor_ms)}{holding}{f'; {values}' if values else ''}"


def _waiting(sections: Sections, customer_id: str) -> Iterator[str]:
    lines = [f"{time_text(at_ms)}: {message.decode()}" for at_ms, message in waiting_of(sections, customer_id)]
    yield from _section("events that wait for their turn", lines)
