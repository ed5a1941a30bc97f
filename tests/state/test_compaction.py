"""Compaction: every feature reads the same as without, idle rows go and come back as new, and memory stays flat."""

import json
from random import Random

import numpy as np
import pytest

from operators.column_masks import ColumnMasks
from operators.columnise import Columniser
from operators.decider import Decider
from operators.decode import Decoder, PartitionClock
from operators.read_columns import ColumnReader
from operators.tables import PlanTables
from rules.load import load_rules
from rules.planner import make_plan
from rules.policy import Policy
from state.compaction import DAY_MS, CompactionClock
from state.contacts import ContactLedger
from state.log import POOL_FREE, POOL_USED

HOUR_MS = 3_600_000
NEVER_MS = 1 << 60

ALL_FEATURES = """
version: 1
rules:
  - id: all-features
    trigger: txn
    let:
      count: count(txn, last="3h")
      today: count(txn, this="day")
      sum: sum(txn[direction == "out"].amount, last="2h")
      mean: mean(txn.amount, prior="2h")
      std: std(txn.amount, last="2h")
      lowest: min(txn.amount, last="5h")
      cities: distinct(txn.city, last="4h")
      new_city: novel(txn.city, prior="3h")
      pages: count(click, last="1h")
      steps: seq(click[page == "a"], click[page == "b"], txn, last="2h")
      days: streak(txn, by="day")
      quiet: streak(count(click) < 2, by="day")
      busy: streak(count(click) >= 2, by="day")
      page: last(click.page)
      ever: sum(txn.amount)
      highest: max(txn.amount)
      since: age(click)
    then: [{tag: {name: x}}]
  - id: waits
    trigger: click
    when: rises(count(click, last="3h") >= 2)
    unless: {event: txn, within: 5h}
    cooldown: 6h
    then: [{ticket: {queue: q, sla: 1h}}, {survey: {name: s}}]
  - id: matures
    trigger: {daily: "09:00"}
    each: holdings
    when: holding.amount > 3 and days_until(holding.matures_on) < 4
    then: [{notify: {channel: sms, template: m}}]
"""
WINDOWS_ONLY = """
version: 1
rules:
  - id: windows
    trigger: txn
    let:
      count: count(txn, last="3h")
      sum: sum(txn.amount, last="3h")
      steps: seq(txn[amount > 5], txn[amount <= 5], last="2h")
      days: streak(txn, by="day")
      busy: streak(count(txn) >= 2, by="day")
    when: count >= 2
    cooldown: 1h
    then: [{tag: {name: x}}]
"""


class Engine:
    """One shard's decider, to which events are given one at a time."""

    def __init__(self, folder, rules, compact_after_ms):
        path = folder / "rules.yaml"
        path.write_text(rules, encoding="utf-8")
        rule_set, problems = load_rules([path])
        assert rule_set is not None, "\n".join(map(str, problems))
        plan = make_plan(rule_set)
        decoder = Decoder(plan.fields, lateness_ms=HOUR_MS, max_jump_ms=0, annotate=None)
        columniser = Columniser(plan.layout, ColumnMasks(plan.matchers), (1, 2))
        self._reader, self._clock = ColumnReader(plan.fields, decoder, columniser), PartitionClock()
        tables = PlanTables(plan, compact_after_ms)
        self._objects = tables.objects
        self.decider = Decider(tables, Policy.default(), decoder.values)
        self.store = self.decider.store

    def take(self, event, until_ms):
        events = self._reader.read([json.dumps(event).encode()], "f", 1, self._clock)
        assert not events.dead_letters
        return self.decider.run(events.events.adopted(self._objects), None, until_ms + 1).lines


