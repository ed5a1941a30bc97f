"""A model scores in the order over all customers, however far each of their shards has come."""

from dataclasses import replace

import numpy as np

from flows.loading import load_model_files
from operators.delivery import SHARDS
from operators.model_input import ModelDelivery, ModelInput
from operators.scoring import ScoringShard
from state.sequencer import AFTER_ALL_MS
from state.texts import Texts

START_MS = 1_760_000_000_000
EACH = 400


def rows_of(shard, spec):
    rng = np.random.default_rng(shard)
    times = START_MS + np.sort(rng.integers(0, 1_000, EACH))
    ids = Texts.from_strings([f"e{shard}-{number}" for number in range(EACH)])
    return ModelInput(
        times, np.full(EACH, 3, np.uint8), ids, ids, np.arange(EACH), np.full(EACH, shard), np.zeros(EACH, np.bool_),
        np.zeros((EACH, 2), np.uint64), np.zeros(EACH, np.bool_), rng.random((EACH, len(spec.feature_names))),
    )  # fmt: skip


def scores(spec, watermarks):
    """By shard and event, when all shards have sent their rows and go on to one watermark after the other."""
    model, found = ScoringShard(spec, 0), {}
    for watermark_ms in watermarks:
        first = watermark_ms == watermarks[0]
        out = model.step([
            ModelDelivery(shard, watermark_ms, START_MS, rows_of(shard, spec) if first else None)
            for shard in range(SHARDS)
        ])  # fmt: skip
        assert out is not None
        for shard, answer in enumerate(out.answers):
            for values in answer.values:
                score = zip(values.sequences.tolist(), values.doubles.tolist(), strict=True)
                found |= {(shard, sequence): doubles for sequence, doubles in score}
    return found


def test_shards_may_be_in_the_middle_of_their_rows():
    models, _ = load_model_files(None)
    spec = replace(next(spec for spec in models.models if spec.name == "unusual_txn"), warm_up=0)
    at_once = scores(spec, [AFTER_ALL_MS])
    assert len(at_once) > 1_000
    assert scores(spec, [START_MS + 1, START_MS + 300, START_MS + 301, START_MS + 999, AFTER_ALL_MS]) == at_once
