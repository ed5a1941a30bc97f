"""What the summary says of memory."""

import json

import pytest

from flows.replay import ReplayJob, replay
from rules.load import load_rules

RULES = """
version: 1
rules:
  - id: busy
    trigger: txn
    when: count(txn, last="7d") > 2 and {entity} >= 0
    then: [{{tag: {{name: busy}}}}]
"""


def summary_of(folder, customers, events_each, entity="0", workers=1):
    folder.mkdir()
    rule_file = folder / "rules.yaml"
    rule_file.write_text(RULES.format(entity=entity), encoding="utf-8")
    rules, problems = load_rules([rule_file])
    assert rules is not None, problems
    lines = [
        json.dumps({
            "stream": "txn", "event_id": f"e{n}-{customer}", "customer_id": f"C{customer}", "ts": 1_700_000_000_000 + n,
            "amount": n, "direction": "out", "device_id": f"D{n % 7}-{customer}",
        })
        for n in range(events_each)
        for customer in range(customers)
    ]  # fmt: skip
    events = folder / "events.ndjson"
    events.write_text("\n".join(lines), encoding="utf-8")
    return replay(ReplayJob(rules, (events,), folder / "out", dedup_ms=0, workers=workers))


def test_customers_are_counted_with_their_bytes(tmp_path):
    few, many = (summary_of(tmp_path / str(n), 300, n) for n in (1, 100))
    assert few["customers"] == many["customers"] == 300
    # 99 records of a word each are more in a log, and a rule has held for each customer
    assert 99 * 8 <= many["bytes_per_customer"] - few["bytes_per_customer"] < 12_000
    assert json.loads((tmp_path / "1" / "out" / "summary.json").read_bytes()) == few


@pytest.mark.parametrize("workers", [1, 2])
def test_devices_count_towards_the_customers_bytes(tmp_path, workers):
    without = summary_of(tmp_path / "without", 100, 50, workers=workers)
    entity = 'sum(txn.amount, last="7d", per="device_id")'
    with_devices = summary_of(tmp_path / "with", 100, 50, entity, workers)
    assert with_devices["customers"] == 100
    assert with_devices["bytes_per_customer"] > without["bytes_per_customer"] + 50 * 2 * 8


def test_no_customers(tmp_path):
    summary = summary_of(tmp_path / "none", 0, 0)
    assert (summary["customers"], summary["bytes_per_customer"]) == (0, 0)