def random_events(rng, customers, count):
    """Events in bursts, between which now and then all windows run empty."""
    now_ms = 1_700_000_000_000
    for number in range(count):
        now_ms += rng.choice(
            [0, 1000, HOUR_MS // 4, HOUR_MS, *([7 * HOUR_MS, 2 * DAY_MS] if rng.random() < 0.1 else [])]
        )
        event = {"event_id": f"e{number}", "customer_id": f"C{rng.randrange(customers)}"}
        event["ts"] = now_ms - (rng.randrange(HOUR_MS) if rng.random() < 0.1 else 0)
        kind = rng.random()
        if kind < 0.1:
            holdings = [
                {"holding_id": f"h{n}", "amount": rng.randrange(9), "matures_on": f"2023-11-{rng.randrange(15, 30)}"}
                for n in range(rng.randrange(4))
            ]
            yield event | {"stream": "profile", "holdings": holdings}, now_ms
        elif kind < 0.4:
            yield event | {"stream": "click", "page": rng.choice("abc")}, now_ms
        else:
            amount = rng.choice([rng.randrange(10), 0.1 + rng.randrange(3), 0.123456789, 1e-7])
            city = rng.choice(["x", "y", None, "z"])
            yield (
                event | {"stream": "txn", "amount": amount, "direction": rng.choice(["in", "out"]), "city": city},
                now_ms,
            )


@pytest.mark.parametrize("seed", range(3))
def test_every_feature_reads_the_same(tmp_path, seed):
    compacting, keeping = (Engine(tmp_path, ALL_FEATURES, after_ms) for after_ms in (0, NEVER_MS))
    lines = 0
    for event, until_ms in random_events(Random(seed), 4, 500):
        got, want = (engine.take(event, until_ms) for engine in (compacting, keeping))
        assert got == want
        lines += len(want)
    assert lines > 300
    assert compacting.store.pool_counters[POOL_FREE] < keeping.store.pool_counters[POOL_FREE]
    assert compacting.store.used_bytes < keeping.store.used_bytes


@pytest.mark.parametrize("seed", range(3))
def test_idle_rows_go_and_come_back_as_new(tmp_path, seed):
    compacting, keeping = (Engine(tmp_path, WINDOWS_ONLY, after_ms) for after_ms in (0, NEVER_MS))
    removed = 0
    without_profiles = [at for at in random_events(Random(seed), 30, 600) if at[0]["stream"] != "profile"]
    for event, until_ms in without_profiles:
        before = compacting.decider.store.filled
        assert compacting.take(event, until_ms) == keeping.take(event, until_ms)
        removed += compacting.decider.store.filled < before
    assert removed > 5
    assert len(compacting.store) <= len(keeping.store) == keeping.decider.store.filled
    event = {"stream": "txn", "event_id": "last", "customer_id": "C7", "ts": until_ms + 9 * DAY_MS, "amount": 1}
    compacting.take(event | {"direction": "in"}, until_ms + 9 * DAY_MS)
    assert (compacting.decider.store.filled, len(compacting.decider.customers)) == (1, 0)


def test_a_removed_row_is_used_again_under_another_id(tmp_path):
    engine = Engine(tmp_path, WINDOWS_ONLY, 0)
    for day in range(300):
        event = {"stream": "txn", "event_id": f"e{day}", "customer_id": f"customer {day}", "ts": day * 3 * DAY_MS}
        engine.take(event | {"amount": 1, "direction": "in"}, day * 3 * DAY_MS)
        assert engine.decider.store.filled == 1
        assert f"customer {day}" in {
            engine.store.id_of(row) for row in range(len(engine.store)) if engine.store.index.places[row] >= 0
        }
    assert len(engine.store) <= 2
    assert engine.store.used_bytes < 5_000


def test_memory_is_flat_with_a_fixed_population(tmp_path):
    engine, rng = Engine(tmp_path, WINDOWS_ONLY, DAY_MS), Random(5)
    used = []
    for number in range(6000):
        ts = number * HOUR_MS // 20
        event = {"stream": "txn", "event_id": f"e{number}", "customer_id": f"C{rng.randrange(200)}", "ts": ts}
        engine.take(event | {"amount": rng.randrange(9), "direction": "in"}, ts)
        used.append(engine.store.used_bytes)
    assert max(used[3000:]) <= 1.1 * max(used[1000:3000])


def test_objects_that_no_row_holds_any_more_are_dropped(tmp_path):
    compacting, keeping = (Engine(tmp_path, WINDOWS_ONLY, after_ms) for after_ms in (0, NEVER_MS))
    for number in range(700):
        ts = number * HOUR_MS // 30
        event = {"event_id": f"e{number}", "customer_id": "C", "ts": ts, "stream": "txn", "direction": "out"}
        assert compacting.take(event | {"amount": number / 7}, ts) == keeping.take(event | {"amount": number / 7}, ts)
    # 90 are within three hours, and as many again may have come since the last look
    assert len(compacting.store.objects.values) < 200
    assert len(keeping.store.objects.values) == 600


def test_the_clock():
    counters = np.zeros(2, np.int64)
    clock = CompactionClock(100)
    assert [clock.is_due(now, counters) for now in (5, 104, 105, 106, 204, 205)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    counters[POOL_USED], counters[POOL_FREE] = 100_000, 25_000
    assert not clock.is_due(206, counters)
    counters[POOL_FREE] += 1
    assert clock.is_due(206, counters)
    assert CompactionClock(0).is_due(0, np.zeros(2, np.int64))


def test_contacts_are_forgotten_when_no_cooldown_or_cap_reaches_them():
    ledger, cooldowns_ms = ContactLedger(), {"a": 50, "b": 500}
    for number in range(100):
        ledger.record(("a", None), "service", number, 10)
    ledger.record(("b", "h"), "service", 100, 10)
    assert not ledger.forget(120, 10, cooldowns_ms)
    assert (ledger.last_ms(("a", None)), ledger.last_ms(("b", "h"))) == (99, 100)
    assert not ledger.forget(149, 10, cooldowns_ms)
    assert (ledger.last_ms(("a", None)), ledger.last_ms(("b", "h"))) == (None, 100)
    assert ledger.forget(600, 10, cooldowns_ms)
