"""The shards' keys spread evenly over the workers, as the runtime really deals them out."""

from collections import Counter
from pathlib import Path

import bytewax.operators as op
import pytest
import typer
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import TestingSink, TestingSource, cluster_main

from flows.live.run_command import run
from flows.shard_keys import LIVE_PROCESSES, shard_key
from operators.delivery import SHARDS
from state.hashing import sip_hashes
from state.texts import Texts


def test_keys_differ_and_do_not_change():
    keys = [shard_key(shard) for shard in range(SHARDS)]
    assert len(set(keys)) == SHARDS
    assert keys == [shard_key.__wrapped__(shard) for shard in range(SHARDS)]


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 16])
def test_every_worker_gets_as_many_shards(workers):
    """Each worker has a thread of its own, in which the logic of its keys is built."""
    import threading

    owners = {}

    class Logic(StatefulBatchLogic):
        def on_batch(self, values):
            owners[values[0]] = threading.get_ident()
            return [], StatefulBatchLogic.RETAIN

        def snapshot(self):
            return None

    flow = Dataflow("deal")
    keyed = op.input("in", flow, TestingSource([(shard_key(shard), shard) for shard in range(SHARDS)]))
    out = op.stateful_batch("own", keyed, lambda _: Logic())
    op.output("out", out, TestingSink([]))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)
    assert len(owners) == SHARDS
    assert set(Counter(owners.values()).values()) == {SHARDS // workers}


def test_a_live_run_may_have_as_many_processes_as_leave_none_without_a_shard():
    keys = Texts.from_lines([shard_key(shard).encode() + b"\xff" for shard in range(SHARDS)])
    hashes = [int(one) for one in sip_hashes(keys, (0, 0))]  # as the runtime deals them: see the test above
    assert {n for n in range(1, 40) if len({one % n for one in hashes}) == n} == LIVE_PROCESSES


@pytest.mark.parametrize(
    ("workers", "hosts", "index"), [(9, None, None), (1, ",".join(f"h:{n}" for n in range(1, 18)), 0)]
)
def test_other_numbers_are_refused(workers, hosts, index):
    with pytest.raises(typer.BadParameter, match="use 1 to 8, or 16"):
        run(Path("live.yaml"), workers, hosts, index)
