"""After a customer is erased, a run goes on as if their events so far had been somebody else's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from flows.state_forget import forget
from flows.state_verify import verify
from state.state_folder import StateFolder
from tests.flows.interrupted import as_of_somebody_else, bytes_written, event_of, finish, run_until
from tests.reference.compare import compare
from tests.reference.engine import read_lines, run_engine
from tests.reference.generate import Case, random_case


def erase(folder: Path, customer: str):
    return forget(folder / "state", customer)


def customers_of(case: Case) -> list[str]:
    events = (event_of(line) for lines in case.partitions for line in lines)
    ids = (event.get("customer_id") for event in events if event is not None)
    return sorted({name for name in ids if isinstance(name, str) and 0 < len(name) < 60})


def check(case: Case, customer: str, batches: int, folder: Path) -> Counter[str] | None:
    """Interrupt, forget, go on, compare; what was erased, or null if there was nothing to do."""
    if not run_until(case, folder / "run", batches):
        return None
    state, out = folder / "run" / "state", folder / "run" / "out" / "actions.ndjson"
    written = bytes_written(state)
    elsewhere, *others = as_of_somebody_else(case, state, customer)
    done = erase(folder / "run", customer)
    assert done.is_complete, done.traces
    assert verify(StateFolder.inspect(state)) == []
    assert erase(folder / "run", customer).removed == Counter()
    (folder / "before").write_bytes(out.read_bytes()[:written])
    before = [line for line in read_lines(folder / "before") if line["customer_id"] == customer]
    finish(case, folder / "run")
    got = read_lines(out)
    for line in before:
        got.remove(line)
    run_engine(elsewhere, folder / "reference")
    want = [d for d in read_lines(folder / "reference/out/actions.ndjson") if d["customer_id"] not in others]
    difference = compare(want, got)
    assert difference is None, difference
    return done.removed


def check_random(seed: int, folder: Path) -> Counter[str]:
    rng = Random(seed)
    case = random_case(rng, n_events=200)
    return check(case, rng.choice(customers_of(case)), rng.randrange(4, 16), folder) or Counter()


@pytest.mark.parametrize("seed", [101, 103, 116, 121])
def test_random_streams(seed, tmp_path):
    assert check_random(seed, tmp_path) > Counter()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 300))
def test_random_streams_for_long(seed, tmp_path):
    check_random(seed, tmp_path)


RULES = """\
version: 1
rules:
  - id: seen
    trigger: click
    let: {n: 'count(click, last="1d")', before: prev(click.page)}
    then: [{tag: {name: seen}}]
  - id: shared
    class: risk
    trigger: txn
    let:
      customers: distinct(txn.customer_id, last="1d", per="device_id")
      payees: distinct(txn.counterparty_id, last="1d", per="device_id")
      own: count(txn, last="1d", per="customer_id")
      selves: distinct(txn.customer_id, last="1d", per="customer_id")
      spent: sum(txn.amount, last="1d", per="device_id")
    then: [{alert: {queue: fraud}}]
"""


def test_events_that_come_again_and_customers_that_are_counted(tmp_path):
    """Who was forgotten and comes again is somebody new: none of their events was seen, and devices count them anew."""
    lines = []
    for number in range(120):
        customer = ("客户", "B", "C")[number % 3]
        common = {"customer_id": customer, "ts": 1_772_323_200_000 + number * 60_000}
        # the clicks of a customer are the same two events over and over: all but the first two are duplicates
        lines.append({"stream": "click", "event_id": f"c{number % 6}", "page": f"p{number}", **common})
        paid = {"amount": number, "direction": "out", "device_id": f"d{number % 2}", "counterparty_id": "客户"}
        lines.append({"stream": "txn", "event_id": f"t{number}", **paid, **common})
    case = Case([RULES], None, [[json.dumps(line).encode() for line in lines]], {"dedup_ms": 86_400_000})
    removed = check(case, "客户", batches=20, folder=tmp_path)
    assert removed is not None
    assert {
        "hashes of the ids of seen events", "hashes in aggregates over device_id", "aggregates over the customer",
        "the row with its logs",
    } <= removed.keys()  # fmt: skip
    decisions = read_lines(tmp_path / "run/out/actions.ndjson")
    assert sum(d["rule_id"] == "seen" for d in decisions) == 8
    assert max(d["features"]["customers"] for d in decisions if d["rule_id"] == "shared") == 4
