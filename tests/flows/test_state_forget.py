"""After a customer is erased, a run goes on as if their events so far had been somebody else's."""

from __future__ import annotations

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
    ids = {event.get("customer_id") for event in events if event is not None}
    return sorted(name for name in ids if isinstance(name, str) and 0 < len(name) < 60)


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


@pytest.mark.parametrize("seed", range(15))
def test_random_streams(seed, tmp_path):
    rng = Random(seed)
    case = random_case(rng, n_events=200)
    customer = rng.choice(customers_of(case))
    check(case, customer, rng.randrange(4, 16), tmp_path)
